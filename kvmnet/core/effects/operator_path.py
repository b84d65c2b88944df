"""Whether a change touches the way by which its operator came in, and which way in proves that it was none too bad."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kvmnet.core.base.nmstate import FAMILIES, State, interfaces_of, port_names, routes_of
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.planning.plan import Plan

#: nmstate's types that are told with what lies under them, or under which nothing does. Of any other, a tunnel, nobody
#: can say what it goes over.
_TOLD = (
    *("ethernet", "infiniband", "bond", "team", "vlan", "mac-vlan", "mac-vtap", "veth", "dummy", "loopback", "vrf"),
    *("linux-bridge", "ovs-bridge", "ovs-interface"),
)


def touches(plan: Plan, live: State, address: str, peer: str = "") -> bool:
    """Whether the interface that has `address` now, or one below it (a bridge's port, a VLAN's base), is
    changed by the plan, or by what an answer to `peer` leaves afterwards; True as well where no interface has it: then
    nobody can say."""
    if not (plan.touched or plan.state):
        return False
    names, changed = _holders(live, address), _depending(plan, live)
    if not names:
        return not plan.empty
    if names & (changed | _tunnels(live)):
        return True
    ways = list(_ways(live, peer, "running"))
    now = {name for size, name in ways if size == max(size for size, _ in ways)}
    return bool(now & changed or _answering(plan, live, peer))


def _tunnels(live: State) -> set[str]:
    return {str(i["name"]) for i in interfaces_of(live) if i.get("type", "ethernet") not in _TOLD}


def _holders(live: State, address: str) -> set[str]:
    return {str(i["name"]) for i in interfaces_of(live) if address in _addresses(i)}


def _answering(plan: Plan, live: State, peer: str) -> set[str]:
    """The interfaces by which the plan would have an address answered: by a route, or by a subnet of their own, that is
    as narrow as the way of now."""
    now = max((size for size, _ in _ways(live, peer, "running")), default=0)
    return {name for size, name in _ways(plan.state, peer, "config") if size >= now}


def _ways(state: State, peer: str, kind: str) -> Iterator[tuple[int, str]]:
    """By what a state has an address answered: the length of the prefix, and the interface."""
    if not peer:
        return
    ip = ipaddress.ip_address(peer)
    found = [
        (route["destination"], route.get("next-hop-interface"))
        for route in state.get("routes", {}).get(kind, [])
        if route.get("state") != "absent" and route.get("destination")
    ]
    for interface in interfaces_of(state):
        held = [a for family in FAMILIES for a in interface.get(family, {}).get("address", [])]
        found += [(f"{a['ip']}/{a['prefix-length']}", interface["name"]) for a in held if "prefix-length" in a]
    for network, name in found:
        subnet = ipaddress.ip_network(network, strict=False)
        if name and ip in subnet:
            yield subnet.prefixlen, str(name)


def proving(plan: Plan, live: State, address: str = "", peer: str = "", more: Collection[str] = ()) -> tuple[str, ...]:
    """By which interfaces a word from outside must come in to prove something: what the plan changes (and `more`), by
    the names before and after, and what stands on it. Empty where none of them is to have an address: nobody can come
    in by what changes then, and every new connection says what there is to say. A link-local address is none of
    these, unless the caller came in by one (`address`)."""
    names = _depending(plan, live, more)
    holders = _holders(live, address)
    if names and not names & holders and touches(plan, live, address, peer):
        names |= holders  # a tunnel over it, or a way in of which the way back changes
    by_itself = bool(address) and is_link_local(address) and touches(plan, live, address)
    return tuple(sorted(names)) if by_itself or any(_to_come_in(name, plan, live) for name in names) else ()


def _depending(plan: Plan, live: State, more: Collection[str] = ()) -> set[str]:
    """What is changed, and what stands on it: an address there is out of reach when the change is a mistake."""
    above: dict[str, set[str]] = {}
    for state in (live, plan.bundle.state):
        for interface in interfaces_of(state):
            for below in _below(interface):
                above.setdefault(below, set()).add(str(interface["name"]))
    routes = routes_of(plan.state)
    new = {*plan.touched, *more, *(str(r["next-hop-interface"]) for r in routes)}
    found: set[str] = set()
    while new:
        found |= new
        new = {name for below in new for name in above.get(below, ())} - found
    return found


def _to_come_in(name: str, plan: Plan, live: State) -> bool:
    """Whether this interface has an address after the change by which somebody from elsewhere may come. One that is
    to get it by itself (DHCP) counts only where the bundle says so: what it does not speak of has one or not."""
    wanted, there = _named(name, plan.bundle.state), _named(name, live)
    if not wanted and name in {*plan.leaving, *(r.old for r in plan.renames)}:
        return False
    for family in FAMILIES:
        said = wanted.get(family)
        if said and said.get("enabled") and (said.get("dhcp") or said.get("autoconf")):
            return True
        held = (said or there.get(family, {})).get("address", [])
        if any(not is_link_local(str(a["ip"])) for a in held):
            return True
    return False


def _named(name: str, state: State) -> Mapping[str, Any]:
    return next((i for i in interfaces_of(state) if i["name"] == name), {})


def _addresses(interface: Mapping[str, Any]) -> list[str]:
    return [str(a["ip"]) for family in FAMILIES for a in interface.get(family, {}).get("address", [])]


def _below(interface: Mapping[str, Any]) -> list[str]:
    bases = [interface[kind].get("base-iface") for kind in ("vlan", "mac-vtap", "mac-vlan") if kind in interface]
    return port_names(interface) + [str(b) for b in bases if b]
