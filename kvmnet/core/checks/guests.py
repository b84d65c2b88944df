"""Guests and what their hosts have for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from kvmnet.core.base.problem import WARNING, Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Guest, GuestNic, Host, Interface, Network
from kvmnet.core.guests.guest_migration import device_mtus


@check("KVN160", "a host without the bridge or tag that a guest needs")
def unattached(context: Context) -> Iterator[Problem]:
    """
    A guest's NIC is on a network that one of the hosts it may run on has nothing for: neither a bridge on
    that network, nor, for a network with a tag, a NIC on the network that it is `over`. There the guest
    would not start. Bridges are there on hosts with `kvm: true` for every NIC with a network.
    """
    told = set()
    for view in context.views.values():
        for guest, nic in view.unattached:
            mark = nic.place.at("network")
            if mark in told:  # a group of 200 hosts is one mistake
                continue
            told.add(mark)
            host = context.cluster.hosts[view.host]
            needs = f"guest {guest.name} needs network {nic.network}"
            words = f"{needs}: {view.host} has neither a bridge nor a tag for it"
            hint = None if host.kvm else f"{view.host} has no kvm: true"
            yield Problem("KVN160", words, mark, related=(Related(host.place.mark, "the host is here"),), hint=hint)


@check("KVN161", "a guest without a place")
def nowhere(context: Context) -> Iterator[Problem]:
    """A guest runs on a `host` or on any host of a `group`: it names one of the two, not both."""
    for guest in context.cluster.guests.values():
        has = [key for key in ("host", "group") if guest.place.has(key)]
        if len(has) == 2:
            yield Problem("KVN161", f"guest {guest.name} names a host and a group", guest.place.at("group"))
        elif not has:
            yield Problem("KVN161", f"guest {guest.name} names neither a host nor a group", guest.place.mark)


@check("KVN162", "a group without hosts")
def empty_group(context: Context) -> Iterator[Problem]:
    """A guest may run on any host of a group that no host is in."""
    for guest in context.cluster.guests.values():
        if guest.group in context.cluster.groups and not context.cluster.hosts_of(guest) and guest.host is None:
            words = f"no host is in group {guest.group}: guest {guest.name} runs nowhere"
            yield Problem("KVN162", words, guest.place.at("group"), severity=WARNING)


@check("KVN163", "a macvtap wanted where there is a bridge")
def bridged(context: Context) -> Iterator[Problem]:
    """
    `attach` says when a guest's macvtap exists, but a host that the guest may run on has a bridge on that
    network, over its NIC or with `bridge: true` over the VLAN. The kernel puts no macvtap on what is a port
    of a bridge (EBUSY), so the guest's NIC would be on the bridge there. Take out `attach`, or the bridge.
    """
    told: set[Mark] = set()
    for guest, nic, network in _stated(context):
        mark = nic.place.at("attach") if nic.attach else network.place.at("attach")
        for host in context.cluster.hosts_of(guest):
            interface = _bridge_on(host, network)
            if interface is None or mark in told:
                continue
            told.add(mark)
            words = f"guest {guest.name} would have no macvtap on {host.name}: {interface.name} is bridged there"
            there = Related(interface.place.at("bridge"), "the bridged one is here")
            yield Problem("KVN163", words, mark, related=(there,))


@check("KVN164", "a guest whose hosts differ in MTU")
def mtu_differs(context: Context) -> Iterator[Problem]:
    """
    A guest may run on any host of its group, but what its NIC is plugged into has a smaller MTU on one of them
    than on another. Moved there, the guest goes on sending frames that are dropped without a word. Give the
    network its `mtu`, or take the interface's own `mtu` out. `kvmnet guest can-move` asks the same of one guest
    and one host.
    """
    largest: dict[tuple[str, str], tuple[int, str]] = {}
    smallest: dict[tuple[str, str], tuple[int, str]] = {}
    for view in context.views.values():
        mtus = device_mtus(view)
        for port in view.guest_ports:
            key, here = (port.guest, port.mac), (mtus[port.device], view.host)
            if key not in largest or here[0] > largest[key][0]:
                largest[key] = here
            if key not in smallest or here[0] < smallest[key][0]:
                smallest[key] = here
    told: set[tuple[str, str, str]] = set()
    for guest in context.cluster.guests.values():
        for nic in guest.nics:
            (most, one), (least, other) = (w.get((guest.name, nic.mac), (0, "")) for w in (largest, smallest))
            if most == least or (nic.network, one, other) in told:  # a group of 200 guests is one mistake
                continue
            told.add((nic.network, one, other))
            words = f"guest {guest.name} may run on {one} and {other}, where network {nic.network} has MTU"
            there = Related(context.cluster.hosts[other].place.mark, "the host is here")
            yield Problem("KVN164", f"{words} {most} and {least}", nic.place.at("network"), related=(there,))


@check("KVN165", "a guest that cannot reach its own host")
def no_way_to_its_host(context: Context) -> Iterator[Problem]:
    """
    A guest's NIC is on a macvtap over a VLAN in which its host has an address. What goes out by a macvtap never
    comes back up on the device under it, so the guest reaches everybody in that network but its own host. Where
    guest and host have to talk to each other, write `bridge: true` at the VLAN.
    """
    told: set[str] = set()
    nics = {(g.name, nic.mac): nic for g in context.cluster.guests.values() for nic in g.nics}
    for view in context.views.values():
        speaking = {vlan.name: vlan for vlan in view.vlans if {vlan.ip.ipv4, vlan.ip.ipv6} - {"none", "link-local"}}
        for port in view.guest_ports:
            vlan = speaking.get(port.device)
            if vlan is None or port.macvtap is None or port.network in told:  # of 200 guests and hosts it is one
                continue
            told.add(port.network)
            words = f"guest {port.guest} would not reach its host {view.host} on network {port.network}"
            there = Related(vlan.mark, f"a VLAN without a bridge: the guest is on a macvtap over {vlan.name}")
            mark = nics[port.guest, port.mac].place.at("network")
            yield Problem("KVN165", words, mark, severity=WARNING, related=(there,))


def _stated(context: Context) -> Iterator[tuple[Guest, GuestNic, Network]]:
    """The guests' NICs that say themselves, or whose network says, when their macvtaps exist."""
    for guest in context.cluster.guests.values():
        for nic in guest.nics:
            network = context.cluster.networks.get(nic.network)
            if network is not None and (nic.attach or network.attach):
                yield guest, nic, network


def _bridge_on(host: Host, network: Network) -> Optional[Interface]:
    return next((i for i in host.interfaces.values() if i.network == network.name and host.bridged(i)), None)
