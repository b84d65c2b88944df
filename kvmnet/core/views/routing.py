"""The routes of a host: default routes of its networks and static routes, each with its outgoing interface.

A next hop may be outside all subnets (on-link): NetworkManager then adds a route to the next hop itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from kvmnet.core.definition.model import IP, Cluster, Host, Interface, Network, Placed, Route, Subnet
from kvmnet.core.definition.naming_policy import NamingPolicy
from kvmnet.core.views.host_view import RouteView, Unrouted

Carriers = Sequence[tuple[Interface, str]]
"""The interfaces of a host that can have addresses, each with the name of the device that has them (its bridge)."""


@dataclass
class HostRouting:
    """The routes of a host, its static routes that it does not get, and those whose link-local next hop fits several
    interfaces, with their keys."""

    routes: list[RouteView]
    unrouted: list[Unrouted] = field(default_factory=list)
    ambiguous: list[tuple[Route, tuple[str, ...]]] = field(default_factory=list)


def build_routing(cluster: Cluster, host: Host, policy: NamingPolicy, carriers: Carriers) -> HostRouting:
    """Return the routes of a host."""
    routing = HostRouting(_default_routes(cluster, host, policy, carriers))
    own_addresses = {placed.ip for interface, _ in carriers for placed in interface.addresses}
    direct: list[tuple[Subnet, Interface]] = []  # destinations that the host reaches without a next hop
    for route in sorted(host.routes, key=lambda route: route.via is not None):
        if route.via in own_addresses:  # the host is the router itself
            continue
        candidates = _find_carriers(cluster, route, carriers, direct)
        if not candidates:
            routing.unrouted.append(Unrouted(route, _reason(route, carriers)))
            continue
        interface, device = candidates[0]
        if route.via is None:
            direct.append((route.to, interface))
        elif route.via.is_link_local and len(candidates) > 1:
            routing.ambiguous.append((route, tuple(candidate.name for candidate, _ in candidates)))
        routing.routes.append(
            RouteView(
                destination=str(route.to),
                via=str(route.via) if route.via is not None else "",
                device=device,
                metric=route.metric or policy.metric,
                table=route.table or policy.table,
                network=interface.network or "",
                mark=route.mark,
            )
        )
    order = {route.mark: number for number, route in enumerate(host.routes)}
    routing.routes.sort(key=lambda view: order.get(view.mark, -1))
    return routing


def _find_carriers(
    cluster: Cluster, route: Route, carriers: Carriers, direct: Sequence[tuple[Subnet, Interface]]
) -> list[tuple[Interface, str]]:
    """Return the interfaces that a route can use, the best first: the stated one, else those that reach the next hop,
    else (without a next hop) those on whose network the destination is."""
    if route.interface is not None:
        return [
            (i, device) for i, device in carriers if i.name == route.interface and i.source(route.to.version) != "none"
        ]
    if route.via is None:
        return [(i, device) for i, device in carriers if _contains(cluster, i, route.to)]
    via = route.via
    reached = [(i, device) for i, device in carriers if is_on_link(cluster, i, via)]
    names = {interface.name for net, interface in direct if via in net}
    return reached or [(i, device) for i, device in carriers if i.name in names]


def _contains(cluster: Cluster, interface: Interface, subnet: Subnet) -> bool:
    """Whether a subnet is part of one that the host is connected to by an interface."""
    if interface.source(subnet.version) == "none":
        return False
    network = _network_of(cluster, interface)
    subnets = [s.net for s in network.subnets] if network is not None else []
    subnets += [_subnet_of(placed) for placed in interface.addresses if placed.prefix is not None]
    return any(_is_within(subnet, net) for net in subnets)


def _is_within(inner: Subnet, outer: Subnet) -> bool:
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen


def _subnet_of(placed: Placed) -> Subnet:
    return ipaddress.ip_network(f"{placed.ip}/{placed.prefix}", strict=False)


def _reason(route: Route, carriers: Carriers) -> str:
    """Return why a host does not get a route."""
    if route.interface is not None:
        has_interface = any(interface.name == route.interface for interface, _ in carriers)
        problem = f"has no IPv{route.to.version} address" if has_interface else "cannot have addresses on this host"
        return f"interface {route.interface} {problem}"
    if route.via is None:
        return f"{route.to} is on none of its networks"
    return f"next hop {route.via} is on none of its networks"


def _default_routes(cluster: Cluster, host: Host, policy: NamingPolicy, carriers: Carriers) -> list[RouteView]:
    """Return the default routes: one for each gateway of a network in which the host has a static address.

    In other networks, DHCP or a router advertisement gives the default route.
    """
    routes = []
    for interface, device in carriers:
        network = _network_of(cluster, interface)
        if network is None or not host.gives_default_route(interface, network):
            continue
        own_addresses = {placed.ip for placed in interface.addresses if interface.source(placed.ip.version) == "static"}
        for gateway in network.gateways:
            has_address = any(ip.version == gateway.ip.version for ip in own_addresses)
            if gateway.ip in own_addresses or not has_address or interface.is_dummy:
                continue
            routes.append(
                RouteView(
                    destination="0.0.0.0/0" if gateway.ip.version == 4 else "::/0",
                    via=str(gateway.ip),
                    device=device,
                    metric=host.metric_of(interface, network) or policy.metric,
                    table=policy.table,
                    network=network.name,
                    mark=gateway.mark,
                )
            )
    return routes


def _network_of(cluster: Cluster, interface: Interface) -> Optional[Network]:
    return cluster.networks.get(interface.network or "")


def is_on_link(cluster: Cluster, interface: Interface, ip: IP) -> bool:
    """Whether an address is directly reachable on an interface. The interface needs an address of its family."""
    source = interface.source(ip.version)
    if source == "none" or interface.is_loopback:
        return False
    if ip.is_link_local and ip.version == 6:
        return not interface.is_dummy
    network = _network_of(cluster, interface)
    if network is not None:
        is_on_link_gateway = network.has_on_link_gateway(ip.version) and any(ip == g.ip for g in network.gateways)
        if is_on_link_gateway or network.subnet_of(ip) is not None:
            return source != "link-local"
    return any(placed.prefix is not None and ip in _subnet_of(placed) for placed in interface.addresses)


def is_reachable(cluster: Cluster, host: Host, routes: Sequence[RouteView], ip: IP) -> bool:
    """Whether a host can reach an address: directly, by one of its routes, or by a route from DHCP or a router."""
    if ip.is_loopback or any(ip in ipaddress.ip_network(r.destination) for r in routes):
        return True
    for interface in host.interfaces.values():
        network = _network_of(cluster, interface)
        is_automatic = interface.source(ip.version) in ("dhcp", "auto")
        if is_automatic and host.gives_default_route(interface, network):
            return True  # the default route comes with the address
        if not interface.left_alone and is_on_link(cluster, interface, ip):
            return True
    return False
