"""A step of a transaction: plain data, with what undoes it."""

from __future__ import annotations

from typing import Any, Optional

Step = dict[str, Any]

#: Seconds that a step may take before the watchdog undoes it all.
STEP_LIMIT = 60


def step(
    op: str, title: str, undo: Optional[list[dict[str, Any]]] = None, *, limit: int = STEP_LIMIT, **fields: Any
) -> Step:
    """A step: what steps.DO is asked for by `op` and `fields`, what rescue.UNDO is by each of `undo`, and for how many
    seconds the watchdog leaves it alone."""
    return {"op": op, "title": title, **fields, "limit": limit, "undo": undo or []}


def touched_files(steps: list[Step]) -> list[str]:
    """Every file that a step writes or removes: to be in the snapshot."""
    found: set[str] = set()
    for step in steps:
        for spec in step["undo"]:
            found.update(spec.get("paths", []))
    return sorted(found)


def touched_profiles(steps: list[Step]) -> list[str]:
    """The UUID of every profile that a step changes or makes."""
    found = {step["uuid"] for step in steps if "uuid" in step}
    for step in steps:
        for spec in step["undo"]:
            found.update(spec.get("uuids", []), spec.get("profiles", {}))
    return sorted(found)
