"""Checks of VLAN-aware bridges: the VLANs of their ports and of guests on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional, Union

from kvmnet.core.base.bridge_vlans import DEFAULT_VLAN, format_tags
from kvmnet.core.base.problem import WARNING, Mark, Problem, Related, did_you_mean, quoted
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.document import Leaf, Seq
from kvmnet.core.definition.model import Host, Interface
from kvmnet.core.definition.port_vlans import MAX_TAG, is_valid, read_range
from kvmnet.core.guests.guest_migration import find_device_mtus
from kvmnet.core.views.host_view import BridgeView, GuestPortView, HostView
from kvmnet.core.views.stack import Stack

_KEYS = ("trunk", "native", "access")


def _interfaces(context: Context) -> Iterator[tuple[Host, Interface]]:
    """Every interface with VLANs of a port, with its host."""
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            if interface.vlans is not None:
                yield host, interface


def _aware_bridges(context: Context) -> Iterator[tuple[Host, HostView, BridgeView]]:
    """Every VLAN-aware bridge with its host."""
    for view in context.views.values():
        for bridge in view.bridges:
            if bridge.vlan_filtering:
                yield context.cluster.hosts[view.host], view, bridge


def _first_key(interface: Interface) -> str:
    return next(key for key in _KEYS if interface.place.has(key))


def _values(interface: Interface) -> Iterator[tuple[Union[int, str], Mark]]:
    """Every VLAN ID, range and network of a port's VLANs, with its place."""
    for key in _KEYS:
        node = interface.place.tree.get(key)
        for item in node.items if isinstance(node, Seq) else [node]:
            if isinstance(item, Leaf) and isinstance(item.value, (int, str)):
                yield item.value, item.mark


@check("KVN206", "invalid VLANs of a bridge port")
def find_invalid_vlans(context: Context) -> Iterator[Problem]:
    """
    The VLANs of a bridge port are given by `trunk`, or by `trunk` and `native`, or by `access`. Each value is a VLAN ID
    from 1 to 4094, a range of them with the smaller one first (100-199), or the name of a network with a VLAN ID. The
    native VLAN cannot be among those with tags.

    Inside a VLAN-aware bridge, the untagged network has VLAN ID 1. So a port cannot have VLAN 1 with a tag, unless it
    has another native VLAN. Write 2-4094 for all others.
    """
    reported: set[Mark] = set()
    for host, interface in _interfaces(context):
        name = f"{interface.name} on host {host.name}"
        for problem in [*_find_wrong_keys(name, interface), *_find_wrong_values(context, name, interface)]:
            if problem.mark not in reported:  # one problem for a template of 200 hosts
                reported.add(problem.mark)
                yield problem


def _find_wrong_keys(name: str, interface: Interface) -> Iterator[Problem]:
    place, vlans = interface.place, interface.vlans
    if place.has("access") and place.has("trunk", "native"):
        other = "trunk" if place.has("trunk") else "native"
        hint = "write native instead of access for the untagged VLAN of a trunk"
        yield Problem("KVN206", f"{name} has both access and {other}", place.at("access"), hint=hint)
    elif place.has("native") and not place.has("trunk"):
        hint = "write access for a port with one VLAN, or add trunk"
        yield Problem("KVN206", f"{name} has native but no trunk", place.at("native"), hint=hint)
    if vlans is None:
        return
    tagged_one = any(first <= DEFAULT_VLAN <= last for first, last in vlans.tagged)
    if vlans.untagged is not None and any(first <= vlans.untagged <= last for first, last in vlans.tagged):
        message = f"{name}: VLAN {vlans.untagged} cannot be both native and in trunk"
        yield Problem("KVN206", message, place.at("native"), hint=f"remove {vlans.untagged} from trunk")
    elif tagged_one and vlans.untagged is None:
        message = f"{name}: VLAN {DEFAULT_VLAN} is that of the untagged network inside the bridge"
        yield Problem("KVN206", message, place.at("trunk"), hint="remove VLAN 1 from trunk, as in 2-4094")


def _find_wrong_values(context: Context, name: str, interface: Interface) -> Iterator[Problem]:
    for value, mark in _values(interface):
        network = context.cluster.networks.get(str(value)) if isinstance(value, str) else None
        found = read_range(value)
        if network is not None:
            if network.vlan is None:
                message = f"{name}: network {network.name} has no VLAN ID"
                definition = Related(network.place.mark, f"network {network.name} is defined here")
                hint = "untagged frames need no entry in trunk"
                yield Problem("KVN206", message, mark, related=(definition,), hint=hint)
        elif found is None:
            similar = did_you_mean(str(value), context.cluster.networks)
            yield Problem("KVN101", f"unknown network {quoted(value)}", mark, hint=similar)
        elif not is_valid(found):
            is_reversed = found[0] > found[1] and is_valid((found[1], found[0]))
            fix = f"write {found[1]}-{found[0]}" if is_reversed else None
            yield Problem("KVN206", f"{name}: {value} is no range of VLAN IDs from 1 to {MAX_TAG}", mark, hint=fix)


@check("KVN207", "VLANs on an interface that is not a port of a VLAN-aware bridge")
def find_vlans_without_bridge(context: Context) -> Iterator[Problem]:
    """
    `trunk`, `native` and `access` are for NICs and bonds that are ports of a bridge, or that get a bridge. They make
    this bridge VLAN-aware. So they are not valid with `vlan_filtering: false` on the bridge, on an interface without a
    bridge, on a port of a bond, and on a VLAN device, which has removed the tag. Set `bridge` on the interface, list it
    in the `ports` of a bridge, or remove the key.
    """
    for host, interface in _interfaces(context):
        policy = context.cluster.policies.get(host.policy_name)
        if policy is None:
            continue
        stack, mark = Stack(host, policy), interface.place.at(_first_key(interface))
        name, key = f"{interface.name} on host {host.name}", _first_key(interface)
        bridge = stack.bridge_of.get(interface.name) or (interface if stack.is_bridged(interface) else None)
        if interface.is_vlan or interface.is_bridge:
            kind = "a VLAN" if interface.is_vlan else "a bridge itself"
            message = f"{name} is {kind}: {key} is for NICs and bonds that are ports of a bridge"
            yield Problem("KVN207", message, mark)
        elif bridge is None:
            hint = "set bridge: true, or kvm: true and network" if interface.name not in host.controllers else None
            yield Problem("KVN207", f"{name} has {key}, but is no port of a bridge", mark, hint=hint)
        elif bridge.bridge_settings.vlan_filtering is False:
            message = f"{name} has {key}, but its bridge has vlan_filtering: false"
            definition = Related(bridge.place.at("bridge", "vlan_filtering"), "VLAN filtering is turned off here")
            yield Problem("KVN207", message, mark, related=(definition,))


@check("KVN208", "bridge without its untagged network")
def find_bridges_without_untagged(context: Context) -> Iterator[Problem]:
    """
    The bridge has a network or addresses, and these are untagged. But a port of the bridge has `native` or `access`:
    its untagged frames are in another VLAN, and then no port of the bridge carries untagged frames of the bridge
    itself. The host could not be reached.

    Remove `native` or `access` from the port. Or remove `network` and the addresses from the bridge: give the host a
    VLAN over the NIC (eth0.40), or another NIC.
    """
    for host, view, bridge in _aware_bridges(context):
        owner = host.interfaces[bridge.interface]
        has_ip = owner.ipv4 != "none" or owner.ipv6 not in ("none", "link-local")
        if bridge.has_untagged or (owner.network is None and not has_ip):
            continue
        ports = [p for p in Stack(host, view.policy).ports(owner) if p.vlans is not None]
        port = next(p for p in ports if p.vlans is not None and p.vlans.untagged not in (None, DEFAULT_VLAN))
        key = "access" if port.place.has("access") else "native"
        thing = f"is on untagged network {owner.network}" if owner.network is not None else "has untagged addresses"
        message = f"bridge {bridge.name} on host {host.name} {thing}, but its port {port.name} has {key}"
        definition = Related(owner.place.mark, "the bridge is defined here") if owner is not port else None
        related = (definition,) if definition is not None else ()
        yield Problem("KVN208", message, port.place.at(key), related=related)


@check("KVN209", "VLAN over a VLAN-aware bridge")
def find_vlans_over_aware_bridges(context: Context) -> Iterator[Problem]:
    """
    The base interface of a VLAN is a VLAN-aware bridge. A VLAN-aware bridge delivers only its untagged frames to the
    host, so the VLAN would receive nothing: nmstate cannot make the bridge itself a member of a VLAN.

    Make the VLAN on the NIC: eth0.353 instead of br0.353. Guests in this VLAN cannot use the VLAN-aware bridge then:
    give the VLAN a bridge of its own (`eth0.353: {bridge: true}`).
    """
    for host, view, bridge in _aware_bridges(context):
        for vlan in view.vlans:
            if vlan.base != bridge.name:
                continue
            untagged = {*(nic.name for nic in view.nics), *(bond.name for bond in view.bonds)}
            ports = [port for port in bridge.ports if port in untagged]
            hint = f"make it on the port: {ports[0]}.{vlan.tag}" if ports else "remove vlan_filtering from the bridge"
            message = f"host {host.name}: VLAN {vlan.tag} is over {vlan.base}, which is VLAN-aware and would drop it"
            definition = Related(host.interfaces[bridge.interface].place.mark, f"{vlan.base} is defined here")
            yield Problem("KVN209", message, vlan.mark, related=(definition,), hint=hint)


@check("KVN210", "VLAN device takes a VLAN away from its bridge")
def find_taken_vlans(context: Context) -> Iterator[Problem]:
    """
    A VLAN device on a NIC takes all frames with its VLAN ID, before the bridge of the NIC sees them. The NIC is a port
    of a VLAN-aware bridge that should carry the same VLAN, or a guest on the bridge is in this VLAN. The guest would
    receive none of its frames.

    Connect the guest to the VLAN device: without `bridge` it gets a macvtap, with `bridge: true` a bridge of its own.
    Or remove the VLAN device. If only `trunk` of the NIC contains the VLAN, and no guest of this host, it is a warning:
    remove the VLAN from `trunk`.
    """
    reported: set[Mark] = set()
    for host, view, bridge in _aware_bridges(context):
        guests = [port for port in view.guest_ports if port.device == bridge.name and port.needs_vlans]
        for vlan in [*view.vlans, *view.guest_vlans]:
            if vlan.base not in bridge.ports or vlan.mark in reported:
                continue
            user = next((port for port in guests if vlan.tag in (port.untagged, *port.trunk)), None)
            is_carried = any(port == vlan.base and v.carries(vlan.tag) for port, v in bridge.port_vlans)
            if (user is None and not is_carried) or vlan.tag in _logical_tags(context, host, bridge):  # see KVN132
                continue
            reported.add(vlan.mark)
            loser = f"guest {user.guest} on {bridge.name}" if user is not None else f"bridge {bridge.name}"
            message = f"host {host.name}: {vlan.name} takes VLAN {vlan.tag} away from {loser}"
            definition = Related(host.interfaces[bridge.interface].place.mark, f"{bridge.name} is defined here")
            if user is not None:
                yield Problem("KVN210", message, vlan.mark, related=(definition,))
            else:
                hint = f"remove VLAN {vlan.tag} from trunk"
                yield Problem("KVN210", message, vlan.mark, severity=WARNING, related=(definition,), hint=hint)


def _logical_tags(context: Context, host: Host, bridge: BridgeView) -> set[int]:
    """Return the VLAN IDs of the logical VLANs over a bridge's network."""
    network = host.interfaces[bridge.interface].network
    return {n.vlan for n in context.cluster.networks.values() if n.over is not None and n.over == network and n.vlan}


@check("KVN211", "bridge does not carry the VLAN of a guest")
def find_vlans_not_carried(context: Context) -> Iterator[Problem]:
    """
    A guest on a VLAN-aware bridge is in a VLAN that none of the bridge's ports carries, so its frames would not leave
    the host. Add the VLAN to `trunk` of the port, or remove `trunk`: a port without it carries all logical VLANs over
    the bridge's network.

    Or the network of the VLAN has a larger MTU than the bridge, which would drop the guest's large frames. All networks
    on a VLAN-aware bridge have the MTU of the bridge. Set `mtu` on the bridge and its network, or give the VLAN a
    bridge of its own (`eth0.20: {bridge: true}`).
    """
    reported: set[Mark] = set()
    nics = {(g.name, nic.mac): nic for g in context.cluster.guests.values() for nic in g.nics}
    for host, view, bridge in _aware_bridges(context):
        definition = Related(host.interfaces[bridge.interface].place.mark, f"{bridge.name} is defined here")
        mtu = find_device_mtus(view)[bridge.name]
        for port in view.guest_ports:
            nic = nics[port.guest, port.mac]
            mark = nic.place.at("networks" if nic.trunk else "network")
            if port.device != bridge.name or mark in reported:
                continue
            networks = [context.cluster.networks[name] for name in nic.networks]
            large = next((n for n in networks if (n.mtu or 0) > mtu), None)
            missing = _find_missing_tags(bridge, port)
            if missing:
                tags = format_tags(missing)
                message = f"guest {port.guest}: no port of bridge {bridge.name} on host {host.name} carries VLAN {tags}"
                hint = f"add {tags} to trunk of {_port_keys(host, view, bridge)}"
            elif large is not None and port.needs_vlans:
                owner = f"bridge {bridge.name} on host {host.name}"
                message = (
                    f"guest {port.guest}: network {large.name} has MTU {large.mtu}, more than MTU {mtu} of {owner}"
                )
                hint = "give the VLAN a bridge of its own, or increase the MTU of the bridge"
            else:
                continue
            reported.add(mark)
            yield Problem("KVN211", message, mark, related=(definition,), hint=hint)


def _find_missing_tags(bridge: BridgeView, port: GuestPortView) -> list[int]:
    """Return the VLAN IDs of a guest that no port of its bridge carries; none for a bridge without ports."""
    tags = [tag for tag in (port.untagged, *port.trunk) if tag is not None]
    if not bridge.ports:
        return []
    default = {DEFAULT_VLAN} if bridge.has_untagged else set()
    return [tag for tag in tags if tag not in default and not any(v.carries(tag) for _, v in bridge.port_vlans)]


def _port_keys(host: Host, view: HostView, bridge: BridgeView) -> Optional[str]:
    """Return the keys of a bridge's ports."""
    stack = Stack(host, view.policy)
    return " or ".join(port.name for port in stack.ports(host.interfaces[bridge.interface]))
