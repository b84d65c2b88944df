"""A step of a transaction and its undo, as plain data."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kvmnet.system.operations import Operation, UndoKind

Step = dict[str, Any]

#: Seconds that most steps may take before the watchdog rolls the transaction back.
STEP_LIMIT = 60


def step(
    operation: Operation, title: str, undo: Collection[Step] = (), *, limit: int = STEP_LIMIT, **fields: Any
) -> Step:
    """A step. `title` is shown to the administrator, `fields` are the arguments of the operation's action
    (kvmnet/transaction/step_actions.py), `undo` are undo specs in the order in which they are carried out, and `limit`
    is the time limit in seconds that the watchdog enforces."""
    return {"op": operation.name, "title": title, **fields, "limit": limit, "undo": list(undo)}


def undo_spec(kind: UndoKind, **fields: Any) -> Step:
    """One undo of a step. `fields` are the arguments of the kind's function in kvmnet/rescue/undo.py."""
    return {"op": kind.name, **fields}


def touched_files(steps: list[Step]) -> list[str]:
    """The paths of all files that the steps write or remove. The snapshot must contain them."""
    paths: set[str] = set()
    for step in steps:
        for spec in step["undo"]:
            paths.update(spec.get("paths", []))
    return sorted(paths)


def touched_profiles(steps: list[Step]) -> list[str]:
    """The UUIDs of all connection profiles that the steps change or create."""
    uuids = {step["uuid"] for step in steps if "uuid" in step}
    for step in steps:
        for spec in step["undo"]:
            uuids.update(spec.get("uuids", []), spec.get("profiles", {}))
    return sorted(uuids)
