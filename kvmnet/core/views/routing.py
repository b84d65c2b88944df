"""Routes of a host: default routes of its networks, static routes, and what each goes through."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from kvmnet.core.definition.model import IP, Cluster, Host, Interface, Route
from kvmnet.core.definition.naming_policy import Profile
from kvmnet.core.views.host_view import RouteView

Carriers = Sequence[tuple[Interface, str]]
"""What carries addresses: the interface, and the name of the device that has them."""


def routes_of(
    cluster: Cluster, host: Host, profile: Profile, carriers: Carriers
) -> tuple[tuple[RouteView, ...], tuple[Route, ...]]:
    """The routes, and the static ones whose next hop is on none of the host's networks."""
    routes, lost = _defaults(cluster, profile, carriers), []
    own = {placed.ip for interface, _ in carriers for placed in interface.addresses}
    for route in host.routes:
        if route.via in own:  # the router itself
            continue
        through = next((c for c in carriers if on_link(cluster, c[0], route.via)), None)
        if through is None:
            lost.append(route)
            continue
        routes.append(
            RouteView(
                destination=str(route.to),
                via=str(route.via),
                device=through[1],
                metric=route.metric or profile.metric,
                table=route.table or profile.table,
                network=through[0].network or "",
                mark=route.mark,
            )
        )
    return tuple(routes), tuple(lost)


def _defaults(cluster: Cluster, profile: Profile, carriers: Carriers) -> list[RouteView]:
    """Through every network that gives one and that the host has a static address in: to the others DHCP or
    a router says it."""
    routes = []
    for interface, device in carriers:
        network = cluster.networks.get(interface.network or "")
        if network is None or not network.default_route:
            continue
        own = {placed.ip for placed in interface.addresses if interface.source(placed.ip.version) == "static"}
        for gateway in network.gateways:
            if gateway.ip in own or all(ip.version != gateway.ip.version for ip in own):
                continue
            routes.append(
                RouteView(
                    destination="0.0.0.0/0" if gateway.ip.version == 4 else "::/0",
                    via=str(gateway.ip),
                    device=device,
                    metric=network.metric or profile.metric,
                    table=profile.table,
                    network=network.name,
                    mark=gateway.mark,
                )
            )
    return routes


def on_link(cluster: Cluster, interface: Interface, ip: IP) -> bool:
    """Whether an address is on the wire of an interface that has an address of its family."""
    source = interface.source(ip.version)
    if source == "none":
        return False
    if ip.is_link_local and ip.version == 6:
        return True
    network = cluster.networks.get(interface.network or "")
    if network is not None and network.subnet_of(ip) is not None:
        return source != "link-local"
    return any(
        placed.prefix is not None and ip in ipaddress.ip_network(f"{placed.ip}/{placed.prefix}", strict=False)
        for placed in interface.addresses
    )


def reached(cluster: Cluster, host: Host, routes: Sequence[RouteView], ip: IP) -> bool:
    """Whether a host has a way to an address: its own wire, a route of its, or one that DHCP or a router brings."""
    if ip.is_loopback or any(ip in ipaddress.ip_network(r.destination) for r in routes):
        return True
    for interface in host.interfaces.values():
        network = cluster.networks.get(interface.network or "")
        brings = interface.source(ip.version) in ("dhcp", "auto")
        if brings and (network is None or network.default_route):
            return True  # the default route comes with the address
        if not interface.left_alone and on_link(cluster, interface, ip):
            return True
    return False
