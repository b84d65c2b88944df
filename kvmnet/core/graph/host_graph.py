"""One host as boxes and connections, from its bundle and the ports of its guests."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import FAMILIES, INFINIBAND, interfaces_of, port_names, routes_of
from kvmnet.core.definition.model import Cluster
from kvmnet.core.graph import model
from kvmnet.core.graph.model import Box, Connection, HostGraph, Line
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.views.host_view import GuestPortView
from kvmnet.core.views.stack import Stack

_KINDS = {
    "ethernet": model.NIC,
    "bond": model.BOND,
    "vlan": model.VLAN,
    "linux-bridge": model.BRIDGE,
    "mac-vtap": model.MACVTAP,
    "dummy": model.DUMMY,
    "loopback": model.LOOPBACK,
    INFINIBAND: model.INFINIBAND,
}
_OWN_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class HostSource:
    """What a host is drawn from. group: of the host (empty: none, or unknown); networks: those of its interfaces by
    device, as far as the definition is known."""

    bundle: Bundle
    ports: Sequence[GuestPortView] = ()
    group: str = ""
    networks: Mapping[str, str] = field(default_factory=dict)


def list_device_networks(cluster: Cluster, host: str) -> dict[str, str]:
    """Return the network of each device of a host that has one: of the bridge if the interface has a bridge."""
    definition = cluster.hosts[host]
    stack = Stack(definition, cluster.policies[definition.policy_name])
    return {stack.top(i): i.network for i in stack.active if i.network is not None}


def draw_host(source: HostSource) -> HostGraph:
    """Return a host as boxes and connections: NICs first, then what is on them, guests last."""
    bundle = source.bundle
    drawn_macvtaps = {port.macvtap for port in source.ports if port.macvtap}
    states = [(state, False) for state in interfaces_of(bundle.state)]
    states += [(state, True) for state in interfaces_of(bundle.guests or {})]
    states = [row for row in states if row[0]["name"] not in drawn_macvtaps and not _is_plain_loopback(row[0])]
    known = {state["name"] for state, _ in states}
    boxes = [_nic_box(source, nic.name, nic.mac, None) for nic in bundle.nics if nic.name not in known]
    macs = {nic.name: nic.mac for nic in bundle.nics}
    for state, is_on_demand in states:
        if state["type"] in ("ethernet", INFINIBAND) and "base-iface" not in state.get(INFINIBAND, {}):
            boxes.append(_nic_box(source, state["name"], macs.get(state["name"]), state))
        else:
            boxes.append(_virtual_box(source, state, is_on_demand))
    guests = list(_guest_boxes(source.ports))
    keys = {box.title: box.key for box in boxes}
    connections = [c for state, _ in states for c in _device_connections(state, keys)]
    connections += [
        Connection(keys[port.device], f"guest:{port.guest}", anchor=port.mac)
        for port in source.ports
        if port.device in keys
    ]
    above = {box.key for box in boxes if box.kind == model.BRIDGE}
    connections.sort(key=lambda connection: connection.end not in above)
    networks = dict.fromkeys((port.network for port in source.ports), False)
    networks.update(dict.fromkeys(source.networks.values(), True))
    return HostGraph(bundle.host, source.group, (*boxes, *guests), tuple(dict.fromkeys(connections)), networks)


def _is_plain_loopback(state: Mapping[str, Any]) -> bool:
    return state["type"] == "loopback" and not list(_address_lines(state))


def _nic_box(source: HostSource, name: str, mac: Optional[str], state: Optional[Mapping[str, Any]]) -> Box:
    """Return the box of a NIC; its key is that of the definition, so that it stays when the NIC is renamed."""
    key = next((nic.interface for nic in source.bundle.nics if nic.name == name), name)
    lines = [Line(mac, shared="MAC", unit="MAC addresses")] if mac else []
    if state is None:
        lines.append(Line("not managed"))
    elif state["state"] == "down":
        lines.append(Line("down"))
    kind = model.NIC if state is None else _KINDS.get(state["type"], str(state["type"]))
    return Box(f"NIC:{key}", kind, name, (*lines, *_common_lines(source, name, state or {})))


def _virtual_box(source: HostSource, state: Mapping[str, Any], is_on_demand: bool) -> Box:
    name, kind = str(state["name"]), _KINDS.get(state["type"], str(state["type"]))
    lines = [*_kind_lines(state), *_common_lines(source, name, state)]
    if is_on_demand:
        lines.append(Line("only while a guest needs it"))
    is_for_guests = name not in source.networks and any(p.device == name and p.macvtap for p in source.ports)
    return Box(f"{kind}:{name}", kind, name, tuple(lines), is_on_demand=is_on_demand, is_for_guests=is_for_guests)


def _kind_lines(state: Mapping[str, Any]) -> Iterator[Line]:
    """Yield what only this kind of interface has."""
    if "link-aggregation" in state:
        yield Line(f"mode {state['link-aggregation']['mode']}")
    if "vlan" in state:
        yield Line(f"VLAN {state['vlan']['id']}")
    if "mac-vtap" in state:
        yield Line(f"for {state['mac-address'].lower()}", shared="for", unit="guests' NICs")
    if "pkey" in state.get(INFINIBAND, {}):
        yield Line(f"partition {state[INFINIBAND]['pkey']}")
    for port in state.get("bridge", {}).get("port", []):
        if "vlan" in port:
            yield Line(f"{port['name']}: {_port_vlans_text(port['vlan'])}")


def _port_vlans_text(vlans: Mapping[str, Any]) -> str:
    tags = [
        str(tag["id"]) if "id" in tag else f"{tag['id-range']['min']}-{tag['id-range']['max']}"
        for tag in vlans.get("trunk-tags", [])
    ]
    parts = [f"untagged VLAN {vlans['tag']}"] if "tag" in vlans else []
    return ", ".join([*parts, *([f"tagged {', '.join(tags)}"] if tags else [])]) or "no VLAN"


def _common_lines(source: HostSource, name: str, state: Mapping[str, Any]) -> Iterator[Line]:
    """Yield what any interface can have: network, addresses, default routes, MTU, description."""
    if name in source.networks:
        yield Line(f"network {source.networks[name]}")
    yield from _address_lines(state)
    for route in routes_of(source.bundle.state):
        if route.get("next-hop-interface") == name and route["destination"] in ("0.0.0.0/0", "::/0"):
            hop = route.get("next-hop-address")
            yield Line(f"default route via {hop}" if hop else "default route")
    if "mtu" in state:
        yield Line(f"MTU {state['mtu']}")
    if name in source.bundle.descriptions:
        yield Line(f"“{source.bundle.descriptions[name]}”")


def _address_lines(state: Mapping[str, Any]) -> Iterator[Line]:
    for family, title in zip(FAMILIES, ("IPv4", "IPv6")):
        settings = state.get(family, {})
        if settings.get("autoconf"):
            yield Line(f"{title} from routers and DHCP")
        elif settings.get("dhcp"):
            yield Line(f"{title} by DHCP")
        for address in settings.get("address", []):
            if state.get("type") == "loopback" and address["ip"] in _OWN_LOOPBACK:
                continue
            text = f"{address['ip']}/{address['prefix-length']}"
            subnet = str(ipaddress.ip_network(text, strict=False))
            yield Line(text, shared=subnet, unit=f"addresses in {subnet}")


def _device_connections(state: Mapping[str, Any], keys: Mapping[str, str]) -> Iterator[Connection]:
    """Yield the connections from an interface's ports or base interface to it."""
    below = port_names(state)
    below += [str(state[k]["base-iface"]) for k in ("vlan", "mac-vtap", INFINIBAND) if "base-iface" in state.get(k, {})]
    yield from (Connection(keys[name], keys[state["name"]]) for name in below if name in keys)


def _guest_boxes(ports: Sequence[GuestPortView]) -> Iterator[Box]:
    """Yield a box for each guest, with a line for each of its NICs."""
    for guest in dict.fromkeys(port.guest for port in ports):
        lines = [Line(_port_text(port), anchor=port.mac) for port in ports if port.guest == guest]
        yield Box(f"guest:{guest}", model.GUEST, guest, tuple(lines))


def _port_text(port: GuestPortView) -> str:
    parts = [port.mac, port.network]
    if port.trunk:
        parts.append(f"VLANs {', '.join(map(str, port.trunk))}")
    if port.untagged is not None:
        parts.append(f"untagged {port.untagged}" if port.trunk else f"VLAN {port.untagged}")
    if port.macvtap is not None:
        parts.append("macvtap")
    return " · ".join(parts)
