"""Checks of guests and of the bridges, VLANs and macvtaps that their hosts have for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from kvmnet.core.base.problem import WARNING, Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.document import Map, Seq
from kvmnet.core.definition.model import Guest, GuestNic, Host, Interface, Network
from kvmnet.core.definition.tree_values import leaves_at
from kvmnet.core.guests.guest_migration import find_device_mtus


@check("KVN160", "host cannot connect a guest to its network")
def find_unconnected_guest_nics(context: Context) -> Iterator[Problem]:
    """
    One of the guest's hosts cannot connect a NIC of the guest to its network. The guest would not start on that host.
    The host needs a bridge on the network. For a logical VLAN, it needs a NIC on the network that `over` names. A host
    with `kvm: true` has a bridge for every NIC with a network. Add the missing interface to the host, or move the
    guest to another host or group.

    A NIC with `networks` (a trunk) needs one VLAN-aware bridge that carries all these networks: `trunk` on the NIC of
    the bridge contains them, or they are logical VLANs (`over`) over the bridge's network and the bridge has
    `vlan_filtering: true`. A native network is the bridge's own, or one of these.
    """
    reported = set()
    for view in context.views.values():
        for guest, nic in view.unattached:
            mark = nic.place.at("networks" if nic.trunk else "network")
            if mark in reported or any(context.cluster.networks[name].vlan is None for name in nic.trunk):
                continue  # one problem for a group of 200 hosts; KVN167 reports a trunk of untagged networks
            reported.add(mark)
            host = context.cluster.hosts[view.host]
            subject = f"host {view.host} cannot connect guest {guest.name} to {'networks' if nic.trunk else 'network'}"
            missing = "neither a bridge on this network nor a NIC for its VLAN"
            if nic.trunk:
                missing = "no VLAN-aware bridge that carries all of them"
            message = f"{subject} {nic.title}: it has {missing}"
            hint = None if host.kvm else f"set kvm: true for host {view.host}"
            if nic.trunk and host.kvm:
                hint = "add the VLANs to trunk on the NIC of the bridge, or give the guest a NIC for each network"
            ports = [i for i in host.interfaces.values() if i.network == nic.network and i.name in host.controllers]
            if ports and host.controllers[ports[0].name].is_bridge:
                hint = f"set network: {nic.network} on bridge {host.controllers[ports[0].name].name}"
            if hint is None and not nic.trunk:
                hint = _suggest_vlan(host, context.cluster.networks[nic.network])
            definition = Related(host.place.mark, "the host is defined here")
            yield Problem("KVN160", message, mark, related=(definition,), hint=hint)


def _suggest_vlan(host: Host, network: Network) -> Optional[str]:
    """Return how to write the VLAN of a tagged network on a host: on the NIC or bond that has its other VLANs, or on
    the only one."""
    if network.vlan is None or network.over is not None:
        return None
    bases = [i for i in host.interfaces.values() if (i.is_nic or i.is_bond) and i.managed and not i.left_alone]
    with_vlans = {i.parent for i in host.interfaces.values() if i.is_vlan}
    bases = [i for i in bases if i.name in with_vlans] or [i for i in bases if i.name not in host.controllers]
    if len(bases) != 1:
        return None
    vlan = f"{bases[0].name}.{network.vlan}"
    return f"define the VLAN on the host: {vlan}: {{network: {network.name}}}, with bridge: true for a bridge"


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

    The same holds for a logical VLAN over the network of a VLAN-aware bridge: the bridge connects the guest.
    """
    yield from _find_attach_on_aware_bridges(context)
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


def _find_attach_on_aware_bridges(context: Context) -> Iterator[Problem]:
    """Yield a problem for each `attach` of a network that a VLAN-aware bridge has."""
    nics = {(g.name, nic.mac): nic for g in context.cluster.guests.values() for nic in g.nics}
    reported: set[Mark] = set()
    for view in context.views.values():
        for port in view.guest_ports:
            nic, network = nics[port.guest, port.mac], context.cluster.networks[port.network]
            mark = nic.place.at("attach") if nic.attach else network.place.at("attach")
            if port.untagged is None or port.trunk or not (nic.attach or network.attach) or mark in reported:
                continue
            reported.add(mark)
            message = f"guest {port.guest} gets no macvtap on host {view.host}: bridge {port.device} is VLAN-aware"
            yield Problem("KVN163", message, mark, hint="remove attach, or vlan_filtering of the bridge")


@check("KVN167", "guest NIC with contradictory networks")
def find_contradictory_networks(context: Context) -> Iterator[Problem]:
    """
    A guest's NIC has either `network`, or `networks` and perhaps `native`. With `network`, the guest sees frames
    without a tag. With `networks`, it sees the frames of each of these networks with the VLAN ID of the network, and
    those of the `native` network without a tag. So each of the `networks` needs a VLAN ID (`vlan`), and no two of them
    can have the same one. `attach` and `trust_guest_rx_filters` are for macvtaps, and a trunk has none.
    """
    for guest in context.cluster.guests.values():
        for nic in guest.nics:
            for key in ("networks", "native"):
                if nic.place.has("network") and nic.place.has(key):
                    message = f"guest {guest.name} has a NIC with both network and {key}"
                    hint = "for a trunk, write networks: […] and native:, without network"
                    yield Problem("KVN167", message, nic.place.at(key), hint=hint)
            for key in ("attach", "trust_guest_rx_filters"):
                if nic.trunk and nic.place.has(key):
                    message = f"guest {guest.name}: {key} is for a macvtap, and a trunk is on a bridge"
                    yield Problem("KVN167", message, nic.place.at(key), hint=f"remove {key}")
            yield from _find_untagged_networks_of_trunk(context, guest, nic)


def _find_untagged_networks_of_trunk(context: Context, guest: Guest, nic: GuestNic) -> Iterator[Problem]:
    """Yield a problem for each network of a trunk that has no VLAN ID of its own."""
    first: dict[int, str] = {}
    for number, leaf in enumerate(leaves_at(nic.place.tree, "networks") if nic.trunk else ()):
        network = context.cluster.networks.get(str(leaf.value))
        if network is None or network.name == nic.native:
            continue
        mark = nic.place.at("networks", number)
        if network.vlan is None:
            message = f"guest {guest.name}: network {network.name} has no VLAN ID, so a trunk cannot have its tag"
            definition = Related(network.place.mark, f"network {network.name} is defined here")
            yield Problem("KVN167", message, mark, related=(definition,), hint=f"write native: {network.name}")
        elif first.setdefault(network.vlan, network.name) != network.name:
            message = f"guest {guest.name}: {network.name} and {first[network.vlan]} have the same VLAN ID"
            yield Problem("KVN167", message, mark)


@check("KVN168", "guest NIC without a network")
def find_nics_without_network(context: Context) -> Iterator[Problem]:
    """
    A guest's NIC needs `network`, the network that it is connected to, or `networks` for a trunk. Add one of them.
    """
    for guest in context.cluster.guests.values():
        node = guest.place.tree.get("nics")
        for number, item in enumerate(node.items if isinstance(node, Seq) else ()):
            if isinstance(item, Map) and not any(item.has(key) for key in ("network", "networks")):
                message = f"guest {guest.name}: NIC {number + 1} has neither network nor networks"
                yield Problem("KVN168", message, item.mark)


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


@check("KVN166", "trust_guest_rx_filters has no effect")
def find_trust_without_effect(context: Context) -> Iterator[Problem]:
    """
    `trust_guest_rx_filters: true` lets a guest change the MAC address and the filters of its macvtap. libvirt does this
    only for a macvtap that it creates itself (`attach: on-demand`). On one of its hosts, this NIC is connected to a
    bridge or to a macvtap that exists from boot (`attach: always`). On a bridge the guest can use any MAC address
    anyway. Remove the key, or set `attach: on-demand`.
    """
    nics = {(g.name, nic.mac): nic for g in context.cluster.guests.values() for nic in g.nics}
    reported: set[Mark] = set()
    for view in context.views.values():
        for port in view.guest_ports:
            mark = nics[port.guest, port.mac].place.at("trust_guest_rx_filters")
            if not port.trusts_guest or (port.macvtap is not None and not port.always) or mark in reported:
                continue
            reported.add(mark)
            device = f"bridge {port.device}" if port.macvtap is None else f"{port.macvtap}, which exists from boot"
            message = f"guest {port.guest} cannot change the filters of its NIC on host {view.host}: it is on {device}"
            yield Problem("KVN166", message, mark, severity=WARNING, hint="remove trust_guest_rx_filters")


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
