"""Checks of MAC addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

from kvmnet.core.base.problem import WARNING, Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.pass_through import OTHER


class _Mac(NamedTuple):
    """A MAC address of the definition with its owner and place. `host` is the name of its host, None for a guest."""

    mac: str
    owner: str
    mark: Mark
    host: Optional[str]
    is_of_bridge: bool


def _macs(context: Context) -> Iterator[_Mac]:
    """Every MAC address of the definition."""
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            owner, place = f"{interface.name} on host {host.name}", interface.place
            if interface.mac is not None:
                path = ("mac",) if "mac" in place.tree.entries else ("match", "mac")
                yield _Mac(
                    interface.mac, owner, place.at(*path), host.name, interface.is_bridge or interface.kind == OTHER
                )
            if interface.bridge_settings.mac is not None:
                bridge_mac = interface.bridge_settings.mac
                yield _Mac(bridge_mac, f"the bridge of {owner}", place.at("bridge", "mac"), host.name, True)
    for guest in context.cluster.guests.values():
        for nic in guest.nics:
            yield _Mac(nic.mac, f"guest {guest.name}", nic.place.at("mac"), None, False)


@check("KVN120", "NIC to be renamed has no MAC address")
def find_renamed_nics_without_mac(context: Context) -> Iterator[Problem]:
    """
    The naming policy renames this NIC by a .link file. This file must match the NIC by its permanent MAC address. It
    cannot match the NIC by its name, because the bridge gets this name. Add `mac`. `ip -details link` shows the
    permanent MAC address as permaddr if it differs from the current one.
    """
    for view in context.views.values():
        for nic in view.nics:
            interface = context.cluster.hosts[view.host].interfaces[nic.interface]
            if nic.mac is not None or not nic.is_renamed:
                continue
            if not interface.place.has("mac", "match"):
                rename = f"naming policy {view.policy.name} renames it to {nic.name}"
                message = f"{nic.interface} on host {view.host} has no mac, but {rename}"
                yield Problem("KVN120", message, nic.mark, hint="add mac: with the NIC's permanent MAC address")


@check("KVN121", "duplicate MAC address")
def find_duplicate_macs(context: Context) -> Iterator[Problem]:
    """
    Two NICs of hosts or guests have the same MAC address. In one network, neither of them receives its frames
    reliably. kvmnet also identifies a host by the MAC addresses of its NICs. Correct one of the two. Only a bridge may
    have the MAC address of a NIC or another bridge of its own host.
    """
    first: dict[str, _Mac] = {}
    for mac in _macs(context):
        other = first.setdefault(mac.mac, mac)
        is_of_own_bridge = other.host == mac.host and (other.is_of_bridge or mac.is_of_bridge)
        if other is not mac and not is_of_own_bridge:
            yield Problem(
                "KVN121",
                f"MAC address {mac.mac} of {mac.owner} is already used by {other.owner}",
                mac.mark,
                related=(Related(other.mark, "first used here"),),
            )


@check("KVN122", "not a valid MAC address for a NIC")
def find_invalid_macs(context: Context) -> Iterator[Problem]:
    """
    A MAC address with an odd first byte is a multicast address (IEEE 802, the I/G bit). The kernel does not accept it
    for an interface. It does not accept 00:00:00:00:00:00 either. Correct the MAC address.
    """
    for mac, owner, mark, _, _ in _macs(context):
        if int(mac[:2], 16) & 1:
            yield Problem("KVN122", f"MAC address {mac} of {owner} is a multicast address", mark)
        elif mac == "00:00:00:00:00:00":
            yield Problem("KVN122", f"MAC address {mac} of {owner} is not valid for a NIC", mark)


@check("KVN123", "locally administered MAC address of a physical NIC")
def find_local_macs_of_hosts(context: Context) -> Iterator[Problem]:
    """
    The second lowest bit of the first byte (IEEE 802, the U/L bit) marks a MAC address that was assigned by software.
    The permanent MAC address of a NIC has this bit set on virtual machines only. Check that this is not the MAC
    address of a guest, or the one that a bond has assigned to its ports.
    """
    for mac, owner, mark, host, is_of_bridge in _macs(context):
        if host is not None and not is_of_bridge and int(mac[:2], 16) & 3 == 2:
            message = f"MAC address {mac} of {owner} is locally administered, probably not the NIC's permanent one"
            yield Problem("KVN123", message, mark, severity=WARNING)
