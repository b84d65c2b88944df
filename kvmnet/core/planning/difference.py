"""Compares a desired nmstate state with the live one.

nmstate applies every interface that it is given, whether it differs or not (nmstate 2.2.62). What is not sent costs
no time and interrupts nothing, so only what differs is sent. A desired key is present when the live state has the
same value; keys that the desired state does not contain are ignored.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.base.bridge_vlans import format_tags, read_membership, read_trunk_tags
from kvmnet.core.base.nmstate import MAIN_TABLE, State, interfaces_of

#: Lists whose entries are matched by one of their keys, in any order.
_KEYED = {"port": "name", "address": "ip", "vfs": "id"}
#: Lists of plain values that have no order.
_UNORDERED = ("port", "address-flags")


@dataclass(frozen=True)
class Difference:
    """A setting with another live value than the desired one. `path` is its place in the state (`ipv4.address`), empty
    when the name of the change is enough."""

    path: str
    live: Any
    desired: Any

    @property
    def text(self) -> str:
        """The notation of plans: `ipv4.address: none -> 10.1.255.254/16`."""
        prefix = f"{self.path}: " if self.path else ""
        return f"{prefix}{value_text(self.live)} -> {value_text(self.desired)}"


def interface_differences(desired: Mapping[str, Any], live: Optional[Mapping[str, Any]]) -> list[Difference]:
    """Return the differences of one interface; none when every desired key has its value. `live` is None for an
    interface that does not exist."""
    if live is None:
        return [Difference("", "absent", str(desired.get("type", "interface")))]
    return _compare(_without_client_id(desired, live), live, "")


def _without_client_id(desired: Mapping[str, Any], live: Mapping[str, Any]) -> Mapping[str, Any]:
    """An interface that already uses DHCP keeps its client id (see dhcp_identity), so another one is no difference."""
    family, live_family = desired.get("ipv4"), live.get("ipv4")
    if not isinstance(family, Mapping) or not isinstance(live_family, Mapping) or not live_family.get("dhcp"):
        return desired
    return {**desired, "ipv4": {key: value for key, value in family.items() if key != "dhcp-client-id"}}


def _compare(desired: Any, live: Any, path: str) -> list[Difference]:
    if desired == live:  # most values are; normalizing them takes ten times as long
        return []
    if isinstance(desired, Mapping):
        if not isinstance(live, Mapping):
            return [Difference(path, live, desired)]
        differences = []
        for key in desired:
            differences += _compare(desired[key], live.get(key), f"{path}.{key}" if path else str(key))
        return differences
    if isinstance(desired, list):
        return _compare_lists(desired, live if isinstance(live, list) else [], path)
    if _normalized(desired) != _normalized(live) and not _is_same_number(desired, live):
        return [Difference(path, live, desired)]
    return []


def _compare_lists(desired: list[Any], live: list[Any], path: str) -> list[Difference]:
    last = path.rpartition(".")[2]
    if last == "trunk-tags":  # nmstate prints other ranges than it was given
        is_same = read_trunk_tags(desired) == read_trunk_tags(live)
        return [] if is_same else [Difference(path, live, desired)]
    if last in _UNORDERED and all(isinstance(x, str) for x in [*desired, *live]):
        return [Difference(path, sorted(live), desired)] if set(desired) != set(live) else []
    key = _KEYED.get(last)
    if key is None or not all(isinstance(x, Mapping) for x in [*desired, *live]):
        return [Difference(path, live, desired)] if _normalized(desired) != _normalized(live) else []
    live_by_key = {_normalized(x.get(key)): x for x in live}
    missing = [x for x in desired if _compare(x, live_by_key.get(_normalized(x[key])), path)]
    surplus: list[Any] = []
    if key == "ip":  # an address that the definition lacks is removed; a port that libvirt added is not
        wanted = {_normalized(x[key]) for x in desired}
        surplus = [x for x in live if _normalized(x.get(key)) not in wanted and not is_automatic(x)]
    return [Difference(path, live, desired)] if missing or surplus else []


def projection(desired: Any, live: Any, path: str = "") -> Any:
    """Return the part of a live value that `interface_differences` looks at: equal projections have equal differences.
    Values that change by themselves (lifetimes, counters, DHCP addresses, ports that libvirt added) are left out."""
    if isinstance(desired, Mapping):
        if not isinstance(live, Mapping):
            return _normalized(live)
        return {str(k): projection(desired[k], live.get(k), f"{path}.{k}") for k in desired}
    if not isinstance(desired, list):
        return _normalized(live)
    last, rows = path.rpartition(".")[2], live if isinstance(live, list) else []
    if last == "trunk-tags":
        return sorted(read_trunk_tags(rows))
    if last in _UNORDERED and all(isinstance(x, str) for x in [*desired, *rows]):
        return sorted(rows)
    key = _KEYED.get(last)
    if key is None or not all(isinstance(x, Mapping) for x in [*desired, *rows]):
        return [_normalized(x) for x in rows]
    wanted = {_normalized(x[key]): x for x in desired}
    projected = [
        projection(wanted[_normalized(x.get(key))], x, path) for x in rows if _normalized(x.get(key)) in wanted
    ]
    if key == "ip":
        projected += [
            {"ip": _normalized(x.get("ip"))}
            for x in rows
            if _normalized(x.get("ip")) not in wanted and not is_automatic(x)
        ]
    return sorted(projected, key=lambda row: str(row.get(key)))


def is_automatic(address: Mapping[str, Any]) -> bool:
    """Whether nobody configured the address: the kernel adds link-local IPv6 addresses, and an address with a lifetime
    comes from DHCP or a router."""
    if "valid-life-time" in address or "valid-left" in address:
        return True
    return is_link_local(str(address.get("ip")))


def is_link_local(address: str) -> bool:
    """Whether the address is link-local, such as the one that the kernel adds to each IPv6 link."""
    return ipaddress.ip_address(address).is_link_local


def _normalized(value: Any) -> Any:
    """Return the same value for the same meaning: nmstate prints MAC addresses in upper case, and IPv6 addresses in
    its own short form."""
    if not isinstance(value, str):
        return value
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return value.lower()


def _is_same_number(one: Any, other: Any) -> bool:
    """nmstate prints some numbers of bond options as text."""
    kinds = {type(one), type(other)}
    return kinds == {int, str} and str(one) == str(other)


def value_text(value: Any) -> str:
    """Return a value of a state in one line: addresses as ADDRESS/PREFIX, ports by name, nothing as `none`."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(value_text(x) for x in value)
    if isinstance(value, Mapping):
        if "ip" in value:
            return f"{value['ip']}/{value.get('prefix-length', '?')}"
        if "name" in value:
            return str(value["name"]) + _vlans_text(value.get("vlan"))
        return "{" + ", ".join(f"{k}: {value_text(v)}" for k, v in value.items()) + "}"
    return str(value)


def _vlans_text(vlan: Optional[Mapping[str, Any]]) -> str:
    """Return the VLANs of a bridge's port: ` (VLANs 20, 100-199 with tags, 40 without)`."""
    if not vlan or not (vlan.get("tag") or vlan.get("trunk-tags")):
        return ""
    vlans = read_membership(vlan, 0)
    parts = [f"{format_tags(vlans.tagged)} with tags"] if vlans.tagged else []
    parts += [f"{vlans.untagged} without"] if vlans.untagged is not None else []
    return f" (VLANs {', '.join(parts)})"


def route_key(route: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what identifies a route: destination, next hop, interface, table, metric."""
    network = str(ipaddress.ip_network(str(route["destination"]), strict=False))
    next_hop = route.get("next-hop-address")
    return (
        network,
        str(ipaddress.ip_address(next_hop)) if next_hop else None,
        route.get("next-hop-interface"),
        route.get("table-id") or MAIN_TABLE,
        route.get("metric"),
    )


def route_text(route: Mapping[str, Any]) -> str:
    """Return a route as `ip route` prints it: `10.9.0.0/16 via 10.1.1.2 dev eth0 metric 100`; with its table, when it
    is not the main one."""
    next_hop = f" via {route['next-hop-address']}" if route.get("next-hop-address") else ""
    metric = f" metric {route['metric']}" if route.get("metric") is not None else ""
    table = f" table {route['table-id']}" if (route.get("table-id") or MAIN_TABLE) != MAIN_TABLE else ""
    return f"{route['destination']}{next_hop} dev {route.get('next-hop-interface')}{metric}{table}"


def rename_interfaces(state: State, new_names: Mapping[str, str]) -> State:
    """Return a state as it reads after NICs got new names (old name to new). Only NICs are renamed, and references to
    them as a base interface, a port or a next-hop interface."""
    if not new_names:
        return {"interfaces": [], **state, "routes": state.get("routes", {})}
    result: State = dict(state)
    result["interfaces"] = [_rename_interface(i, new_names) for i in interfaces_of(state)]
    result["routes"] = {
        kind: [_rename_next_hop(route, new_names) for route in routes]
        for kind, routes in state.get("routes", {}).items()
    }
    return result


def _rename_next_hop(route: Mapping[str, Any], new_names: Mapping[str, str]) -> dict[str, Any]:
    name = str(route.get("next-hop-interface"))
    return {**route, "next-hop-interface": new_names[name]} if name in new_names else dict(route)


def _rename_interface(interface: Mapping[str, Any], new_names: Mapping[str, str]) -> dict[str, Any]:
    result = dict(interface)
    if interface.get("type") in ("ethernet", "veth", "infiniband"):
        result["name"] = new_names.get(interface["name"], interface["name"])
    for kind in ("vlan", "mac-vtap", "mac-vlan", "vxlan"):
        if "base-iface" in interface.get(kind, {}):
            base = interface[kind].get("base-iface")
            result[kind] = {**interface[kind], "base-iface": new_names.get(base, base)}
    for kind in ("bridge", "link-aggregation", "vrf"):
        if isinstance(interface.get(kind), Mapping) and "port" in interface[kind]:
            ports = [_rename_port(port, new_names) for port in interface[kind]["port"]]
            result[kind] = {**interface[kind], "port": ports}
    return result


def _rename_port(port: Any, new_names: Mapping[str, str]) -> Any:
    """Return the port renamed. A bridge lists its ports as objects with a name, a bond as plain names."""
    if isinstance(port, Mapping):
        return {**port, "name": new_names.get(port["name"], port["name"])}
    return new_names.get(port, port)
