"""MAC addresses."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import WARNING, Mark, Problem, Related
from kvmnet.core.checks import Context, check


def _macs(context: Context) -> Iterator[tuple[str, str, Mark, bool]]:
    """Every MAC with its owner, its place, and whether it is a host's."""
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            if interface.mac is not None:
                path = ("mac",) if "mac" in interface.place.tree.entries else ("match", "mac")
                yield interface.mac, f"{host.name} {interface.name}", interface.place.at(*path), True
    for guest in context.cluster.guests.values():
        for nic in guest.nics:
            yield nic.mac, f"guest {guest.name}", nic.place.at("mac"), False


@check("KVN120", "a NIC to be renamed has no MAC")
def no_mac(context: Context) -> Iterator[Problem]:
    """
    The profile renames bridged NICs, and the .link file that does so finds the NIC by its permanent MAC: a
    name would not do, since the bridge takes it. `ip -details link` shows it as permaddr where it differs
    from the MAC in use.
    """
    for view in context.views.values():
        for nic in view.nics:
            interface = context.cluster.hosts[view.host].interfaces[nic.interface]
            if nic.controller is None or nic.mac is not None or not view.profile.renames:
                continue
            if not interface.place.has("mac", "match"):
                renamed = f"{view.host} {nic.interface} becomes {nic.name} under profile {view.profile.name}"
                words = f"{renamed}: its mac is needed"
                yield Problem("KVN120", words, nic.mark, hint="add mac: with the NIC's permanent MAC")


@check("KVN121", "MAC given twice")
def twice(context: Context) -> Iterator[Problem]:
    """
    Two NICs of the cluster, of hosts or guests, have the same MAC. On one wire neither gets its frames
    reliably, and a host is found by the MACs of its NICs.
    """
    first: dict[str, tuple[str, Mark]] = {}
    for mac, owner, mark, _ in _macs(context):
        if mac in first:
            other, place = first[mac]
            yield Problem(
                "KVN121",
                f"{mac} of {owner} is also that of {other}",
                mark,
                related=(Related(place, "the first one is here"),),
            )
        else:
            first[mac] = owner, mark


@check("KVN122", "not the MAC of one NIC")
def multicast(context: Context) -> Iterator[Problem]:
    """
    A MAC whose first byte is odd names a group of NICs (IEEE 802, the I/G bit), and 00:00:00:00:00:00 none:
    the kernel refuses both for an interface.
    """
    for mac, owner, mark, _ in _macs(context):
        if int(mac[:2], 16) & 1:
            yield Problem("KVN122", f"{mac} of {owner} is a multicast MAC", mark)
        elif mac == "00:00:00:00:00:00":
            yield Problem("KVN122", f"{mac} of {owner} is no MAC", mark)


@check("KVN123", "locally administered MAC of a physical NIC")
def local(context: Context) -> Iterator[Problem]:
    """
    The second lowest bit of the first byte marks a MAC that a program made up (IEEE 802, the U/L bit). A
    NIC's permanent MAC has it only on virtual machines. Perhaps a guest's MAC stands here, or the MAC that
    a bond has given its ports.
    """
    for mac, owner, mark, physical in _macs(context):
        if physical and int(mac[:2], 16) & 3 == 2:
            words = f"{mac} of {owner} is locally administered; a NIC's permanent MAC seldom is"
            yield Problem("KVN123", words, mark, severity=WARNING)
