"""What of a desired nmstate state a live one does not have.

nmstate itself has no such shortcut: it rewrites and re-applies every interface that it is given, so what
is not sent is what is neither slow nor cut (nmstate 2.2.62). A desired key counts as present when the live
state has the same value; keys that the desired state does not name are nobody's business.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Optional

from kvmnet.core.base.nmstate import State, interfaces_of

#: Lists whose entries are found by one of their keys, whatever their order.
_KEYED = {"port": "name", "address": "ip"}
#: The kernel's main routing table, which nmstate calls 0 too.
MAIN_TABLE = 254


def interface_differences(desired: Mapping[str, Any], live: Optional[Mapping[str, Any]]) -> list[str]:
    """One line a difference (`ipv4.address: none -> 10.1.255.254/16`); empty when nothing is missing."""
    if live is None:
        return ["absent -> " + str(desired.get("type", "interface"))]
    return _compare(_without_identity(desired, live), live, "")


def _without_identity(desired: Mapping[str, Any], live: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whoever has a lease keeps what it asked for it by (core/planning/dhcp_identity), so that is no difference."""
    family, there = desired.get("ipv4"), live.get("ipv4")
    if not isinstance(family, Mapping) or not isinstance(there, Mapping) or not there.get("dhcp"):
        return desired
    return {**desired, "ipv4": {key: value for key, value in family.items() if key != "dhcp-client-id"}}


def _compare(desired: Any, live: Any, path: str) -> list[str]:
    if isinstance(desired, Mapping):
        if not isinstance(live, Mapping):
            return [f"{path}: {_text(live)} -> {_text(desired)}"]
        found = []
        for key in desired:
            found += _compare(desired[key], live.get(key), f"{path}.{key}" if path else str(key))
        return found
    if isinstance(desired, list):
        return _compare_lists(desired, live if isinstance(live, list) else [], path)
    if _plain(desired) != _plain(live) and not _same_number(desired, live):
        return [f"{path}: {_text(live)} -> {_text(desired)}"]
    return []


def _compare_lists(desired: list[Any], live: list[Any], path: str) -> list[str]:
    last = path.rpartition(".")[2]
    if last == "port" and all(isinstance(x, str) for x in [*desired, *live]):  # a bond's: in no order
        return [f"{path}: {_text(sorted(live))} -> {_text(desired)}"] if set(desired) != set(live) else []
    key = _KEYED.get(last)
    if key is None or not all(isinstance(x, Mapping) for x in [*desired, *live]):
        return [f"{path}: {_text(live)} -> {_text(desired)}"] if _plain(desired) != _plain(live) else []
    there = {_plain(x.get(key)): x for x in live}
    missing = [x for x in desired if _compare(x, there.get(_plain(x[key])), path)]
    surplus: list[Any] = []
    if key == "ip":  # an address that is not in the definition must go; a port that libvirt added must not
        wanted = {_plain(x[key]) for x in desired}
        surplus = [x for x in live if _plain(x.get(key)) not in wanted and not made_by_itself(x)]
    return [f"{path}: {_text(live)} -> {_text(desired)}"] if missing or surplus else []


def projection(desired: Any, live: Any, path: str = "") -> Any:
    """As much of a live value as `interface_differences` looks at: equal projections have equal differences.
    What changes by itself (lifetimes, counters, addresses from DHCP, ports that libvirt added) is not in it."""
    if isinstance(desired, Mapping):
        if not isinstance(live, Mapping):
            return _plain(live)
        return {str(k): projection(desired[k], live.get(k), f"{path}.{k}") for k in desired}
    if not isinstance(desired, list):
        return _plain(live)
    last, rows = path.rpartition(".")[2], live if isinstance(live, list) else []
    if last == "port" and all(isinstance(x, str) for x in [*desired, *rows]):
        return sorted(rows)
    key = _KEYED.get(last)
    if key is None or not all(isinstance(x, Mapping) for x in [*desired, *rows]):
        return [_plain(x) for x in rows]
    wanted = {_plain(x[key]): x for x in desired}
    told = [projection(wanted[_plain(x.get(key))], x, path) for x in rows if _plain(x.get(key)) in wanted]
    if key == "ip":
        told += [
            {"ip": _plain(x.get("ip"))} for x in rows if _plain(x.get("ip")) not in wanted and not made_by_itself(x)
        ]
    return sorted(told, key=lambda row: str(row.get(key)))


def made_by_itself(address: Mapping[str, Any]) -> bool:
    """An IPv6 link-local address comes from the kernel, one with a lifetime from DHCP or a router."""
    if "valid-life-time" in address or "valid-left" in address:
        return True
    return is_link_local(str(address.get("ip")))


def is_link_local(address: str) -> bool:
    """Whether the kernel gives such an address to a link by itself."""
    return ipaddress.ip_address(address).is_link_local


def _plain(value: Any) -> Any:
    """Equal for equal meaning: nmstate prints MACs in upper case, and IPv6 in its own short form."""
    if not isinstance(value, str):
        return value
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return value.lower()


def _same_number(one: Any, other: Any) -> bool:
    """nmstate prints some numbers of bond options as text."""
    kinds = {type(one), type(other)}
    return kinds == {int, str} and str(one) == str(other)


def _text(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(_text(x) for x in value)
    if isinstance(value, Mapping):
        if "ip" in value:
            return f"{value['ip']}/{value.get('prefix-length', '?')}"
        if "name" in value:
            return str(value["name"])
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) + "}"
    return str(value)


def route_key(route: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two routes the same one: destination, next hop, interface, table, metric."""
    network = str(ipaddress.ip_network(str(route["destination"]), strict=False))
    hop = route.get("next-hop-address")
    return (
        network,
        str(ipaddress.ip_address(hop)) if hop else None,
        route.get("next-hop-interface"),
        route.get("table-id") or MAIN_TABLE,
        route.get("metric"),
    )


def route_text(route: Mapping[str, Any]) -> str:
    """`10.9.0.0/16 via 10.1.1.2 dev eth0 metric 100`; the table where it is not the main one."""
    hop = f" via {route['next-hop-address']}" if route.get("next-hop-address") else ""
    metric = f" metric {route['metric']}" if route.get("metric") is not None else ""
    table = f" table {route['table-id']}" if (route.get("table-id") or MAIN_TABLE) != MAIN_TABLE else ""
    return f"{route['destination']}{hop} dev {route.get('next-hop-interface')}{metric}{table}"


def renamed(state: State, names: Mapping[str, str]) -> State:
    """The live state as it reads after the NICs got their new names: only entries of NICs, and what refers
    to them as a base interface or a port, take the new name."""
    new: State = dict(state)
    new["interfaces"] = [_renamed_interface(i, names) for i in interfaces_of(state)]
    new["routes"] = {
        kind: [_renamed_hop(route, names) for route in routes] for kind, routes in state.get("routes", {}).items()
    }
    return new


def _renamed_hop(route: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    hop = str(route.get("next-hop-interface"))
    return {**route, "next-hop-interface": names[hop]} if hop in names else dict(route)


def _renamed_interface(interface: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    new = dict(interface)
    if interface.get("type") in ("ethernet", "veth", "infiniband"):
        new["name"] = names.get(interface["name"], interface["name"])
    for kind in ("vlan", "mac-vtap", "mac-vlan"):
        if kind in interface:
            base = interface[kind].get("base-iface")
            new[kind] = {**interface[kind], "base-iface": names.get(base, base)}
    for kind in ("bridge", "link-aggregation"):
        if isinstance(interface.get(kind), Mapping) and "port" in interface[kind]:
            new[kind] = {**interface[kind], "port": [_renamed_port(p, names) for p in interface[kind]["port"]]}
    return new


def _renamed_port(port: Any, names: Mapping[str, str]) -> Any:
    """A bridge lists its ports as objects with a name, a bond as plain names."""
    if isinstance(port, Mapping):
        return {**port, "name": names.get(port["name"], port["name"])}
    return names.get(port, port)
