"""Where addresses come from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from kvmnet.core.base.problem import WARNING, Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Host
from kvmnet.core.views.host_view import HostView, IpView


@check("KVN180", "addresses that their source contradicts")
def contradiction(context: Context) -> Iterator[Problem]:
    """
    Addresses are static. Beside them `ipv4: dhcp`, `ipv6: auto` and the like say that they come from
    elsewhere, `none` that there are none: take one of the two out. `static` without addresses has none to
    give. (Over a group's template the nearest wins: a host that gives addresses puts the group's
    `ipv4: dhcp` aside, one that says `ipv4: dhcp` the group's addresses.)
    """
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            name = f"{host.name} {interface.name}"
            for version in (4, 6):
                source = interface.source(version)
                mine = [a for a in interface.addresses if a.ip.version == version]
                place = interface.place.at(f"ipv{version}")
                if mine and source != "static":
                    words = f"{name} has ipv{version}: {source} and the address {mine[0].ip}"
                    yield Problem("KVN180", words, place)
                elif not mine and source == "static" and (interface.addresses or not interface.place.has("addresses")):
                    yield Problem("KVN180", f"{name} has ipv{version}: static and no IPv{version} address", place)


#: What brings a default route with the addresses: DHCPv6 alone does not.
_BRINGS = {4: ("dhcp",), 6: ("auto",)}


class _Default(NamedTuple):
    """A default route that a host gets, or may get from its network."""

    device: str
    dynamic: bool
    metric: int
    mark: Mark


@check("KVN185", "a default route from DHCP or a router beside another one")
def two_defaults(context: Context) -> Iterator[Problem]:
    """
    A host has two ways to get a default route of one family, and at least one of them comes with DHCP or
    router advertisements: whether it comes, and which of the two wins, is not for the definition to say. Write
    `default_route: false` on the network that is not to give it, or give the networks different `metric`s.
    """
    told: set[tuple[Mark, Mark]] = set()
    for view in context.views.values():
        for version in (4, 6):
            for one, two in combinations(_defaults(view, context.cluster.hosts[view.host], version), 2):
                late, other = (two, one) if two.dynamic else (one, two)
                alike = one.metric == two.metric and one.device != two.device
                if not late.dynamic or not alike or (late.mark, other.mark) in told:
                    continue
                told.add((late.mark, other.mark))
                words = f"{view.host} may get two IPv{version} default routes: by {late.device} and by {other.device}"
                there = Related(other.mark, "the other one is here")
                hint = "write default_route: false on the network that gives none"
                yield Problem("KVN185", words, late.mark, severity=WARNING, related=(there,), hint=hint)


def _defaults(view: HostView, host: Host, version: int) -> Iterator[_Default]:
    everything = "0.0.0.0/0" if version == 4 else "::/0"
    for route in view.routes:
        if route.destination == everything and route.table == view.profile.table:
            yield _Default(route.device, False, route.metric, route.mark)
    places = {interface.place.mark: interface.place for interface in host.interfaces.values()}
    for device, ip, mark in _speaking(view):
        source = ip.ipv4 if version == 4 else ip.ipv6
        if source in _BRINGS[version] and ip.auto_gateway:
            yield _Default(device, True, ip.metric, places[mark].at(f"ipv{version}"))


def _speaking(view: HostView) -> Iterator[tuple[str, IpView, Mark]]:
    """Everything that may have addresses: its name, where they come from, the place of its interface."""
    for nic in view.nics:
        yield nic.name, nic.ip, nic.mark
    for bond in view.bonds:
        yield bond.name, bond.ip, bond.mark
    for vlan in view.vlans:
        yield vlan.name, vlan.ip, vlan.mark
    for bridge in view.bridges:
        yield bridge.name, bridge.ip, bridge.mark
