"""The overview of a cluster: hosts by group and shape, and the networks that they are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from kvmnet.core.definition.model import Cluster, Network
from kvmnet.core.graph.folding import Shape
from kvmnet.core.graph.model import ADDED, CHANGED, HOST, HOSTS, NETWORK, REMOVED, SAME, Box, Connection, Line, Picture
from kvmnet.core.reporting.review_lines import count


def draw_overview(
    shapes: Sequence[Shape], links: Sequence[str], new: Optional[Cluster], old: Optional[Cluster] = None
) -> Picture:
    """Return the overview. `links` are the IDs of the shapes' pictures; `old` is the definition before a change."""
    boxes = [_shape_box(shape, link) for shape, link in zip(shapes, links)]
    used = dict.fromkeys(name for shape in shapes for name in shape.graph.networks)
    networks = merge_networks(new, old)
    names = list({**networks, **used})
    boxes += [_network_box(name, *networks.get(name, (None, SAME)), shapes) for name in names]
    connections = [
        Connection(f"hosts:{link}", f"network:{name}", is_weak=not is_own, event=_event_of(shape, networks, name))
        for shape, link in zip(shapes, links)
        for name in names
        if (is_own := shape.graph.networks.get(name)) is not None
    ]
    hosts = sum(len(shape.hosts) for shape in shapes)
    text = f"{count(hosts, 'host')} of {count(len(shapes), 'shape')} on the left, {len(names)}"
    text += " networks on the right." + (" Dashed: for guests alone." if any(c.is_weak for c in connections) else "")
    return Picture("overview", "Overview", text, tuple(boxes), tuple(connections))


def merge_networks(new: Optional[Cluster], old: Optional[Cluster]) -> dict[str, tuple[Optional[Network], str]]:
    """Return the networks of both definitions, each with what happens to it."""
    after = new.networks if new is not None else {}
    if old is None:
        return {name: (network, SAME) for name, network in after.items()}
    rows: dict[str, tuple[Optional[Network], str]] = {}
    for name in {**after, **old.networks}:
        if name not in after:
            rows[name] = (old.networks[name], REMOVED)
        elif name not in old.networks:
            rows[name] = (after[name], ADDED)
        else:
            same = network_lines(after[name]) == network_lines(old.networks[name])
            rows[name] = (after[name], SAME if same else CHANGED)
    return rows


def network_lines(network: Network) -> list[str]:
    """Return what the definition states about a network, a line each."""
    lines = [f"VLAN {network.vlan}" + (f" over {network.over}" if network.over else "")] if network.vlan else []
    lines += [str(subnet.net) for subnet in network.subnets]
    lines += [f"gateway {gateway.ip}" for gateway in network.gateways]
    lines += [f"MTU {network.mtu}"] if network.mtu else []
    return lines


def _shape_box(shape: Shape, link: str) -> Box:
    graph = shape.graph
    lines = [Line(f"group {graph.group}")] if graph.group else []
    guests = len(shape.guests)
    if len(shape.hosts) > 1:
        lines.append(Line(f"{len(shape.hosts):,} hosts of the same shape"))
    lines += [Line(count(guests, "guest"))] if guests else []
    kind = HOST if len(shape.hosts) == 1 else HOSTS
    return Box(f"hosts:{link}", kind, shape.title, tuple(lines), graph.event, link=link)


def _network_box(name: str, network: Optional[Network], event: str, shapes: Sequence[Shape]) -> Box:
    lines = [Line(text) for text in network_lines(network)] if network is not None else []
    own = sum(len(shape.hosts) for shape in shapes if shape.graph.networks.get(name) is True)
    weak = sum(len(shape.hosts) for shape in shapes if shape.graph.networks.get(name) is False)
    users = [count(own, "host")] if own else []
    users += [f"guests on {count(weak, 'host')}"] if weak else []
    lines += [Line(text) for text in users or ["on no host"]]
    return Box(f"network:{name}", NETWORK, name, tuple(lines), event)


def _event_of(shape: Shape, networks: Mapping[str, tuple[Optional[Network], str]], name: str) -> str:
    """Return what happens to the connection of hosts to a network: whether one of the two comes or goes."""
    for event in (shape.graph.event, networks.get(name, (None, SAME))[1]):
        if event in (ADDED, REMOVED):
            return event
    return SAME
