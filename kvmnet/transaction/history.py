"""The transactions that have ended, and the one that is open, read from what they wrote."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from kvmnet import rescue


@dataclass(frozen=True)
class Ended:
    """One that has ended. `at` is when it began (seconds since the epoch); `outcome` is "kept", "rolled back"
    or "nothing was begun"; `verified`, whether an undo was seen to be whole; `why`, what it failed with;
    `away`, for how many seconds the watched gateway did not answer (None: nobody was watched)."""

    id: str
    at: float
    host: str
    outcome: str
    verified: Optional[bool]
    why: Optional[str]
    away: Optional[float]
    changes: tuple[Mapping[str, Any], ...]

    @property
    def kept(self) -> bool:
        """Whether it is in force, or was until a later one."""
        return self.outcome == "kept"


def ended(state_dir: Path) -> list[Ended]:
    """All that are remembered, oldest first."""
    folders = sorted((state_dir / "history").glob("*"))
    return [_ended(folder) for folder in folders if (folder / "journal.jsonl").exists()]


def _ended(folder: Path) -> Ended:
    transaction, events = rescue.read_json(folder / "transaction.json"), rescue.Journal(folder).events()
    last = next((e for e in reversed(events) if e["event"] == "end"), {})
    reasons = [e.get("error") or e.get("why") for e in events if e["event"] in ("failed", "undo")]
    away = [e["away"] for e in events if e.get("away") is not None]
    kept = any(e["event"] == "kept" for e in events)  # on a full disk the word of the end may be missing
    outcome = str(last.get("outcome", "kept" if kept else "unknown"))
    return Ended(
        folder.name,
        float(events[0]["at"]) if events else 0.0,
        str(transaction.get("host", "")),
        outcome,
        last.get("verified"),
        str(reasons[0]) if reasons and outcome != "kept" else None,
        float(away[-1]) if away else None,
        tuple(transaction.get("changes", ())),
    )


@dataclass(frozen=True)
class Open:
    """One that is open. `left` is for how many seconds its step may still take before the watchdog undoes it
    (None while it is being undone); `step` is what goes on now; `works` whether a process works on it;
    `differences` what an undo that could not be verified has left, `mends` the commands that would mend it."""

    id: str
    host: str
    at: float
    step: str
    left: Optional[float]
    works: bool
    undoing: bool
    differences: tuple[str, ...]
    mends: tuple[str, ...] = ()


def opened(state_dir: Path) -> Optional[Open]:
    """The open transaction, if there is one."""
    folder = state_dir / "open"
    if not folder.is_dir():
        return None
    transaction, events = rescue.read_json(folder / "transaction.json"), rescue.Journal(folder).events()
    told = [e for e in events if e["event"] in ("do", "undoing")]
    undoing = any(e["event"] == "undo" for e in events)
    last = next((e for e in reversed(events) if e["event"] in ("not-verified", "settling")), {})
    return Open(
        str(transaction.get("id", "")),
        str(transaction.get("host", "")),
        float(events[0]["at"]) if events else 0.0,
        str(told[-1]["title"]) if told else "about to begin",
        None if undoing else round(rescue.deadline(events) - rescue.uptime(), 1),
        rescue.unit_lives(str(transaction.get("unit", ""))),
        undoing,
        tuple(last.get("differences", ())),
        tuple(last.get("mends", ())),
    )


def waits_since(state_dir: Path) -> Optional[float]:
    """Since when (seconds, as `rescue.uptime`) the open transaction waits for a word from outside; None when
    it does not."""
    events = rescue.Journal(state_dir / "open").events()
    steps = [e for e in events if e["event"] in ("do", "done", "failed", "undo")]
    waits = bool(steps) and steps[-1]["event"] == "do" and steps[-1].get("op") == "confirm"
    return float(steps[-1]["up"]) if waits else None


def adopted(state_dir: Path) -> set[str]:
    """The permanent MACs of the NICs that an earlier transaction took over and kept."""
    found: set[str] = set()
    for one in ended(state_dir):
        if one.kept:
            transaction = rescue.read_json(state_dir / "history" / one.id / "transaction.json")
            found = set() if transaction.get("removes") else found | set(transaction.get("adopts", ()))
    return found


def before_the_last(state_dir: Path) -> dict[str, str]:
    """The files of the bundle that was applied before the last kept transaction, by name; empty when that was
    the first."""
    kept = [one for one in ended(state_dir) if one.kept]
    if not kept:
        return {}
    snapshot = rescue.read_json(state_dir / "history" / kept[-1].id / "snapshot.json")
    found = {}
    for record in snapshot.get("files", []):
        path = Path(record["path"])
        if path.parent == state_dir / "applied" and "data" in record:
            found[path.name] = base64.b64decode(record["data"]).decode()
    return found
