"""Hosts of the same shape in one picture: they differ in nothing but their own addresses and MAC addresses.

The guests that only some of the hosts have are counted, not drawn one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kvmnet.core.graph.model import (
    DUMMY,
    GUEST,
    GUESTS,
    INFINIBAND,
    LOOPBACK,
    SAME,
    Box,
    Connection,
    HostGraph,
    Line,
)
from kvmnet.core.reporting.review_lines import count

#: How long the first and the last of the hosts' addresses may be together, in characters, to be both in a line.
_RANGE_WIDTH = 36
#: How many guests a box names.
_NAMED = 3


@dataclass(frozen=True)
class Shape:
    """Hosts of the same shape, in the order of the definition, and the graph that stands for all of them."""

    hosts: tuple[HostGraph, ...]
    graph: HostGraph

    @property
    def title(self) -> str:
        """The names of the hosts: the first and the last one of several."""
        names = [f"{h.old_name} -> {h.host}" if h.old_name else h.host for h in self.hosts]
        if len(names) <= 2:
            return ", ".join(names)
        return f"{names[0]} … {names[-1]}"

    @property
    def guests(self) -> list[str]:
        """The names of all guests that can run on the hosts."""
        return list(dict.fromkeys(box.title for host in self.hosts for box in host.guests))


def fold_hosts(graphs: Sequence[HostGraph]) -> list[Shape]:
    """Return the shapes of hosts, in the order of their first hosts."""
    groups: dict[object, list[HostGraph]] = {}
    for graph in graphs:
        groups.setdefault(_signature(graph), []).append(graph)
    return [_make_shape(hosts) for hosts in groups.values()]


def _signature(graph: HostGraph) -> object:
    """Return what is the same for all hosts of a shape. Of guests, only those that the change affects count."""
    boxes = tuple(
        (box.key, box.kind, box.title, box.event, tuple((line.pattern, line.event) for line in box.lines))
        for box in graph.boxes
        if box.kind != GUEST
    )
    guests = {box.key: box.event for box in graph.guests}
    devices = tuple(c for c in graph.connections if c.end not in guests)
    affected = frozenset((c.start, c.event, guests[c.end]) for c in graph.connections if guests.get(c.end))
    renamed = bool(graph.old_name)
    return graph.group, graph.event, renamed, boxes, devices, affected, tuple(sorted(graph.networks))


def _make_shape(hosts: Sequence[HostGraph]) -> Shape:
    first = hosts[0]
    if len(hosts) == 1:
        return Shape((first,), first)
    devices = [box for box in first.boxes if box.kind != GUEST]
    rows = [{box.key: box for box in host.boxes} for host in hosts]
    boxes = [_fold_box([row[box.key] for row in rows]) for box in devices]
    guests, connections = _fold_guests(hosts)
    known = {box.key for box in devices}
    connections = [*(c for c in first.connections if c.end in known), *connections]
    return Shape(tuple(hosts), replace(first, boxes=(*boxes, *guests), connections=tuple(connections)))


def _fold_box(boxes: Sequence[Box]) -> Box:
    lines = [_fold_line(lines) for lines in zip(*(box.lines for box in boxes))]
    notes = boxes[0].notes if all(box.notes == boxes[0].notes for box in boxes) else ()
    return replace(boxes[0], lines=tuple(lines), notes=notes)


def _fold_line(lines: Sequence[Line]) -> Line:
    first, last = lines[0], lines[-1]
    texts = dict.fromkeys(line.text for line in lines)
    if len(texts) == 1:
        return first
    text = f"{first.text} … {last.text}"
    if len(text) > _RANGE_WIDTH or first.shared == "MAC":
        text = f"{len(texts):,} {first.unit}"
    return replace(first, text=text)


def _fold_guests(hosts: Sequence[HostGraph]) -> tuple[list[Box], list[Connection]]:
    """Return the guests of hosts of one shape: each one if they are the same on all hosts, else a box for those that
    are connected to the same interfaces."""
    first = hosts[0]
    guest_keys = {box.key for box in first.guests}
    if all(host.guests == first.guests for host in hosts):
        return first.guests, [c for c in first.connections if c.end in guest_keys]
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[Box]] = {}
    for host in hosts:
        ends: dict[str, set[tuple[str, str]]] = {}
        for connection in host.connections:
            ends.setdefault(connection.end, set()).add((connection.start, connection.event))
        for box in host.guests:
            groups.setdefault((box.event, frozenset(ends.get(box.key, ()))), []).append(box)
    boxes, connections = [], []
    for number, ((event, starts), members) in enumerate(_in_order(groups)):
        names = list(dict.fromkeys(box.title for box in members))
        more = [f"and {len(names) - _NAMED:,} more"] if len(names) > _NAMED else []
        lines = tuple(Line(text) for text in [*names[:_NAMED], *more])
        kind = GUESTS if len(names) > 1 else GUEST
        boxes.append(Box(f"guests:{number}", kind, count(len(names), "guest"), lines, event))
        connections += [Connection(start, f"guests:{number}", of_edge) for start, of_edge in sorted(starts)]
    return boxes, connections


def _in_order(
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[Box]],
) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], list[Box]]]:
    yield from sorted(groups.items(), key=lambda row: (row[0][0] == SAME, row[0][0], sorted(row[0][1])))


def describe_shape(shape: Shape) -> str:
    """Return what a shape is, in a sentence for those who do not see its picture."""
    graph = shape.graph
    kinds: dict[str, int] = {}
    for box in graph.boxes:
        kinds[box.kind] = kinds.get(box.kind, 0) + 1
    return f"{count(len(shape.hosts), 'host')}: {', '.join(_count_kind(*row) for row in kinds.items())}."


def _count_kind(kind: str, number: int) -> str:
    if kind == GUESTS:
        return count(number, "group") + " of guests"
    return count(number, f"{kind} interface" if kind in (DUMMY, LOOPBACK, INFINIBAND) else kind)
