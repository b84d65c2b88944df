"""Reads the routes and routing rules of a host from all levels: the host, its groups, the cluster."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Optional

from kvmnet.core.definition.document import Map, Seq
from kvmnet.core.definition.model import Place, PlacedSubnet, Route, Rule
from kvmnet.core.definition.tree_values import leaves_at, number_at, read_subnet, text_at


def read_routes(levels: Sequence[Place]) -> list[Route]:
    """Return the routes of all levels (the host first), those of the cluster first. The nearest level wins for each
    destination, whatever the table."""
    routes: dict[str, list[Route]] = {}
    for level in reversed(levels):
        of_level: dict[str, list[Route]] = {}
        for item in _items(level, "routes"):
            to = leaves_at(item, "to")
            via = text_at(item, "via")
            if not to or (via is None and item.has("via")):
                continue
            subnet = read_subnet(to[0])
            route = Route(
                to=subnet.net,
                via=ipaddress.ip_address(via) if via is not None else None,
                interface=text_at(item, "interface"),
                metric=number_at(item, "metric"),
                table=number_at(item, "table"),
                stray_bits=subnet.stray_bits,
                is_own=level is levels[0],
                mark=to[0].mark,
            )
            of_level.setdefault(str(subnet.net), []).append(route)
        routes.update(of_level)
    return [route for of_destination in routes.values() for route in of_destination]


def read_rules(levels: Sequence[Place]) -> Iterator[Rule]:
    """Yield the routing rules of all levels (the host first), those of the cluster first."""
    for level in reversed(levels):
        for item in _items(level, "rules"):
            source, destination = _selector(item, "from"), _selector(item, "to")
            stated = {"ipv4": 4, "ipv6": 6}.get(text_at(item, "family") or "")
            versions = [stated, *(subnet.net.version for subnet in (source, destination) if subnet is not None)]
            yield Rule(
                version=next((version for version in versions if version is not None), None),
                source=source.net if source else None,
                destination=destination.net if destination else None,
                incoming=text_at(item, "incoming"),
                fwmark=number_at(item, "fwmark"),
                table=number_at(item, "table"),
                action=text_at(item, "action"),
                priority=number_at(item, "priority"),
                stray_bits=any(subnet.stray_bits for subnet in (source, destination) if subnet is not None),
                place=Place(item.mark, item),
            )


def _items(level: Place, key: str) -> Iterator[Map]:
    node = level.tree.get(key)
    yield from (item for item in node.items if isinstance(item, Map)) if isinstance(node, Seq) else ()


def _selector(item: Map, key: str) -> Optional[PlacedSubnet]:
    leaves = leaves_at(item, key)
    return read_subnet(leaves[0]) if leaves else None
