"""The path by which the operator reached this host: whether a change affects it, and which interfaces a confirmation
must come through."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kvmnet.core.base.nmstate import FAMILIES, State, interfaces_of, port_names, routes_of
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.planning.plan import Plan

#: nmstate's types that are shown with what is below them, or have nothing below. What any other type (a tunnel) runs
#: over is unknown.
_KNOWN_TYPES = (
    *("ethernet", "infiniband", "bond", "team", "vlan", "mac-vlan", "mac-vtap", "veth", "dummy", "loopback", "vrf"),
    *("linux-bridge", "ovs-bridge", "ovs-interface"),
)


def affects_operator(plan: Plan, live: State, address: str, peer: str = "") -> bool:
    """Whether the plan changes the interface that has `address` now, one below it (a bridge's port, a VLAN's base
    interface), or the route by which a reply to `peer` leaves. Also True when no interface has the address: then it is
    unknown."""
    if not (plan.touched or plan.state):
        return False
    holders, affected = _find_holders(live, address), _find_affected(plan, live)
    if not holders:
        return not plan.empty
    if holders & (affected | _find_tunnels(live)):
        return True
    routes = list(_find_routes(live, peer, "running"))
    reply_interfaces = {name for size, name in routes if size == max(size for size, _ in routes)}
    return bool(reply_interfaces & affected or _find_new_reply_interfaces(plan, live, peer))


def _find_tunnels(live: State) -> set[str]:
    return {str(i["name"]) for i in interfaces_of(live) if i.get("type", "ethernet") not in _KNOWN_TYPES}


def _find_holders(live: State, address: str) -> set[str]:
    return {str(i["name"]) for i in interfaces_of(live) if address in _addresses(i)}


def _find_new_reply_interfaces(plan: Plan, live: State, peer: str) -> set[str]:
    """Return the interfaces by which the plan would send replies to `peer`: by a route or a subnet of their own that
    is at least as specific as the route of now."""
    current = max((size for size, _ in _find_routes(live, peer, "running")), default=0)
    return {name for size, name in _find_routes(plan.state, peer, "config") if size >= current}


def _find_routes(state: State, peer: str, kind: str) -> Iterator[tuple[int, str]]:
    """Return the routes and subnets of a state that lead to `peer`: the length of the prefix, and the interface."""
    if not peer:
        return
    ip = ipaddress.ip_address(peer)
    destinations = [
        (route["destination"], route.get("next-hop-interface"))
        for route in state.get("routes", {}).get(kind, [])
        if route.get("state") != "absent" and route.get("destination")
    ]
    for interface in interfaces_of(state):
        addresses = [a for family in FAMILIES for a in interface.get(family, {}).get("address", [])]
        destinations += [
            (f"{a['ip']}/{a['prefix-length']}", interface["name"]) for a in addresses if "prefix-length" in a
        ]
    for network, name in destinations:
        subnet = ipaddress.ip_network(network, strict=False)
        if name and ip in subnet:
            yield subnet.prefixlen, str(name)


def find_confirming_interfaces(
    plan: Plan, live: State, address: str = "", peer: str = "", also_changed: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the interfaces through which a connection must come in to confirm the change.

    These are the interfaces that the plan changes (and `also_changed`), by their names before and after, and those
    above them. The result is empty when none of them has an address afterwards: then nobody can connect through what
    changes, and any new connection confirms. A link-local address does not count, unless the operator came in by one
    (`address`; `peer` is the other end).
    """
    names = _find_affected(plan, live, also_changed)
    holders = _find_holders(live, address)
    if names and not names & holders and affects_operator(plan, live, address, peer):
        names |= holders  # a tunnel over an affected interface, or an interface whose replies will leave elsewhere
    is_by_link_local = bool(address) and is_link_local(address) and affects_operator(plan, live, address)
    if is_by_link_local or any(_is_reachable_after(name, plan, live) for name in names):
        return tuple(sorted(names))
    return ()


def _find_affected(plan: Plan, live: State, also_changed: Collection[str] = ()) -> set[str]:
    """Return what is changed and what is above it: an address there is unreachable when the change is a mistake."""
    above: dict[str, set[str]] = {}
    for state in (live, plan.bundle.state):
        for interface in interfaces_of(state):
            for below in _names_below(interface):
                above.setdefault(below, set()).add(str(interface["name"]))
    routes = routes_of(plan.state)
    new = {*plan.touched, *also_changed, *(str(r["next-hop-interface"]) for r in routes)}
    affected: set[str] = set()
    while new:
        affected |= new
        new = {name for below in new for name in above.get(below, ())} - affected
    return affected


def _is_reachable_after(name: str, plan: Plan, live: State) -> bool:
    """Whether the interface has an address after the change that other hosts can reach. A dynamic one counts only when
    the bundle contains the interface: otherwise it is unknown whether there will be one."""
    desired, current = _find_interface(name, plan.bundle.state), _find_interface(name, live)
    if not desired and (name in plan.leaving or name in plan.new_names):
        return False
    for family in FAMILIES:
        settings = desired.get(family)
        if settings and settings.get("enabled") and (settings.get("dhcp") or settings.get("autoconf")):
            return True
        addresses = (settings or current.get(family, {})).get("address", [])
        if any(not is_link_local(str(a["ip"])) for a in addresses):
            return True
    return False


def _find_interface(name: str, state: State) -> Mapping[str, Any]:
    return next((i for i in interfaces_of(state) if i["name"] == name), {})


def _addresses(interface: Mapping[str, Any]) -> list[str]:
    return [str(a["ip"]) for family in FAMILIES for a in interface.get(family, {}).get("address", [])]


def _names_below(interface: Mapping[str, Any]) -> list[str]:
    bases = [interface[kind].get("base-iface") for kind in ("vlan", "mac-vtap", "mac-vlan") if kind in interface]
    return port_names(interface) + [str(b) for b in bases if b]
