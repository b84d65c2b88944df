"""Checks of `ipv4` and `ipv6`: where an interface's addresses and default route come from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from kvmnet.core.base.problem import WARNING, Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Host
from kvmnet.core.views.host_view import HostView, IpView


@check("KVN180", "ipv4 or ipv6 contradicts the static addresses")
def find_contradicting_sources(context: Context) -> Iterator[Problem]:
    """
    Either an interface has static `addresses`, and also a method that does not use them (`none` or `link-local`):
    remove one of the two. Or it has the method `static`, but no address of this family: add an address.

    With `dhcp` and `auto`, static addresses are added to the automatic ones. A host overrides its groups. If the host
    has addresses, the group's `ipv4: dhcp` does not apply. If the host has `ipv4: dhcp`, the group's addresses do not
    apply. To have both, write both in the host or both in the group.
    """
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            for version in (4, 6):
                source = interface.source(version)
                addresses = [a for a in interface.addresses if a.ip.version == version]
                if interface.uses_static(version) if addresses else source != "static":
                    continue
                name, mark = f"{interface.name} on host {host.name}", interface.place.at(f"ipv{version}")
                is_reported_elsewhere = interface.place.has("addresses") and not interface.addresses  # by the schema
                if addresses:
                    message = f"{name} has both ipv{version}: {source} and the static address {addresses[0].ip}"
                    yield Problem("KVN180", message, mark)
                elif not is_reported_elsewhere:
                    yield Problem("KVN180", f"{name} has ipv{version}: static but no IPv{version} address", mark)


#: The sources that may provide a default route, by family. DHCPv6 alone does not.
_DEFAULT_ROUTE_SOURCES = {4: ("dhcp",), 6: ("auto",)}


class _DefaultRoute(NamedTuple):
    """A default route that a host gets, or (`dynamic`) may get from DHCP or a router."""

    device: str
    dynamic: bool
    metric: int
    mark: Mark


@check("KVN185", "possibly two default routes, one from DHCP or router advertisements")
def find_possible_default_routes(context: Context) -> Iterator[Problem]:
    """
    A host can get two default routes of the same family with the same metric. At least one of them comes from DHCP or
    router advertisements, so kvmnet cannot know whether it will exist. If both exist, it is undefined which one is
    used. Set `default_route: false` on the interface or network that must not provide the default route, or set a
    different `metric` on one of them.
    """
    reported: set[tuple[Mark, Mark]] = set()
    for view in context.views.values():
        for version in (4, 6):
            for one, two in combinations(_default_routes(view, context.cluster.hosts[view.host], version), 2):
                dynamic, other = (two, one) if two.dynamic else (one, two)
                is_ambiguous = one.metric == two.metric and one.device != two.device
                if not dynamic.dynamic or not is_ambiguous or (dynamic.mark, other.mark) in reported:
                    continue
                reported.add((dynamic.mark, other.mark))
                devices = f"on {dynamic.device} and on {other.device}"
                message = f"host {view.host} may get two IPv{version} default routes with the same metric: {devices}"
                origin = Related(other.mark, "the other default route comes from here")
                hint = "set default_route: false or a different metric on one of the interfaces or networks"
                yield Problem("KVN185", message, dynamic.mark, severity=WARNING, related=(origin,), hint=hint)


def _default_routes(view: HostView, host: Host, version: int) -> Iterator[_DefaultRoute]:
    """The default routes of one family (4 or 6) that a host gets or may get."""
    any_destination = "0.0.0.0/0" if version == 4 else "::/0"
    for route in view.routes:
        if route.destination == any_destination and route.table == view.policy.table:
            yield _DefaultRoute(route.device, False, route.metric, route.mark)
    places = {interface.place.mark: interface.place for interface in host.interfaces.values()}
    for device, ip, mark in _addressable_devices(view):
        source = ip.ipv4 if version == 4 else ip.ipv6
        if source in _DEFAULT_ROUTE_SOURCES[version] and ip.auto_gateway:
            yield _DefaultRoute(device, True, ip.metric, places[mark].at(f"ipv{version}"))


def _addressable_devices(view: HostView) -> Iterator[tuple[str, IpView, Mark]]:
    """Every device that may have addresses: its name, its IP settings, and the place of its interface."""
    for nic in view.nics:
        yield nic.name, nic.ip, nic.mark
    for bond in view.bonds:
        yield bond.name, bond.ip, bond.mark
    for dummy in view.dummies:
        yield dummy.name, dummy.ip, dummy.mark
    for other in view.others:
        yield other.name, other.ip, other.mark
    for vlan in view.vlans:
        yield vlan.name, vlan.ip, vlan.mark
    for bridge in view.bridges:
        yield bridge.name, bridge.ip, bridge.mark
