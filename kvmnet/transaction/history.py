"""The transactions that have ended, and the one that is open, read from what they wrote."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from kvmnet.system import clock, files, journal, units
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json

#: Steps that may take the host's addresses away, or what lets others reach them.
TAKING = ("zone", "unbind zone", "rename", "clear", "bond option", "apply", "associations", "give back", "activate")
#: Steps that end only when the addresses are there again.
PROVING = ("read back", "as before", "probe", "confirm")
#: By how many seconds the date may differ from the uptime within one boot, for a span over a boot to be told by it.
DRIFT = 2.0


@dataclass(frozen=True)
class Ended:
    """One that has ended. `at` is when it began (seconds since the epoch); `outcome` is "kept", "rolled back"
    or "nothing was begun"; `verified`, whether an undo was seen to be whole; `why`, what it failed with;
    `away`, for how many seconds the watched gateway did not answer, of an undone one until the undo began (None: nobody
    was watched, or who watched was killed); `away_at_most`, for how many the host's addresses were away at most, by the
    journal (None: it does not tell); `rebooted`, whether a boot lies in them."""

    id: str
    at: float
    host: str
    outcome: str
    verified: Optional[bool]
    why: Optional[str]
    away: Optional[float]
    away_at_most: Optional[float]
    rebooted: bool
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
    transaction, events = files.read_json(folder / "transaction.json"), Journal(folder).events()
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
        away_at_most(transaction, events),
        _boots(transaction, events)[-1:] not in ([], [transaction.get("boot")]),
        tuple(transaction.get("changes", ())),
    )


def away_at_most(transaction: Json, events: Sequence[Json]) -> Optional[float]:
    """An upper bound of the seconds for which the host's addresses were away: from the first step that may take them
    (of one cut off before that: the last word before the undo) to the step that found them again, or the undo's
    comparison. Over a boot it is told by the date, if that did not jump. None where the end was not seen or the journal
    has no stamps: nothing is guessed."""
    begin, end = _taken(events), _found(events)
    if begin is None or end is None or end < begin:
        return None
    boots = _boots(transaction, events)
    if None in (boots[begin], boots[end]):
        return None
    if boots[begin] == boots[end]:
        stamp = "up"
    elif all(_steady([e for e, boot in zip(events, boots) if boot == one]) for one in set(boots)):
        stamp = "at"
    else:
        return None
    if stamp not in events[begin] or stamp not in events[end]:
        return None
    span = float(events[end][stamp]) - float(events[begin][stamp])
    return math.ceil(round(span, 3) * 10) / 10 if span >= 0 else None


def _taken(events: Sequence[Json]) -> Optional[int]:
    """The number of the event from which on the addresses may be away."""
    for number, event in enumerate(events):
        if event["event"] == "do" and event.get("op") in TAKING:
            return number
        if event["event"] == "undo":
            return max(number - 1, 0)
    return None


def _found(events: Sequence[Json]) -> Optional[int]:
    """The number of the event by which they are there again: what was kept was read back after its last step of
    those."""
    if any(e["event"] == "undo" for e in events):
        return next((n for n, e in enumerate(events) if e["event"] == "verified"), None)
    if not any(e["event"] == "kept" for e in events):
        return None
    ops = {e["step"]: e.get("op") for e in events if e["event"] == "do"}
    last = max((n for n, e in enumerate(events) if e["event"] == "do" and e.get("op") in TAKING), default=0)
    found = (n for n, e in enumerate(events) if n > last and e["event"] == "done" and ops.get(e.get("step")) in PROVING)
    return next(found, next(n for n, e in enumerate(events) if e["event"] == "kept"))


def _boots(transaction: Json, events: Sequence[Json]) -> list[Optional[str]]:
    """The boot that each event is of: an undo may be in a later one than the change. None where it does not say."""
    boot, found = transaction.get("boot"), []
    for event in events:
        if event["event"] == "undo":
            boot = event.get("boot")
        found.append(boot)
    return found


def _steady(events: Sequence[Json]) -> bool:
    """Whether the date went as the uptime did; both are stamped by each."""
    apart = [float(e["at"]) - float(e["up"]) if "up" in e else math.inf for e in events]
    return math.isfinite(max(apart)) and max(apart) - min(apart) <= DRIFT


@dataclass(frozen=True)
class Open:
    """One that is open. `left` is for how many seconds its step may still take before the watchdog undoes it
    (None while it is being undone); `step` is what goes on now; `works` whether a process works on it;
    `differences` what an undo that could not be verified has left, `mends` the commands that would mend it;
    `confirm_left` is for how many seconds `kvmnet confirm` still counts (None while it is not waited for)."""

    id: str
    host: str
    at: float
    step: str
    left: Optional[float]
    works: bool
    undoing: bool
    differences: tuple[str, ...]
    mends: tuple[str, ...] = ()
    confirm_left: Optional[float] = None


def opened(state_dir: Path) -> Optional[Open]:
    """The open transaction, if there is one."""
    folder = state_dir / "open"
    if not folder.is_dir():
        return None
    transaction, events = files.read_json(folder / "transaction.json"), Journal(folder).events()
    told = [e for e in events if e["event"] in ("do", "undoing")]
    undoing = any(e["event"] == "undo" for e in events)
    last = next((e for e in reversed(events) if e["event"] in ("not-verified", "settling")), {})
    waits = _waits(events)
    return Open(
        str(transaction.get("id", "")),
        str(transaction.get("host", "")),
        float(events[0]["at"]) if events else 0.0,
        str(told[-1]["title"]) if told else "about to begin",
        None if undoing else round(journal.deadline(events) - clock.uptime(), 1),
        units.is_unit_alive(str(transaction.get("unit", ""))),
        undoing,
        tuple(last.get("differences", ())),
        tuple(last.get("mends", ())),
        None if waits is None else round(waits["up"] + waits["seconds"] - clock.uptime(), 1),
    )


def waits_since(state_dir: Path) -> Optional[float]:
    """Since when (seconds, as `rescue.uptime`) the open transaction waits for a word from outside; None when
    it does not."""
    waits = _waits(Journal(state_dir / "open").events())
    return float(waits["up"]) if waits else None


def _waits(events: Sequence[Json]) -> Optional[Json]:
    """The word by which a journal says that a word from outside is waited for; None where it does not, or did."""
    steps = [e for e in events if e["event"] in ("do", "done", "failed", "undo")]
    return steps[-1] if steps and steps[-1]["event"] == "do" and steps[-1].get("op") == "confirm" else None


def adopted(state_dir: Path) -> set[str]:
    """The permanent MACs of the NICs that an earlier transaction took over and kept."""
    found: set[str] = set()
    for one in ended(state_dir):
        if one.kept:
            transaction = files.read_json(state_dir / "history" / one.id / "transaction.json")
            found = set() if transaction.get("removes") else found | set(transaction.get("adopts", ()))
    return found


def before_the_last(state_dir: Path) -> dict[str, str]:
    """The files of the bundle that was applied before the last kept transaction, by name; empty when that was
    the first."""
    kept = [one for one in ended(state_dir) if one.kept]
    if not kept:
        return {}
    snapshot = files.read_json(state_dir / "history" / kept[-1].id / "snapshot.json")
    found = {}
    for record in snapshot.get("files", []):
        path = Path(record["path"])
        if path.parent == state_dir / "applied" and "data" in record:
            found[path.name] = base64.b64decode(record["data"]).decode()
    return found
