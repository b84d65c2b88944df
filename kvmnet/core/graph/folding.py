"""Hosts of the same shape in one picture: they differ in nothing but their own addresses and MAC addresses.

What only some of the hosts have because of their guests is counted: VLANs for guests, and the guests themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kvmnet.core.graph.model import BRIDGE, DUMMY, GUEST, GUESTS, INFINIBAND, LOOPBACK, Box, Connection, HostGraph, Line
from kvmnet.core.reporting.review_lines import count

#: How long the first and the last of the hosts' addresses may be together, in characters, to be both in a line.
_RANGE_WIDTH = 36
#: How many guests a box names.
_NAMED = 3
#: How many boxes of guests a picture of several hosts has at most.
_MOST_GROUPS = 12
_Ends = frozenset[tuple[str, str]]


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

    @property
    def description(self) -> str:
        """What the picture shows, in a sentence for those who do not see it."""
        kinds: dict[str, int] = {}
        for box in self.graph.boxes:
            kinds[box.kind] = kinds.get(box.kind, 0) + 1
        parts = [_count_kind(kind, number) for kind, number in kinds.items()]
        return f"{count(len(self.hosts), 'host')}: {', '.join(parts)}."


def _count_kind(kind: str, number: int) -> str:
    if kind == GUESTS:
        return count(number, "group") + " of guests"
    return count(number, f"{kind} interface" if kind in (DUMMY, LOOPBACK, INFINIBAND) else kind)


def fold_hosts(graphs: Sequence[HostGraph]) -> list[Shape]:
    """Return the shapes of hosts: by group, and in the order of their first hosts."""
    shapes: dict[object, list[HostGraph]] = {}
    groups: dict[str, int] = {}
    for graph in graphs:
        shapes.setdefault(_signature(graph), []).append(graph)
        groups.setdefault(graph.group, len(groups))
    return [_make_shape(hosts) for hosts in sorted(shapes.values(), key=lambda hosts: groups[hosts[0].group])]


def _is_own(box: Box) -> bool:
    """Whether a box belongs to the shape of a host. Guests and the VLANs that exist for them alone do not."""
    return box.kind != GUEST and not box.is_for_guests


def _signature(graph: HostGraph) -> object:
    """Return what is the same for all hosts of a shape. Of guests and their VLANs, only what changes counts."""
    own = {box.key for box in graph.boxes if _is_own(box)}
    boxes = tuple(
        (box.key, box.kind, box.title, box.event, tuple((line.pattern, line.event) for line in box.lines))
        for box in graph.boxes
        if box.key in own
    )
    connections = tuple(c for c in graph.connections if c.end in own)
    events = {box.key: box.event for box in graph.boxes if box.key not in own and box.event}
    affected = frozenset((c.start, c.event, events[c.end]) for c in graph.connections if c.end in events)
    networks = tuple(sorted(name for name, is_own in graph.networks.items() if is_own))
    return graph.group, graph.event, bool(graph.old_name), boxes, connections, affected, networks


def _make_shape(hosts: Sequence[HostGraph]) -> Shape:
    first = hosts[0]
    if len(hosts) == 1:
        return Shape((first,), first)
    rows: dict[str, list[Box]] = {}
    networks: dict[str, bool] = {}
    for host in hosts:
        for box in host.boxes:
            if box.kind != GUEST:
                rows.setdefault(box.key, []).append(box)
        networks.update({name: is_own or networks.get(name, False) for name, is_own in host.networks.items()})
    boxes = [_fold_box(same, len(hosts)) for same in rows.values()]
    guests, connections = _fold_guests(hosts)
    below = [c for host in hosts for c in host.connections if c.end in rows]
    for_guests = sorted((box for box in boxes if box.is_for_guests), key=lambda box: (len(box.title), box.title))
    boxes = [*(box for box in boxes if not box.is_for_guests), *for_guests]
    index = {box.key: number for number, box in enumerate(boxes)}
    bridges = {box.key for box in boxes if box.kind == BRIDGE}
    below = sorted(dict.fromkeys(below), key=lambda c: (c.end not in bridges, index[c.end]))
    graph = replace(
        first,
        boxes=(*boxes, *guests),
        connections=(*below, *connections),
        networks=networks,
        notes=first.notes if all(host.notes == first.notes for host in hosts) else (),
    )
    return Shape(tuple(hosts), graph)


def _fold_box(boxes: Sequence[Box], number: int) -> Box:
    """Return the box that stands for one on each of `number` hosts, or on some of them."""
    lines = [_fold_line(lines) for lines in zip(*(box.lines for box in boxes))]
    if len(boxes) < number:
        lines.append(Line(f"on {len(boxes):,} of {number:,} hosts"))
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
    are connected to the same interfaces, or for all if these are many."""
    first = hosts[0]
    guest_keys = {box.key for box in first.guests}
    if all(host.guests == first.guests for host in hosts):
        return first.guests, [c for c in first.connections if c.end in guest_keys]
    boxes, connections = [], []
    for number, ((event, starts), names) in enumerate(_group_guests(hosts).items()):
        more = [f"and {len(names) - _NAMED:,} more"] if len(names) > _NAMED else []
        lines = tuple(Line(text) for text in [*list(names)[:_NAMED], *more])
        kind, title = (GUESTS, count(len(names), "guest")) if len(names) > 1 else (GUEST, next(iter(names)))
        boxes.append(Box(f"guests:{number}", kind, title, lines if len(names) > 1 else (), event))
        connections += [Connection(start, f"guests:{number}", of_edge) for start, of_edge in sorted(starts)]
    return boxes, connections


def _group_guests(hosts: Sequence[HostGraph]) -> dict[tuple[str, _Ends], dict[str, None]]:
    """Return the names of the guests of hosts by what happens to them and what they are connected to."""
    groups: dict[tuple[str, _Ends], dict[str, None]] = {}
    for host in hosts:
        ends: dict[str, set[tuple[str, str]]] = {}
        for connection in host.connections:
            ends.setdefault(connection.end, set()).add((connection.start, connection.event))
        for box in host.guests:
            groups.setdefault((box.event, frozenset(ends.get(box.key, ()))), {})[box.title] = None
    if len(groups) <= _MOST_GROUPS:
        return groups
    merged: dict[str, tuple[set[tuple[str, str]], dict[str, None]]] = {}
    for (event, starts), names in groups.items():
        of_event = merged.setdefault(event, (set(), {}))
        of_event[0].update(starts)
        of_event[1].update(names)
    return {(event, frozenset(starts)): names for event, (starts, names) in merged.items()}
