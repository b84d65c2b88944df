"""Checks of static routes and name servers."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import WARNING, Mark, Problem
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Cluster, Host, Placed, Route
from kvmnet.core.views import routing
from kvmnet.core.views.host_view import HostView


def _distinct_routes(context: Context) -> Iterator[Route]:
    """Every route that at least one host gets, once."""
    seen: set[Mark] = set()
    for host in context.cluster.hosts.values():
        for route in host.routes:
            if route.mark not in seen:
                seen.add(route.mark)
                yield route


@check("KVN181", "host cannot reach the next hop of a route")
def find_unreachable_next_hops(context: Context) -> Iterator[Problem]:
    """
    The host has no address on the network of a route's next hop (`via`), so it cannot reach the next hop; or no network
    contains the destination of a route without a next hop; or the host does not have the `interface` of the route.
    kvmnet does not configure the route on this host. Correct `via` or `interface`, or move the route to the hosts and
    groups that need it.

    If the router is reached directly although its address is outside the host's subnets, name the interface:
    `{to: 0.0.0.0/0, via: 192.0.2.1, interface: eth0}`. NetworkManager then adds a route to the router itself.
    """
    reported: set[Mark] = set()
    for view in _views_of_readable_networks(context):
        for unrouted in view.unrouted:
            route = unrouted.route
            if route.mark not in reported and not _follows_from_own_next_hop(
                context.cluster.hosts[view.host], route
            ):  # one problem for a route of 200 hosts
                reported.add(route.mark)
                message = f"host {view.host} does not get the route to {route.to}: {unrouted.reason}"
                hint = None
                if route.via is None and route.interface is None:
                    hint = "add via, the next hop; or interface, if the destination is reached directly"
                yield Problem("KVN181", message, route.mark, severity=WARNING, hint=hint)


def _views_of_readable_networks(context: Context) -> Iterator[HostView]:
    """The views of hosts whose networks have no invalid subnets: what the others can reach is unknown."""
    unreadable = {network.name for network in context.cluster.networks.values() if not network.is_readable}
    for view in context.views.values():
        interfaces = context.cluster.hosts[view.host].interfaces.values()
        if not any(interface.network in unreadable for interface in interfaces):
            yield view


def _follows_from_own_next_hop(host: Host, route: Route) -> bool:
    """Whether a next hop is reached by another route whose next hop is the host itself, which KVN193 reports."""
    own = {placed.ip for interface in host.interfaces.values() for placed in interface.addresses}
    via = route.via
    return via is not None and any(other.is_own and other.via in own and via in other.to for other in host.routes)


@check("KVN182", "destination and next hop of different families")
def find_mixed_families(context: Context) -> Iterator[Problem]:
    """The destination of a route and its next hop must be both IPv4 or both IPv6. Correct one of the two addresses."""
    for route in _distinct_routes(context):
        if route.via is not None and route.to.version != route.via.version:
            families = f"an IPv{route.via.version} address, but the destination is IPv{route.to.version}"
            yield Problem("KVN182", f"next hop {route.via} of the route to {route.to} is {families}", route.mark)


@check("KVN183", "route destination with host bits set")
def find_destinations_with_host_bits(context: Context) -> Iterator[Problem]:
    """
    10.9.0.5/16 is an address with a prefix length, not a subnet: the subnet is 10.9.0.0/16. Write the subnet, or
    correct the prefix length.
    """
    for route in _distinct_routes(context):
        if route.stray_bits:
            yield Problem("KVN183", f"route destination has host bits set: write {route.to}", route.mark)


@check("KVN184", "host cannot reach a name server")
def find_unreachable_name_servers(context: Context) -> Iterator[Problem]:
    """
    The host cannot send packets to a name server. It has no address on the name server's network, and no static route
    or default route to it. Name resolution on the host would wait for this server until its timeout. Correct the
    address, or add the missing route.
    """
    reported: set[Mark] = set()
    for view in _views_of_readable_networks(context):
        host = context.cluster.hosts[view.host]
        for server in _name_servers(context.cluster, host, view):
            if server.mark not in reported and not routing.is_reachable(context.cluster, host, view.routes, server.ip):
                reported.add(server.mark)
                message = f"host {view.host} has no route to name server {server.ip}"
                yield Problem("KVN184", message, server.mark, severity=WARNING)


def _name_servers(cluster: Cluster, host: Host, view: HostView) -> Iterator[Placed]:
    """The name servers that a host uses, with their places."""
    for network in dict.fromkeys(interface.network or "" for interface in host.interfaces.values()):
        for server in cluster.networks[network].dns_servers if network in cluster.networks else ():
            if str(server.ip) in view.dns_servers:
                yield server
