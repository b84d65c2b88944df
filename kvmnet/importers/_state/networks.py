"""The networks of a host, made from the addresses, routes and name servers of its interfaces.

A state knows no networks, so they get names: `lan` for the one with the default route, `vlan100` for a tagged one,
otherwise `net-` and the name of the interface.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from kvmnet.core.base.nmstate import next_hop_of
from kvmnet.importers._draft import Draft, Origin, Part
from kvmnet.importers._report import Report
from kvmnet.importers._state.addresses import IpSettings

#: Metric of default routes in the naming policy plain, and the metrics that NetworkManager chooses by itself.
_DEFAULT_METRICS = (None, 0, -1, 100)
_MAIN_TABLES = (None, 0, 254)
_DEFAULT_DESTINATIONS = ("0.0.0.0/0", "::/0")
_NOWHERE = Origin("", 0)
IpNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass
class Carrier:
    """An interface with a network: its kernel name, its key in the definition, its addresses, the VLAN ID of the
    network, its MTU in bytes."""

    name: str
    key: str
    ip: IpSettings
    tag: Optional[int]
    mtu: Optional[int]
    origin: Origin
    network: str = ""


@dataclass
class Routing:
    """The configured routes, routing rules and name servers of a state; routes and rules with their places."""

    routes: Sequence[tuple[Mapping[str, Any], Origin]] = ()
    rules: Sequence[tuple[Any, Origin]] = ()
    servers: Sequence[Any] = ()
    search: Sequence[Any] = ()
    dns_origin: Origin = _NOWHERE


def read_routing(state: Mapping[str, Any], origins: Mapping[str, Origin]) -> Routing:
    """Return the routing of a state. `origins` has the places of `routes/0`, `route-rules/0` and so on."""

    def list_of(value: Any) -> list[Any]:
        return value if isinstance(value, list) else []

    def config_of(key: str) -> Any:
        section = state.get(key)
        return section.get("config") if isinstance(section, Mapping) else None

    def placed(key: str) -> list[tuple[Any, Origin]]:
        rows = enumerate(list_of(config_of(key)))
        return [(row, origins.get(f"{key}/{number}", origins.get(key, _NOWHERE))) for number, row in rows]

    dns = config_of("dns-resolver")
    dns = dns if isinstance(dns, Mapping) else {}
    return Routing(
        [(route, origin) for route, origin in placed("routes") if isinstance(route, Mapping)],
        placed("route-rules"),
        list_of(dns.get("server")),
        list_of(dns.get("search")),
        origins.get("dns-resolver", _NOWHERE),
    )


def add_networks(draft: Draft, carriers: Sequence[Carrier], routing: Routing, report: Report) -> list[Part]:
    """Add a network for each carrier, with gateways and name servers, and set `carrier.network`. Returns the static
    routes of the host."""
    defaults = [(r, origin) for r, origin in routing.routes if r.get("destination") in _DEFAULT_DESTINATIONS]
    others = [(r, origin) for r, origin in routing.routes if r.get("destination") not in _DEFAULT_DESTINATIONS]
    outgoing = {str(r.get("next-hop-interface")) for r, _ in defaults}
    for carrier in carriers:
        carrier.network = _free_name(_choose_name(carrier, outgoing), draft)
        draft.networks[carrier.network] = Part(_describe(carrier), carrier.origin)
    by_name = {carrier.name: carrier for carrier in carriers}
    parts = [
        _add_gateway(draft, by_name.get(str(route.get("next-hop-interface"))), route, origin, report)
        for route, origin in defaults
    ]
    _add_name_servers(draft, carriers, outgoing, routing, report)
    for rule, origin in routing.rules:
        report.lose(f"the routing rule {rule} is not in the definition", origin)
    parts += [_read_route(route, carriers, origin, report) for route, origin in others]
    return [part for part in parts if part is not None]


def _choose_name(carrier: Carrier, outgoing: set[str]) -> str:
    if carrier.tag is not None:
        return f"vlan{carrier.tag}"
    return "lan" if carrier.name in outgoing else f"net-{carrier.name}"


def _free_name(name: str, draft: Draft) -> str:
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 10_000))) if n not in draft.networks)


def _describe(carrier: Carrier) -> dict[str, Any]:
    values: dict[str, Any] = {}
    subnets = list(dict.fromkeys(str(address.network) for address in carrier.ip.addresses))
    if subnets:
        values["subnets"] = subnets
    if carrier.tag is not None:
        values["vlan"] = carrier.tag
    if carrier.mtu not in (None, 1500):
        values["mtu"] = carrier.mtu
    if not carrier.ip.has_default_route:
        values["default_route"] = False
    if carrier.ip.metric not in _DEFAULT_METRICS:
        values["metric"] = carrier.ip.metric
    return values


def _add_gateway(
    draft: Draft, carrier: Optional[Carrier], route: Mapping[str, Any], origin: Origin, report: Report
) -> Optional[Part]:
    """Make a default route the gateway of a network. Return it as a route of the host where it is in another table, or
    the second one of its network."""
    via, metric = next_hop_of(route), route.get("metric")
    text = f"the default route via {via or 'no gateway'} on {route.get('next-hop-interface')}"
    if carrier is None or not via:
        report.lose(f"{text} is not in the definition: it has no gateway in a network of this host", origin)
        return None
    values = draft.networks[carrier.network].values
    is_second = any(_version(gateway) == _version(via) for gateway in values.get("gateways", []))
    if not _is_inside(via, carrier) and not via.lower().startswith("fe80:"):
        report.lose(f"{text}: the gateway is in no subnet of the interface", origin)
    elif route.get("table-id") not in _MAIN_TABLES or is_second:
        return _read_route(route, [carrier], origin, report)
    else:
        values.setdefault("gateways", []).append(via)
        if metric not in _DEFAULT_METRICS:
            values["metric"] = metric
    return None


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _is_inside(address: str, carrier: Carrier) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip.version == own.version and ip in own.network for own in carrier.ip.addresses)


def _read_route(
    route: Mapping[str, Any], carriers: Sequence[Carrier], origin: Origin, report: Report
) -> Optional[Part]:
    """Return a static route of the host, or None when the definition cannot state it."""
    destination, via = str(route.get("destination")), next_hop_of(route)
    device = route.get("next-hop-interface")
    text = f"the route to {destination} via {via or device}"
    try:
        ipaddress.ip_network(destination)
    except ValueError:
        report.lose(f"{destination!r} is not the destination of a route", origin)
        return None
    values: dict[str, Any] = {"to": destination, **({"via": via} if via else {})}
    if not any(_is_inside(via, carrier) for carrier in carriers):
        key = next((c.key for c in carriers if c.name == device), None)
        if key is None:
            report.lose(f"{text} is not in the definition: the next hop is in no network of this host", origin)
            return None
        values["interface"] = key
    if route.get("metric") not in _DEFAULT_METRICS:
        values["metric"] = route["metric"]
    if route.get("table-id") not in _MAIN_TABLES:
        values["table"] = route["table-id"]
    return Part(values, origin)


def _add_name_servers(
    draft: Draft, carriers: Sequence[Carrier], outgoing: set[str], routing: Routing, report: Report
) -> None:
    """Give the name servers to the networks on which DHCP and routers give none. Without such a network, it is the one
    with the default route, or the first one; if possible one with static addresses, since a network with name servers
    takes none from DHCP."""
    config = {"servers": [str(s) for s in routing.servers], "search": [str(s) for s in routing.search]}
    config = {key: texts for key, texts in config.items() if texts}
    if not config:
        return
    candidates = [c for c in carriers if not c.ip.is_empty]
    candidates.sort(key=lambda carrier: (carrier.ip.takes_dns is True, carrier.name not in outgoing))
    chosen = [c for c in candidates if c.ip.takes_dns is False] or candidates[:1]
    for carrier in chosen:
        draft.networks[carrier.network].values["dns"] = config
        if carrier.ip.takes_dns:
            message = f"{carrier.name} takes name servers from DHCP or routers too, which the definition cannot state"
            report.lose(message, carrier.origin)
    if not chosen:
        report.lose("the name servers are not in the definition: no interface has an address", routing.dns_origin)
