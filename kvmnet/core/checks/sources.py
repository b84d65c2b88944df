"""Where addresses come from."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.checks import Context, check
from kvmnet.core.problem import Problem


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
