"""The routes of a host: default routes of its networks and static routes, each with its outgoing interface."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Optional

from kvmnet.core.definition.model import IP, Cluster, Host, Interface, Network, Route
from kvmnet.core.definition.naming_policy import NamingPolicy
from kvmnet.core.views.host_view import RouteView

Carriers = Sequence[tuple[Interface, str]]
"""The interfaces of a host that can have addresses, each with the name of the device that has them (its bridge)."""


def build_routes(
    cluster: Cluster, host: Host, policy: NamingPolicy, carriers: Carriers
) -> tuple[tuple[RouteView, ...], tuple[Route, ...]]:
    """Return the routes of a host, and its static routes whose next hop is in none of its networks."""
    routes, unrouted = _default_routes(cluster, policy, carriers), []
    own_addresses = {placed.ip for interface, _ in carriers for placed in interface.addresses}
    for route in host.routes:
        if route.via in own_addresses:  # the host is the router itself
            continue
        carrier = next((c for c in carriers if is_on_link(cluster, c[0], route.via)), None)
        if carrier is None:
            unrouted.append(route)
            continue
        interface, device = carrier
        routes.append(
            RouteView(
                destination=str(route.to),
                via=str(route.via),
                device=device,
                metric=route.metric or policy.metric,
                table=route.table or policy.table,
                network=interface.network or "",
                mark=route.mark,
            )
        )
    return tuple(routes), tuple(unrouted)


def _default_routes(cluster: Cluster, policy: NamingPolicy, carriers: Carriers) -> list[RouteView]:
    """Return the default routes: one for each gateway of a network in which the host has a static address.

    In other networks, DHCP or a router advertisement gives the default route.
    """
    routes = []
    for interface, device in carriers:
        network = _network_of(cluster, interface)
        if network is None or not network.default_route:
            continue
        own_addresses = {placed.ip for placed in interface.addresses if interface.source(placed.ip.version) == "static"}
        for gateway in network.gateways:
            has_address = any(ip.version == gateway.ip.version for ip in own_addresses)
            if gateway.ip in own_addresses or not has_address:
                continue
            routes.append(
                RouteView(
                    destination="0.0.0.0/0" if gateway.ip.version == 4 else "::/0",
                    via=str(gateway.ip),
                    device=device,
                    metric=network.metric or policy.metric,
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
    if source == "none":
        return False
    if ip.is_link_local and ip.version == 6:
        return True
    network = _network_of(cluster, interface)
    if network is not None and network.subnet_of(ip) is not None:
        return source != "link-local"
    return any(
        placed.prefix is not None and ip in ipaddress.ip_network(f"{placed.ip}/{placed.prefix}", strict=False)
        for placed in interface.addresses
    )


def is_reachable(cluster: Cluster, host: Host, routes: Sequence[RouteView], ip: IP) -> bool:
    """Whether a host can reach an address: directly, by one of its routes, or by a route from DHCP or a router."""
    if ip.is_loopback or any(ip in ipaddress.ip_network(r.destination) for r in routes):
        return True
    for interface in host.interfaces.values():
        network = _network_of(cluster, interface)
        is_automatic = interface.source(ip.version) in ("dhcp", "auto")
        if is_automatic and (network is None or network.default_route):
            return True  # the default route comes with the address
        if not interface.left_alone and is_on_link(cluster, interface, ip):
            return True
    return False
