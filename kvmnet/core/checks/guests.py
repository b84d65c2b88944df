"""Checks of guests and of the bridges, VLANs and macvtaps that their hosts have for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from kvmnet.core.base.problem import WARNING, Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Guest, GuestNic, Host, Interface, Network
from kvmnet.core.guests.guest_migration import find_device_mtus


@check("KVN160", "host cannot connect a guest to its network")
def find_unconnected_guest_nics(context: Context) -> Iterator[Problem]:
    """
    One of the guest's hosts cannot connect a NIC of the guest to its network. The guest would not start on that host.
    The host needs a bridge on the network. For a logical VLAN, it needs a NIC on the network that `over` names. A host
    with `kvm: true` has a bridge for every NIC with a network. Add the missing interface to the host, or move the
    guest to another host or group.
    """
    reported = set()
    for view in context.views.values():
        for guest, nic in view.unattached:
            mark = nic.place.at("network")
            if mark in reported:  # one problem for a group of 200 hosts
                continue
            reported.add(mark)
            host = context.cluster.hosts[view.host]
            subject = f"host {view.host} cannot connect guest {guest.name} to network {nic.network}"
            message = f"{subject}: it has neither a bridge on this network nor a NIC for its VLAN"
            hint = None if host.kvm else f"set kvm: true for host {view.host}"
            ports = [i for i in host.interfaces.values() if i.network == nic.network and i.name in host.controllers]
            if ports and host.controllers[ports[0].name].is_bridge:
                hint = f"set network: {nic.network} on bridge {host.controllers[ports[0].name].name}"
            definition = Related(host.place.mark, "the host is defined here")
            yield Problem("KVN160", message, mark, related=(definition,), hint=hint)


@check("KVN161", "guest needs either a host or a group")
def find_guests_without_host(context: Context) -> Iterator[Problem]:
    """A guest runs on one `host` or on any host of a `group`. Set one of the two keys, not both."""
    for guest in context.cluster.guests.values():
        keys = [key for key in ("host", "group") if guest.place.has(key)]
        if len(keys) == 2:
            message = f"guest {guest.name} has both host and group: remove one of them"
            yield Problem("KVN161", message, guest.place.at("group"))
        elif not keys:
            yield Problem("KVN161", f"guest {guest.name} has neither host nor group: add one", guest.place.mark)


@check("KVN162", "guest in a group without hosts")
def find_guests_of_empty_groups(context: Context) -> Iterator[Problem]:
    """
    The guest's group has no hosts, so there is no host on which the guest can run. Add a host to the group or change
    the group.
    """
    for guest in context.cluster.guests.values():
        if guest.group in context.cluster.groups and not context.cluster.hosts_of(guest) and guest.host is None:
            message = f"guest {guest.name} has no host to run on: group {guest.group} has no hosts"
            yield Problem("KVN162", message, guest.place.at("group"), severity=WARNING)


@check("KVN163", "attach for a network with a bridge")
def find_attach_on_bridged_networks(context: Context) -> Iterator[Problem]:
    """
    `attach` is for guests that are connected by a macvtap. It defines when the macvtap exists: always, or only while
    the guest runs. But a host of this guest has a bridge on that network: on its NIC, or on the VLAN with
    `bridge: true`. The kernel does not create a macvtap on a port of a bridge (EBUSY), so the guest would be connected
    to the bridge instead. Remove `attach`, or set `bridge: false` on the interface.
    """
    reported: set[Mark] = set()
    for guest, nic, network in _nics_with_attach(context):
        mark = nic.place.at("attach") if nic.attach else network.place.at("attach")
        for host in context.cluster.hosts_of(guest):
            interface = _bridged_interface(host, network)
            if interface is None or mark in reported:
                continue
            reported.add(mark)
            message = f"guest {guest.name} gets no macvtap on host {host.name}: {interface.name} has a bridge"
            definition = Related(interface.place.at("bridge"), "the interface with a bridge is here")
            yield Problem("KVN163", message, mark, related=(definition,), hint="remove attach, or set bridge: false")


@check("KVN164", "hosts of a guest have different MTUs")
def find_guests_with_different_mtus(context: Context) -> Iterator[Problem]:
    """
    A guest can run on all hosts of its group. But the bridge or VLAN of its NIC has a smaller MTU on one host than on
    another. After a migration to that host, the guest still sends large frames, and the host drops them without an
    error. Set `mtu` on the network, or remove `mtu` from the interface. `kvmnet guest can-move` checks one guest and
    one host.
    """
    largest: dict[tuple[str, str], tuple[int, str]] = {}
    smallest: dict[tuple[str, str], tuple[int, str]] = {}
    for view in context.views.values():
        mtus = find_device_mtus(view)
        for port in view.guest_ports:
            key, mtu = (port.guest, port.mac), mtus[port.device]
            if key not in largest or mtu > largest[key][0]:
                largest[key] = mtu, view.host
            if key not in smallest or mtu < smallest[key][0]:
                smallest[key] = mtu, view.host
    reported: set[tuple[str, str, str]] = set()
    for guest in context.cluster.guests.values():
        for nic in guest.nics:
            key = (guest.name, nic.mac)
            max_mtu, max_host = largest.get(key, (0, ""))
            min_mtu, min_host = smallest.get(key, (0, ""))
            if max_mtu == min_mtu or (nic.network, max_host, min_host) in reported:  # one problem for 200 guests
                continue
            reported.add((nic.network, max_host, min_host))
            mtu_text = f"{max_mtu} on {max_host} and {min_mtu} on {min_host}"
            message = f"network {nic.network} of guest {guest.name} has different MTUs on its hosts: {mtu_text}"
            definition = Related(context.cluster.hosts[min_host].place.mark, f"host {min_host} is defined here")
            yield Problem("KVN164", message, nic.place.at("network"), related=(definition,))


@check("KVN165", "guest cannot reach its own host")
def find_guests_cut_off_from_host(context: Context) -> Iterator[Problem]:
    """
    A guest's NIC is a macvtap on a VLAN in which its host has an address. The kernel never delivers a macvtap's frames
    to the base interface, so the guest reaches every machine in that network except its own host. If guest and host
    must communicate in this network, set `bridge: true` on the VLAN.
    """
    reported: set[str] = set()
    nics = {(g.name, nic.mac): nic for g in context.cluster.guests.values() for nic in g.nics}
    for view in context.views.values():
        addressed_vlans = {
            vlan.name: vlan for vlan in view.vlans if {vlan.ip.ipv4, vlan.ip.ipv6} - {"none", "link-local"}
        }
        for port in view.guest_ports:
            vlan = addressed_vlans.get(port.device)
            if vlan is None or port.macvtap is None or port.network in reported:  # one problem for a network
                continue
            reported.add(port.network)
            message = f"guest {port.guest} cannot reach its own host {view.host} on network {port.network}"
            base = Related(vlan.mark, f"the guest's macvtap is on {vlan.name}, a VLAN without a bridge")
            mark = nics[port.guest, port.mac].place.at("network")
            yield Problem("KVN165", message, mark, severity=WARNING, related=(base,))


def _nics_with_attach(context: Context) -> Iterator[tuple[Guest, GuestNic, Network]]:
    """Every guest NIC that has `attach`, or whose network has it."""
    for guest in context.cluster.guests.values():
        for nic in guest.nics:
            network = context.cluster.networks.get(nic.network)
            if network is not None and (nic.attach or network.attach):
                yield guest, nic, network


def _bridged_interface(host: Host, network: Network) -> Optional[Interface]:
    """The first interface of a host that is on a network and is or gets a bridge, or None."""
    on_network = (i for i in host.interfaces.values() if i.network == network.name)
    return next((i for i in on_network if i.is_bridge or host.bridged(i)), None)
