"""The actions of adoption_steps."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kvmnet.rescue import handover
from kvmnet.system import files
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json
from kvmnet.transaction.action_context import Context, StepFailed
from kvmnet.transaction.step import Step

NET = Path("/sys/class/net")
#: Seconds between two looks whether a new bridge has an uplink.
_POLL_SECONDS = 0.02


@contextlib.contextmanager
def moving_ports(context: Context, step: Step) -> Iterator[None]:
    """Move guests' ports to the bridges that replace theirs while nmstate works, each as soon as its new bridge has an
    uplink. They are without uplink for as long as it takes, and not for as long as nmstate takes."""
    waiting = list(step.get("hand_over", ()))
    if not waiting:
        yield
        return
    ports = files.read_json(context.folder / "snapshot.json").get("guests", {})
    ended = threading.Event()
    thread = threading.Thread(target=_move_when_ready, args=(waiting, ports, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _move_when_ready(waiting: list[Json], ports: Json, ended: threading.Event) -> None:
    while waiting and not ended.wait(_POLL_SECONDS):
        for pair in [pair for pair in waiting if _has_uplink(pair)]:
            waiting.remove(pair)
            with contextlib.suppress(HostError):  # the next step moves the rest
                handover.move_guest_ports({pair["from"]: pair["to"]}, ports)


def _has_uplink(pair: Json) -> bool:
    return any((NET / pair["to"] / "brif" / uplink).exists() for uplink in pair["uplinks"])


def hand_over(context: Context, step: Step) -> str:
    """Move all guests' ports of the replaced bridges that are left. Returns how many were moved now."""
    ports = files.read_json(context.folder / "snapshot.json").get("guests", {})
    moved = handover.move_guest_ports(step["bridges"], ports)
    if left := handover.find_left_ports(step["bridges"]):
        raise StepFailed(f"guests' ports could not be moved to another bridge: {', '.join(left)}")
    return f"{len(moved)} moved"


def keep_settings(context: Context, step: Step) -> str:
    """Set the settings of profiles (interface -> setting -> key -> [signature, value]) that have another value now, in
    memory, and reapply their devices."""
    profiles = context.manager.active(step["settings"])
    changed = []
    for name, wanted in step["settings"].items():
        if name not in profiles:
            raise StepFailed(f"{name} has no active connection profile")
        changes = _find_changes(context.manager.settings(context.manager.profile_path(profiles[name])), wanted)
        if changes:
            context.manager.change_in_memory(profiles[name], changes)
            context.manager.reapply(name)
            changed.append(f"{name} {', '.join(f'{s}.{key}' for s, keys in changes.items() for key in keys)}")
    return "; ".join(changed) or "no change needed"


def _find_changes(current: Any, wanted: Json) -> dict[str, dict[str, Any]]:
    changes: dict[str, dict[str, Any]] = {}
    for setting, keys in wanted.items():
        for key, (signature, value) in keys.items():
            if current.get(setting, {}).get(key, ("", None))[1] != value:
                changes.setdefault(setting, {})[key] = (signature, value)
    return changes
