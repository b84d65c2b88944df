"""Static routes."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import WARNING, Mark, Problem
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Cluster, Host, Placed, Route
from kvmnet.core.views import routing
from kvmnet.core.views.host_view import HostView


def _written(context: Context) -> Iterator[Route]:
    """Every route that some host gets, once."""
    told: set[Mark] = set()
    for host in context.cluster.hosts.values():
        for route in host.routes:
            if route.mark not in told:
                told.add(route.mark)
                yield route


@check("KVN181", "a next hop that the host cannot reach")
def unreachable(context: Context) -> Iterator[Problem]:
    """
    The next hop of a static route is on none of the networks that the host has an address in: the host does
    not get the route.
    """
    told: set[Mark] = set()
    for view in context.views.values():
        for route in view.unrouted:
            if route.mark not in told:  # a route of the cluster on 200 hosts is one mistake
                told.add(route.mark)
                words = f"{view.host} does not get the route to {route.to}: {route.via} is on none of its networks"
                yield Problem("KVN181", words, route.mark, severity=WARNING)


@check("KVN182", "a route of two families")
def two_families(context: Context) -> Iterator[Problem]:
    """The destination of a route and its next hop are both IPv4 or both IPv6."""
    for route in _written(context):
        if route.to.version != route.via.version:
            words = f"the route to {route.to} goes via {route.via}, of the other family"
            yield Problem("KVN182", words, route.mark)


@check("KVN183", "a destination with bits behind its prefix")
def stray_bits(context: Context) -> Iterator[Problem]:
    """10.9.0.5/16 is an address with its prefix, not a subnet: the subnet is 10.9.0.0/16."""
    for route in _written(context):
        if route.stray_bits:
            words = f"bits are set behind the prefix; the subnet is {route.to}"
            yield Problem("KVN183", words, route.mark)


@check("KVN184", "a name server that the host cannot reach")
def dns_unreachable(context: Context) -> Iterator[Problem]:
    """
    A name server is on none of the networks that a host has an address in, and no route leads to it: neither a
    default route of its family nor a static one. The host would wait for it at every name.
    """
    told: set[Mark] = set()
    for view in context.views.values():
        host = context.cluster.hosts[view.host]
        for server in _servers(context.cluster, host, view):
            if server.mark not in told and not routing.reached(context.cluster, host, view.routes, server.ip):
                told.add(server.mark)
                words = f"{view.host} has no way to name server {server.ip}"
                yield Problem("KVN184", words, server.mark, severity=WARNING)


def _servers(cluster: Cluster, host: Host, view: HostView) -> Iterator[Placed]:
    """The name servers that a host asks, with their places."""
    for network in dict.fromkeys(interface.network or "" for interface in host.interfaces.values()):
        for server in cluster.networks[network].dns_servers if network in cluster.networks else ():
            if str(server.ip) in view.dns_servers:
                yield server
