"""The ended transactions and the open one, read from /var/lib/kvmnet."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from kvmnet.system import clock, files, journal, operations, units
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json

#: By how many seconds the date may drift from the uptime within a boot, when a time span over a boot is measured by it.
MAX_DRIFT = 2.0


@dataclass(frozen=True)
class EndedTransaction:
    """An ended transaction, as `kvmnet history --json` prints it.

    at: when it began, in seconds since the epoch.
    outcome: "kept", "rolled back" or "nothing was begun".
    verified: whether the rollback was verified; None when there was none.
    why: what it failed with; likely: the likely reasons of that.
    away: for how many seconds the watched gateway did not reply; of a transaction that was rolled back, until the
        rollback began. None when no gateway was watched, or the worker was killed.
    away_at_most: an upper bound of the seconds for which the host's addresses were away, from the journal. None when
        the journal gives none.
    rebooted: whether the host was rebooted in between.
    operation: the command: "apply", "rollback" (to the bundle that was applied before) or "remove"."""

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
    operation: str = "apply"
    likely: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the change was kept."""
        return self.outcome == "kept"


def read_history(state_dir: Path) -> list[EndedTransaction]:
    """The ended transactions in the history, oldest first."""
    folders = sorted((state_dir / "history").glob("*"))
    return [_read_ended(folder) for folder in folders if (folder / "journal.jsonl").exists()]


def _read_ended(folder: Path) -> EndedTransaction:
    transaction, events = files.read_json(folder / "transaction.json"), Journal(folder).events()
    end = next((e for e in reversed(events) if e["event"] == "end"), {})
    away = [e["away"] for e in events if e.get("away") is not None]
    is_kept = _has_event(events, "kept")  # a full disk may not take the end event
    outcome = str(end.get("outcome", "kept" if is_kept else "unknown"))
    return EndedTransaction(
        folder.name,
        float(events[0]["at"]) if events else 0.0,
        str(transaction.get("host", "")),
        outcome,
        end.get("verified"),
        _find_reason(events) if outcome != "kept" else None,
        float(away[-1]) if away else None,
        away_at_most(transaction, events),
        _boot_ids(transaction, events)[-1:] not in ([], [transaction.get("boot")]),
        tuple(transaction.get("changes", ())),
        str(transaction.get("operation") or ("remove" if transaction.get("removes") else "apply")),
        _find_likely_reasons(events) if outcome != "kept" else (),
    )


def _find_reason(events: Sequence[Json]) -> Optional[str]:
    """What a transaction failed with, or who started its rollback."""
    reasons = [e.get("error") or e.get("why") for e in events if e["event"] in ("failed", "undo")]
    return str(reasons[0]) if reasons else None


def _find_likely_reasons(events: Sequence[Json]) -> tuple[str, ...]:
    """The texts of the likely reasons in the journal."""
    texts = [str(reason.get("text", "")) for e in events for reason in e.get("likely", ())]
    return tuple(dict.fromkeys(filter(None, texts)))


def _has_event(events: Sequence[Json], name: str) -> bool:
    return any(event["event"] == name for event in events)


def away_at_most(transaction: Json, events: Sequence[Json]) -> Optional[float]:
    """An upper bound of the seconds for which the host's addresses were away: from the first step that may remove them
    (when there was none before the rollback: from the last event before it) to the creation of the last address that
    was found again; 0 when they were never removed. Where the kernel's times are missing, or a NIC was down meanwhile,
    the bound ends with the step that found the addresses, or with the verification of the rollback. Over a boot it is
    measured by the date, unless that jumped. None when the end was not observed or the journal has no time stamps."""
    begin, end = _find_interruption(events), _find_return(events)
    if begin is None or end is None or end < begin:
        return None
    boots = _boot_ids(transaction, events)
    if None in (boots[begin], boots[end]):
        return None
    if boots[begin] == boots[end]:
        stamp = "up"
    elif all(_has_steady_date([e for e, boot in zip(events, boots) if boot == one]) for one in set(boots)):
        stamp = "at"
    else:
        return None
    if stamp not in events[begin] or stamp not in events[end]:
        return None
    seconds = float(events[end][stamp]) - float(events[begin][stamp])
    if stamp == "up" and "addresses_since" in events[end] and not _took_link_down(events[: end + 1]):
        seconds = min(seconds, max(float(events[end]["addresses_since"]) - float(events[begin]["up"]), 0.0))
    return math.ceil(round(seconds, 3) * 10) / 10 if seconds >= 0 else None


def _took_link_down(events: Sequence[Json]) -> bool:
    """Whether a NIC was down in between: it keeps its IPv4 addresses then, although nobody reaches them."""
    return any(e.get("result") == "down-up" or e.get("link_went_down") for e in events)


def _starts_interruption(event: Json) -> bool:
    return event["event"] == "do" and operations.find_operation(event.get("op")).interrupts_traffic


def _find_interruption(events: Sequence[Json]) -> Optional[int]:
    """The index of the event from which on the addresses may be away."""
    for index, event in enumerate(events):
        if _starts_interruption(event):
            return index
        if event["event"] == "undo":
            return max(index - 1, 0)
    return None


def _find_return(events: Sequence[Json]) -> Optional[int]:
    """The index of the event by which the addresses are back. In a kept transaction it is the end of the first step
    that verifies after the last one that interrupts."""
    if _has_event(events, "undo"):
        return next((index for index, event in enumerate(events) if event["event"] == "verified"), None)
    if not _has_event(events, "kept"):
        return None
    verifying_steps = {
        event["step"]
        for event in events
        if event["event"] == "do" and operations.find_operation(event.get("op")).verifies
    }
    last = max((index for index, event in enumerate(events) if _starts_interruption(event)), default=0)
    for index, event in enumerate(events):
        if index > last and event["event"] == "done" and event.get("step") in verifying_steps:
            return index
    return next(index for index, event in enumerate(events) if event["event"] == "kept")


def _boot_ids(transaction: Json, events: Sequence[Json]) -> list[Optional[str]]:
    """The boot id of each event: the rollback may run in a later boot than the change. None where it is not known."""
    boot, boots = transaction.get("boot"), []
    for event in events:
        if event["event"] == "undo":
            boot = event.get("boot")
        boots.append(boot)
    return boots


def _has_steady_date(events: Sequence[Json]) -> bool:
    """Whether the date advanced like the uptime. Each event has both."""
    offsets = [float(e["at"]) - float(e["up"]) if "up" in e else math.inf for e in events]
    return math.isfinite(max(offsets)) and max(offsets) - min(offsets) <= MAX_DRIFT


@dataclass(frozen=True)
class OpenTransaction:
    """The open transaction, as `kvmnet status --json` prints it.

    step: the title of the current step.
    left: the seconds until the watchdog rolls back because of the current step's time limit; None during a rollback.
    works: whether the worker is running.
    undoing: whether it is being rolled back.
    differences: what differs from the snapshot after a rollback that could not be verified; `mends` are the commands
        that repair it.
    confirm_left: for how many seconds `kvmnet confirm` is still accepted; None when no confirmation is waited for.
    why: what the change failed with, None before that; likely: the likely reasons."""

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
    why: Optional[str] = None
    likely: tuple[str, ...] = ()


def read_open_transaction(state_dir: Path) -> Optional[OpenTransaction]:
    """The open transaction; None when there is none."""
    folder = state_dir / "open"
    if not folder.is_dir():
        return None
    transaction, events = files.read_json(folder / "transaction.json"), Journal(folder).events()
    steps = [e for e in events if e["event"] in ("do", "undoing")]
    is_rolling_back = _has_event(events, "undo")
    comparison = next((e for e in reversed(events) if e["event"] in ("not-verified", "settling")), {})
    # the watchdog tries again and again: while it does, the commands of the last try are still the answer
    last_try = next((e for e in reversed(events) if e["event"] == "not-verified"), {})
    confirmation = _find_confirmation_step(events)
    return OpenTransaction(
        str(transaction.get("id", "")),
        str(transaction.get("host", "")),
        float(events[0]["at"]) if events else 0.0,
        str(steps[-1]["title"]) if steps else "starting",
        None if is_rolling_back else round(journal.deadline(events) - clock.uptime(), 1),
        units.is_unit_alive(str(transaction.get("unit", ""))),
        is_rolling_back,
        tuple(comparison.get("differences", ())),
        tuple(last_try.get("mends", ())),
        None if confirmation is None else round(confirmation["up"] + confirmation["seconds"] - clock.uptime(), 1),
        _find_reason(events),
        _find_likely_reasons(events),
    )


def find_confirmation_start(state_dir: Path) -> Optional[float]:
    """Since when the open transaction waits for `kvmnet confirm` (seconds of uptime); None when it does not wait."""
    confirmation = _find_confirmation_step(Journal(state_dir / "open").events())
    return float(confirmation["up"]) if confirmation else None


def _find_confirmation_step(events: Sequence[Json]) -> Optional[Json]:
    """The event that starts the step which waits for the confirmation; None when that step is not the current one."""
    progress = [e for e in events if e["event"] in ("do", "done", "failed", "undo")]
    if not progress or progress[-1]["event"] != "do" or progress[-1].get("op") != operations.CONFIRM.name:
        return None
    return progress[-1]


def find_adopted_macs(state_dir: Path) -> set[str]:
    """The permanent MAC addresses of the NICs that kept transactions have adopted since the last removal."""
    macs: set[str] = set()
    for ended_transaction in read_history(state_dir):
        if ended_transaction.kept:
            data = files.read_json(state_dir / "history" / ended_transaction.id / "transaction.json")
            macs = set() if data.get("removes") else macs | set(data.get("adopts", ()))
    return macs


def read_previous_bundle(state_dir: Path) -> dict[str, str]:
    """The files of the bundle that was applied before the last kept transaction, by name. Empty when that was the first
    one."""
    kept = [ended_transaction for ended_transaction in read_history(state_dir) if ended_transaction.kept]
    if not kept:
        return {}
    snapshot = files.read_json(state_dir / "history" / kept[-1].id / "snapshot.json")
    texts = {}
    for record in snapshot.get("files", []):
        path = Path(record["path"])
        if path.parent == state_dir / "applied" and "data" in record:
            texts[path.name] = base64.b64decode(record["data"]).decode()
    return texts
