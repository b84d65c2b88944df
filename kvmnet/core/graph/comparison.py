"""A host before and after a change in one graph. What happens to it is taken from the review (`kvmnet diff`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Optional

from kvmnet.core.effects.impact import UNTOUCHED
from kvmnet.core.graph.model import ADDED, CHANGED, GUEST, NIC, REMOVED, SAME, Box, Connection, HostGraph, Line
from kvmnet.core.planning.changes import Change
from kvmnet.core.reporting.change_text import detail_texts
from kvmnet.core.review.host_review import HostReview


def mark_all(graph: HostGraph, event: str) -> HostGraph:
    """Return the graph of a host of which everything is added or removed."""
    boxes = tuple(replace(box, event=event) for box in graph.boxes)
    connections = tuple(replace(c, event=event) for c in graph.connections)
    return replace(graph, boxes=boxes, connections=connections, event=event)


def compare_host(old: HostGraph, new: HostGraph, review: Optional[HostReview]) -> HostGraph:
    """Return the graph of a host before and after a change. `review`: what `kvmnet diff` lists for it (None: nothing
    changes)."""
    old = _with_keys_of(old, new)
    changes: dict[str, list[Change]] = {}
    for change in review.changes if review is not None else ():
        changes.setdefault(change.name, []).append(change)
    before = {box.key: box for box in old.boxes}
    after = {box.key: box for box in new.boxes}
    effects = _list_effects(review)
    boxes = []
    for key, box in {**before, **after}.items():
        if key not in after:
            boxes.append(replace(box, event=REMOVED, notes=_notes(changes.get(box.title, ()))))
        elif key not in before:
            boxes.append(replace(box, event=ADDED, notes=_notes(changes.get(box.title, ()))))
        else:
            boxes.append(_compare_box(before[key], box, changes, effects))
    known = {box.title for box in boxes}
    notes = [text for name, of_name in changes.items() if name not in known for text in _titled_notes(of_name)]
    notes += [f"apply will refuse this: {r.code}: {r.message}" for r in review.refusals] if review else []
    notes += [f"recorded: {text}" for text in review.recorded] if review else []
    if review is not None:
        notes = [review.hide_invented_macs(note) for note in notes]
        boxes = [replace(b, notes=tuple(review.hide_invented_macs(note) for note in b.notes)) for b in boxes]
    order = {key: index for index, key in enumerate([*after, *before])}
    boxes.sort(key=lambda box: (box.kind == GUEST, box.kind != NIC, order[box.key]))
    return replace(
        new,
        boxes=tuple(boxes),
        connections=tuple(_compare_connections(old.connections, new.connections)),
        networks={**old.networks, **new.networks},
        event=CHANGED if review is not None or any(box.event for box in boxes) else SAME,
        notes=tuple(notes),
        old_name=old.host if old.host != new.host else "",
    )


def _with_keys_of(old: HostGraph, new: HostGraph) -> HostGraph:
    """Return the old graph in which each NIC that has another key in the new one, but the same MAC address, has that
    key."""
    before, after = {box.key for box in old.boxes}, {box.key for box in new.boxes}
    by_mac = {_mac_of(box): box.key for box in new.boxes if _mac_of(box) and box.key not in before}
    keys = {b.key: by_mac[_mac_of(b)] for b in old.boxes if b.key not in after and _mac_of(b) in by_mac}
    boxes = tuple(replace(box, key=keys.get(box.key, box.key)) for box in old.boxes)
    connections = (replace(c, start=keys.get(c.start, c.start), end=keys.get(c.end, c.end)) for c in old.connections)
    return replace(old, boxes=boxes, connections=tuple(connections))


def _mac_of(box: Box) -> str:
    return next((line.text for line in box.lines if line.shared == "MAC"), "")


def _list_effects(review: Optional[HostReview]) -> dict[str, tuple[str, ...]]:
    """Return what happens to the running guests of a host, by guest."""
    effects: dict[str, tuple[str, ...]] = {}
    for effect in review.guests if review is not None else ():
        if effect.guest is not None and effect.how != UNTOUCHED:
            text = f"{effect.how} on {effect.over}"
            effects[effect.guest] = tuple(dict.fromkeys((*effects.get(effect.guest, ()), text)))
    return effects


def _compare_box(
    old: Box, new: Box, changes: Mapping[str, Sequence[Change]], effects: Mapping[str, tuple[str, ...]]
) -> Box:
    lines = _compare_lines(old.lines, new.lines)
    notes = _notes(changes.get(new.title, ()))
    if new.kind == GUEST and new.title in effects:
        lines += [Line(text, event=CHANGED) for text in effects[new.title]]
    if old.title != new.title:
        lines.insert(0, Line(f"renamed from {old.title}", event=CHANGED))
        notes += _notes(changes.get(old.title, ()), of_renames=True)
    is_changed = bool(notes) or any(line.event for line in lines)
    return replace(new, lines=tuple(lines), event=CHANGED if is_changed else SAME, notes=notes)


def _compare_lines(old: Sequence[Line], new: Sequence[Line]) -> list[Line]:
    """Return the lines of both: those that go follow those that stay and come."""
    before, after = {line.text for line in old}, {line.text for line in new}
    lines = [line if line.text in before else replace(line, event=ADDED) for line in new]
    anchors = {line.anchor for line in new if line.anchor}
    gone = [replace(line, event=REMOVED) for line in old if line.text not in after]
    return lines + [replace(line, anchor="") if line.anchor in anchors else line for line in gone]


def _compare_connections(old: Sequence[Connection], new: Sequence[Connection]) -> list[Connection]:
    connections = [c if c in old else replace(c, event=ADDED) for c in new]
    return connections + [replace(c, event=REMOVED) for c in old if c not in new]


def _notes(changes: Sequence[Change], of_renames: bool = False) -> tuple[str, ...]:
    """Return the details of changes. A renamed NIC and what takes its name are listed under the same name, so renames
    are apart."""
    return tuple(text for change in changes if (change.kind == "rename") is of_renames for text in detail_texts(change))


def _titled_notes(changes: Sequence[Change]) -> list[str]:
    return [": ".join([f"{c.kind} {c.name}", *(["; ".join(detail_texts(c))] if c.details else [])]) for c in changes]
