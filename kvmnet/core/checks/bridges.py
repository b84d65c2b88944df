"""Checks of bridges: their ports, settings and names."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import Mark, Problem, Related, did_you_mean, quoted
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.interface_kinds import is_like_bridge
from kvmnet.core.definition.model import Host, Interface
from kvmnet.core.definition.naming_policy import NamingPolicy
from kvmnet.core.guests.guest_migration import find_device_mtus
from kvmnet.core.views.mtu import ETHERNET_MTU
from kvmnet.core.views.stack import Stack, possible_bridge_names


def _interfaces(context: Context) -> Iterator[tuple[Host, Interface]]:
    """Every interface with its host."""
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            yield host, interface


def _bridges(context: Context) -> Iterator[tuple[Host, Interface]]:
    """Every interface that is a bridge itself, with its host."""
    return ((host, interface) for host, interface in _interfaces(context) if interface.is_bridge)


@check("KVN200", "ports without a type: bridge or bond?")
def find_ports_without_type(context: Context) -> Iterator[Problem]:
    """
    An interface with `ports` and without `type` is a bond. This one has a name that people give to bridges, such as
    br0, vmbr0 or br-lan, so kvmnet does not guess. Write `type: bridge` for a bridge, or `type: bond` for a bond.

    A NIC, bond or VLAN can also get a bridge by its own key: `bridge: br0`. An empty list of ports needs no type: a
    bond has at least one port.
    """
    reported: set[Mark] = set()
    for host, interface in _interfaces(context):
        ports, mark = interface.ports, interface.place.at("ports")
        if not ports or interface.place.has("type") or not is_like_bridge(interface.name) or mark in reported:
            continue
        reported.add(mark)  # one problem for a template of 200 hosts
        listed = f"ports: [{', '.join(ports)}]"
        message = f"{interface.name} on host {host.name} has ports but no type: without type, ports make a bond"
        hint = f"for a bridge write {interface.name}: {{type: bridge, {listed}}}, for a bond {{type: bond, {listed}}}"
        yield Problem("KVN200", message, mark, hint=hint)


@check("KVN201", "bridge port that cannot be a port")
def find_invalid_ports(context: Context) -> Iterator[Problem]:
    """
    The `ports` of a bridge are the keys of NICs, bonds, VLANs and dummies of the same host. A bridge cannot be a port
    of a bridge, nor can the loopback interface. InfiniBand interfaces (ib0) cannot be ports, because IPoIB has no
    Ethernet frames, nor can BMCs (ipmi). Remove the key from `ports`, or correct it. The taps of guests are not listed:
    libvirt adds them.
    """
    for host, bridge in _bridges(context):
        for number, name in enumerate(bridge.ports):
            port, mark = host.interfaces.get(name), bridge.place.at("ports", number)
            if port is None:
                possible = [
                    i.name
                    for i in host.interfaces.values()
                    if not i.is_bridge and not i.left_alone and not i.is_infiniband
                ]
                message = f"port {quoted(name)} of {bridge.name} is not an interface of host {host.name}"
                yield Problem("KVN201", message, mark, hint=did_you_mean(name, possible))
            elif port.is_bridge or port.left_alone or port.is_loopback or host.is_over_infiniband(port):
                kinds = {"bridge": "a bridge itself", "loopback": "the loopback interface"}
                reason = "not managed by kvmnet" if port.left_alone else kinds.get(port.kind, "InfiniBand")
                definition = Related(port.place.mark, f"{name} is defined here")
                message = f"{bridge.name} on host {host.name}: {name} cannot be a port, it is {reason}"
                yield Problem("KVN201", message, mark, related=(definition,))


@check("KVN202", "bridge port with settings of its own")
def find_configured_ports(context: Context) -> Iterator[Problem]:
    """
    A port of a bridge cannot have addresses or another bridge: frames to the host go to the bridge. Move the addresses
    to the bridge, and remove `bridge` from the port. The port may have a `network` and VLANs.
    """
    for host, port in _interfaces(context):
        bridge = host.controllers.get(port.name)
        if bridge is None or not bridge.is_bridge or port.is_bridge:
            continue
        for key in ("addresses", "ipv4", "ipv6", "bridge"):
            is_disabled = key in ("ipv4", "ipv6") and port.source(int(key[3])) == "none"
            is_disabled = is_disabled or (key == "bridge" and port.bridge is False)
            if port.place.tree.get(key) is not None and not is_disabled:
                fix = "remove bridge" if key == "bridge" else f"set {key} on the bridge instead"
                message = f"{port.name} on host {host.name} is a port of bridge {bridge.name}: {fix}"
                definition = Related(bridge.place.at("ports"), f"the ports of {bridge.name}")
                yield Problem("KVN202", message, port.place.at(key), related=(definition,))


@check("KVN203", "bridge port with a smaller MTU than its bridge")
def find_port_mtus_below_bridge(context: Context) -> Iterator[Problem]:
    """
    A port of a bridge must not have a smaller MTU than the bridge: the port would drop the bridge's larger frames.
    Increase or remove the `mtu` of the port, or set a smaller one on the bridge.
    """
    for view in context.views.values():
        host = context.cluster.hosts[view.host]
        if not any(interface.is_bridge for interface in host.interfaces.values()):
            continue
        stack, mtus = Stack(host, view.policy), find_device_mtus(view)
        bridge_mtus = {bridge.interface: bridge.mtu or ETHERNET_MTU for bridge in view.bridges}
        for bridge in stack.bridges:
            for port in stack.ports(bridge):
                mtu, bridge_mtu = mtus[stack.device(port)], bridge_mtus[bridge.name]
                if mtu < bridge_mtu:
                    name = f"{port.name} on host {host.name}"
                    message = f"{name} has MTU {mtu}, less than MTU {bridge_mtu} of bridge {bridge.name}"
                    definition = Related(bridge.place.mark, "the bridge is defined here")
                    yield Problem("KVN203", message, port.place.at("mtu"), related=(definition,))


@check("KVN204", "VLAN over a bridge that is on this VLAN")
def find_loops(context: Context) -> Iterator[Problem]:
    """
    A VLAN is over a bridge, and the bridge has the VLAN as a port, directly or through other bridges and VLANs. The
    kernel cannot create such a loop. Remove the VLAN from the ports of the bridge, or change the base interface of the
    VLAN.
    """
    for host, vlan in _interfaces(context):
        if not vlan.is_vlan:
            continue
        policy, parent = context.cluster.policies.get(host.policy_name), host.interfaces.get(vlan.parent or "")
        if policy is None or (parent is not None and not parent.is_bridge):
            continue
        loop = _find_loop(host, policy, vlan)
        if loop and vlan.name == min(name for name in loop if host.interfaces[name].is_vlan):  # one problem for a loop
            message = f"{vlan.name} on host {host.name} is over {vlan.parent}, which is on {vlan.name} itself"
            way = f"the loop: {' -> '.join([*loop, vlan.name])}" if len(loop) > 2 else None
            yield Problem("KVN204", message, vlan.place.mark, hint=way)


def _find_loop(host: Host, policy: NamingPolicy, start: Interface) -> list[str]:
    """Return the keys of the interfaces from a VLAN down to itself; empty if it is in no loop."""
    pending, seen = [[start.name]], set()
    while pending:
        chain = pending.pop()
        for name in _keys_below(host, policy, host.interfaces[chain[-1]]):
            if name == start.name:
                return chain
            if name not in seen:
                seen.add(name)
                pending.append([*chain, name])
    return []


def _keys_below(host: Host, policy: NamingPolicy, interface: Interface) -> list[str]:
    """Return the keys of the interfaces that a bridge or a VLAN over a bridge is on."""
    if interface.is_bridge:
        return [port for port in interface.ports if port in host.interfaces]
    if not interface.is_vlan:
        return []
    parent = interface.parent or ""
    if parent in host.interfaces:
        return [parent] if host.interfaces[parent].is_bridge else []
    return [i.name for i in host.interfaces.values() if host.bridged(i) and parent in possible_bridge_names(i, policy)]


@check("KVN205", "bridge setting that has no effect")
def find_settings_without_effect(context: Context) -> Iterator[Problem]:
    """
    `priority` is the priority of the bridge in the Spanning Tree Protocol. It has no effect if STP is disabled, and not
    every version of NetworkManager sets it then. Set `stp: true`, or remove `priority`.
    """
    for view in context.views.values():
        host = context.cluster.hosts[view.host]
        for bridge in view.bridges:
            if bridge.priority is not None and not bridge.stp:
                message = f"bridge {bridge.name} on host {host.name} has a priority but no STP"
                mark = host.interfaces[bridge.interface].place.at("bridge", "priority")
                yield Problem("KVN205", message, mark, hint="set stp: true, or remove priority")
