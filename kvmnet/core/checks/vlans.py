"""Checks of VLANs and MTUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from kvmnet.core.base.problem import Mark, Problem, Related, did_you_mean
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.interface_kinds import is_like_bridge
from kvmnet.core.definition.model import Host, Interface, Network
from kvmnet.core.views.host_view import HostView, VlanView
from kvmnet.core.views.stack import Stack, possible_bridge_names


def _vlans(context: Context) -> Iterator[tuple[Host, Interface]]:
    """Every VLAN interface with its host."""
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            if interface.is_vlan:
                yield host, interface


@check("KVN130", "VLAN ID out of range")
def find_ids_out_of_range(context: Context) -> Iterator[Problem]:
    """
    A VLAN ID is a number from 1 to 4094. 0 and 4095 are reserved (IEEE 802.1Q). Correct the VLAN ID. For an untagged
    network, remove the `vlan` key.
    """
    for host, interface in _vlans(context):
        if interface.tag is not None and not 1 <= interface.tag <= 4094:
            message = f"{interface.name} on host {host.name}: VLAN ID {interface.tag} is not in the range 1 to 4094"
            yield Problem("KVN130", message, interface.place.mark)


@check("KVN131", "logical VLAN without a VLAN ID or an untagged base network")
def find_invalid_logical_vlans(context: Context) -> Iterator[Problem]:
    """
    A network with `over` is a logical VLAN: its frames are tagged on the NICs of the network that `over` names. It
    needs a VLAN ID (`vlan`). The network that `over` names must be untagged: without `vlan` and without `over`.
    """
    networks = context.cluster.networks
    for network in networks.values():
        if network.over is None:
            continue
        if not network.place.has("vlan"):
            message = f"network {network.name} has over: {network.over} but no vlan"
            yield Problem("KVN131", message, network.place.mark)
        base = networks.get(network.over)
        if base is not None and (base.vlan is not None or base.over is not None):
            message = f"network {network.name} cannot be over {base.name}, which is a VLAN itself"
            definition = Related(base.place.mark, f"network {base.name} is defined here")
            yield Problem("KVN131", message, network.place.at("over"), related=(definition,))


@check("KVN132", "VLAN ID used twice on the same NIC")
def find_duplicate_ids(context: Context) -> Iterator[Problem]:
    """
    Two VLANs on the same NIC have the same VLAN ID, but the kernel allows only one VLAN device with this ID on a NIC.
    Either two logical VLANs over the same network have the same ID, or a VLAN interface (eth0.2) has the ID of a
    logical VLAN. Change one of the IDs.

    The same holds for a VLAN over a bridge and a VLAN on a port of this bridge: the VLAN on the port would take the
    frames, and the one over the bridge would receive none. Define the VLAN once: over the bridge if guests on the
    bridge use it too.
    """
    first: dict[tuple[str, int], tuple[str, Mark]] = {}
    logical = [network for network in context.cluster.networks.values() if network.over is not None]
    for network in logical:
        if network.over is None or network.vlan is None:
            continue
        key = network.over, network.vlan
        if key in first:
            name, mark = first[key]
            message = f"VLAN ID {network.vlan} over {network.over} is already used by network {name}"
            yield Problem("KVN132", message, network.place.at("vlan"), related=(Related(mark, "first used here"),))
        else:
            first[key] = network.name, network.place.at("vlan")
    for host, interface in _vlans(context):
        parent = host.interfaces.get(interface.parent or "")
        for network in logical:
            if parent is None or network.over != parent.network:
                continue
            if network.vlan is not None and network.vlan == interface.tag:
                user = f"logical VLAN {network.name}"
                message = f"{interface.name} on host {host.name}: VLAN ID {interface.tag} is already used by {user}"
                definition = Related(network.place.at("vlan"), f"{user} is defined here")
                yield Problem("KVN132", message, interface.place.mark, related=(definition,))
    for view in context.views.values():
        yield from _find_ids_used_below(view)
        yield from _find_ids_used_twice(view)


def _find_ids_used_twice(view: HostView) -> Iterator[Problem]:
    """Yield a problem for each second VLAN device with the same ID on one interface. Of the same name: see KVN151."""
    seen: dict[tuple[str, int], VlanView] = {}
    for vlan in view.vlans:
        other = seen.setdefault((vlan.base, vlan.tag), vlan)
        if other.name != vlan.name:
            message = f"host {view.host}: VLAN ID {vlan.tag} on {vlan.base} is already used by {other.name}"
            yield Problem("KVN132", message, vlan.mark, related=(Related(other.mark, "first used here"),))


def _find_ids_used_below(view: HostView) -> Iterator[Problem]:
    """Yield a problem for each VLAN over a bridge whose ID is also used on a port of the bridge."""
    ports = {bridge.name: bridge.ports for bridge in view.bridges}
    over_bridges = [vlan for vlan in view.vlans if vlan.base in ports]
    vlans = {(vlan.base, vlan.tag): vlan for vlan in [*view.vlans, *view.guest_vlans]} if over_bridges else {}
    for vlan in over_bridges:
        for port in ports[vlan.base]:
            other = vlans.get((port, vlan.tag))
            if other is not None:
                message = (
                    f"host {view.host}: VLAN ID {vlan.tag} over bridge {vlan.base} is already used on its port {port}"
                )
                definition = Related(other.mark, f"{other.name} is defined here")
                yield Problem("KVN132", message, vlan.mark, related=(definition,))


@check("KVN133", "interface and network have different VLAN IDs")
def find_mismatched_ids(context: Context) -> Iterator[Problem]:
    """
    The key of a VLAN ends in its VLAN ID (eth0.5). Its network must have the same ID (`vlan: 5`). A NIC or bond (eth0)
    must be on an untagged network. A bridge must be on the network of one of its ports: for a port eth0.5 a network
    with this ID, for a port eth0 an untagged one. A logical VLAN (`over`) is for guests only: no interface of a host
    can be on it. Correct the key or the `network` of the interface.
    """
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            network = context.cluster.networks.get(interface.network or "")
            if network is None:
                continue
            is_bridge, is_logical = interface.is_bridge, network.over is not None
            has_same_id = network.vlan == interface.tag and (network.vlan is not None) == interface.is_vlan
            if has_same_id and not is_bridge and not is_logical:
                continue
            mark, name = interface.place.at("network"), f"{interface.name} on host {host.name}"
            definition = (Related(network.place.at("vlan"), f"network {network.name} is defined here"),)
            if is_logical:
                message = f"{name}: network {network.name} is a logical VLAN, which is for guests only"
                yield Problem("KVN133", message, mark, related=definition)
            elif is_bridge:
                yield from _find_mismatched_ports(host, interface, network, definition)
            elif network.vlan is None and interface.is_vlan:
                message = f"{name} is a VLAN, but network {network.name} has no VLAN ID"
                yield Problem("KVN133", message, mark, related=definition)
            elif network.vlan is not None and not interface.is_vlan:
                kind = "bond" if interface.is_bond else "NIC"
                message = f"{name} is a {kind}, but network {network.name} has VLAN ID {network.vlan}"
                hint = f"define the VLAN as interface {interface.name}.{network.vlan}"
                yield Problem("KVN133", message, mark, related=definition, hint=hint)
            elif network.vlan != interface.tag:
                message = f"{name} has VLAN ID {interface.tag}, but network {network.name} has VLAN ID {network.vlan}"
                yield Problem("KVN133", message, mark, related=definition)


def _find_mismatched_ports(
    host: Host, bridge: Interface, network: Network, definition: tuple[Related, ...]
) -> Iterator[Problem]:
    """Yield a problem if none of a bridge's ports carries the bridge's network."""
    ports = [host.interfaces[name] for name in bridge.ports if name in host.interfaces]
    if not ports or any(port.tag == network.vlan for port in ports):
        return
    needed = "an untagged network" if network.vlan is None else f"VLAN ID {network.vlan}"
    message = f"{bridge.name} on host {host.name} is on network {network.name} ({needed}), but none of its ports is"
    hint = None
    if network.vlan is not None:
        hint = f"make the VLAN its port: {ports[0].name}.{network.vlan} instead of {ports[0].name}"
    yield Problem("KVN133", message, bridge.place.at("network"), related=definition, hint=hint)


@check("KVN134", "VLAN without a base interface")
def find_vlans_without_base(context: Context) -> Iterator[Problem]:
    """
    eth0.5 is a VLAN on base interface eth0. The host must have an interface eth0, and it must be a NIC, a bond or a
    bridge. The base interface can also be the bridge of another interface, by its name: br-eth0.5, or `over: br0` where
    a NIC has `bridge: br0`. Correct the key of the VLAN or `over`, or define the base interface.
    """
    for host, interface in _vlans(context):
        parent, mark = interface.parent or "", interface.place.at("over")
        name = f"{interface.name} on host {host.name}"
        if parent in host.interfaces:
            if host.interfaces[parent].is_vlan:
                message = f"{name}: base interface {parent} is a VLAN itself"
                yield Problem("KVN134", message, interface.place.mark)
            continue
        owner, hint = _find_bridge_owner(context, host, parent)
        if owner is None:
            yield Problem("KVN134", f"{name}: base interface {parent} is not defined", mark, hint=hint)


def _find_bridge_owner(context: Context, host: Host, name: str) -> tuple[Optional[Interface], Optional[str]]:
    """Return the NIC, bond or VLAN whose bridge has this name, or None and a hint."""
    policy = context.cluster.policies.get(host.policy_name)
    if policy is None:
        return None, None
    stack = Stack(host, policy)
    owner = stack.find_bridge_owner(name)
    if owner is not None:
        return owner, None
    for interface in host.interfaces.values():
        if not interface.is_bridge and name in possible_bridge_names(interface, policy):
            if host.bridged(interface):
                return interface, None  # the checks of loops and base interfaces report it
            fix = f"set bridge: true on {interface.name}, or kvm: true on the host"
            return None, f"{name} would be the bridge of {interface.name}, which has none: {fix}"
    known = [i.name for i in host.interfaces.values() if not i.is_vlan] + [stack.top(i) for i in stack.bridged]
    if is_like_bridge(name):
        return None, f"define the bridge ({name}: {{type: bridge}}), or name it on its port (bridge: {name})"
    return None, did_you_mean(name, dict.fromkeys(known))


@check("KVN135", "mac or match on a VLAN")
def find_vlans_with_mac(context: Context) -> Iterator[Problem]:
    """`mac` and `match` identify NICs. A VLAN has the MAC address of its base interface. Set the key on the NIC."""
    for host, interface in _vlans(context):
        for key in ("mac", "match"):
            if interface.place.has(key):
                message = f"{interface.name} on host {host.name} is a VLAN: set {key} on {interface.parent} instead"
                yield Problem("KVN135", message, interface.place.at(key))


@check("KVN140", "MTU smaller than that of the interface's network or VLAN")
def find_mtus_below_vlans(context: Context) -> Iterator[Problem]:
    """
    The `mtu` of an interface is smaller than that of its network or of a VLAN on it. The kernel rejects a VLAN with a
    larger MTU than its base interface (ERANGE). Remove `mtu` from the interface: it then gets the largest MTU that its
    network and VLANs need.
    """
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            if interface.mtu is None:
                continue
            for other in host.interfaces.values():
                network = context.cluster.networks.get(other.network or "")
                mtu = other.mtu or (network.mtu if network else None)
                if other.name == interface.name:
                    mtu = network.mtu if network else None
                elif not other.is_vlan or _base_key(context, host, other) != interface.name:
                    continue
                if mtu is not None and mtu > interface.mtu:
                    is_of_network = network is not None and mtu == network.mtu
                    owner = f"network {network.name}" if network and is_of_network else other.name
                    mark = network.place.at("mtu") if network and is_of_network else other.place.at("mtu")
                    name = f"{interface.name} on host {host.name}"
                    message = f"{name} has MTU {interface.mtu}, less than MTU {mtu} of {owner}"
                    definition = Related(mark, f"MTU {mtu} is set here")
                    yield Problem("KVN140", message, interface.place.at("mtu"), related=(definition,))
            yield from _find_mtus_below_logical_vlans(context, host, interface)


def _base_key(context: Context, host: Host, vlan: Interface) -> Optional[str]:
    """Return the key of the interface that a VLAN is on: of its base interface, or of the one below that bridge."""
    if vlan.parent in host.interfaces:
        return vlan.parent
    owner, _ = _find_bridge_owner(context, host, vlan.parent or "")
    return owner.name if owner is not None else None


def _find_mtus_below_logical_vlans(context: Context, host: Host, interface: Interface) -> Iterator[Problem]:
    """Yield a problem for each logical VLAN on an interface that has a larger MTU than the interface."""
    view = context.views.get(host.name)
    if view is None:
        return
    bases = {nic.name: (nic.interface, nic.mtu) for nic in view.nics}
    bases.update({bridge.name: (bridge.interface, bridge.mtu) for bridge in view.bridges if interface.is_bridge})
    for device, (key, mtu) in bases.items():
        for vlan in view.guest_vlans:
            if key == interface.name and vlan.base == device and (vlan.mtu or 0) > (mtu or 0):
                owner = f"{interface.name} on host {host.name}"
                message = f"{owner} has MTU {mtu}, less than MTU {vlan.mtu} of a logical VLAN"
                definition = Related(vlan.mark, "the logical VLAN is defined here")
                yield Problem("KVN140", message, interface.place.at("mtu"), related=(definition,))


@check("KVN141", "MTU too small for IPv6")
def find_mtus_too_small_for_ipv6(context: Context) -> Iterator[Problem]:
    """
    IPv6 needs an MTU of at least 1280 bytes (RFC 8200, section 5). The kernel disables IPv6 on an interface with a
    smaller MTU. Increase `mtu`, or remove the IPv6 subnets from the network.
    """
    for network in context.cluster.networks.values():
        if network.mtu is not None and network.mtu < 1280 and any(s.net.version == 6 for s in network.subnets):
            message = f"network {network.name} has MTU {network.mtu}, but its IPv6 subnet needs at least 1280"
            yield Problem("KVN141", message, network.place.at("mtu"))
