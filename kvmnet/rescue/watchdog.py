"""The watchdog: rolls a transaction back when its worker is gone or a step takes too long."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path
from typing import Optional

from kvmnet.rescue import rollback
from kvmnet.system import clock, files, journal, lock, programs, units
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json

#: How often an undo that could not be verified is tried before a person is needed.
MAX_TRIES = 3

#: Seconds between two looks of the watchdog.
POLL_SECONDS = 2

#: Seconds after which an undo that says nothing is taken for stopped; a second more for each profile that it may have
#: to delete, half a minute for each that it may have to activate. What it waits for longest else is NetworkManager's
#: rollback (60 s) and the machine's settling (PATIENCE).
STALL_SECONDS = 300

#: Seconds after which, at the latest, an undo that broke off is begun anew.
MAX_RETRY_SECONDS = 600


def watch_over(state_dir: Path, identity: str) -> int:
    """What the timer starts, and again whenever it has ended: is the transaction `identity` still in good hands?

    It undoes it when nobody works on it (the worker and what systemd starts after it are gone), and when a step takes
    longer than it may: then the worker is killed first. It stays until the transaction is closed: a process every few
    seconds would take the processor from NetworkManager where many interfaces come up. Whoever works has the lock, so
    that a look is a few system calls.
    """
    folder = state_dir / "open"
    while True:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a shutdown: the worker undoes it then
        transaction = files.read_json(folder / "transaction.json")
        if transaction.get("id") != identity:
            units.stop_watchdog(identity)
            return 0
        events = Journal(folder).events()
        told = [e["event"] for e in events]
        if told.count("not-verified") >= MAX_TRIES:
            units.stop_watchdog(identity)
            return 4
        late = "undo" not in told and clock.uptime() > journal.deadline(events)
        if is_stalled(events, folder) and lock.is_locked(state_dir):
            late = True
            lock.kill_holders(state_dir / "lock")
            clock.wait_until(lambda: not lock.is_locked(state_dir), 5)  # else its unit may be taken for a living one
        if late or (
            is_retry_due(events) and not (lock.is_locked(state_dir) or units.is_unit_alive(str(transaction["unit"])))
        ):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            code = _take_over(state_dir, transaction, late)
            if code is not None:
                return code
        time.sleep(POLL_SECONDS)


def is_retry_due(events: list[Json]) -> bool:
    """Whether it is time for an undo. One that broke off, by a bug of ours or killed, may do so again; but what it met
    may have gone by the next time. So it is begun anew at growing intervals, and never given up."""
    begun = [e for e in events if e["event"] == "undo"]
    broke_off = len(begun) - sum(e["event"] in ("not-verified", "restored") for e in events)
    if broke_off < 1:
        return True
    since = clock.uptime() - float(begun[-1].get("up", 0))
    return (
        not 0 <= since < min(POLL_SECONDS * 2 ** min(broke_off, 20), MAX_RETRY_SECONDS)
    )  # less than none: the machine was started


def is_stalled(events: list[Json], folder: Path) -> bool:
    """Whether an undo was begun, not ended, and has said nothing for longer than any of its acts may take: it was
    stopped, or frozen with its unit."""
    said = [float(e["up"]) for e in events if "up" in e]
    ended = ("verified", "not-verified", "restored", "undo-broke")
    if not said or not any(e["event"] == "undo" for e in events) or events[-1]["event"] in ended:
        return False
    if clock.uptime() - said[-1] <= STALL_SECONDS:
        return False
    held = len(files.read_json(folder / "snapshot.json").get("profiles", []))
    steps = files.read_json(folder / "transaction.json").get("steps", [])
    made = [len(spec.get("profiles", [])) for step in steps for spec in step.get("undo", [])]
    return clock.uptime() - said[-1] > STALL_SECONDS + 30 * held + sum(made)


def _take_over(state_dir: Path, transaction: Json, late: bool) -> Optional[int]:
    """Undo it; None when it is in other hands after all."""
    unit = str(transaction["unit"])
    if late:
        with contextlib.suppress(HostError):
            programs.run("systemctl", "kill", "--kill-who=all", "--signal=KILL", unit)
    try:
        with lock.hold_lock(state_dir, wait_for=False):
            if files.read_json(state_dir / "open" / "transaction.json").get("id") != transaction["id"]:
                return None
            if not late and units.is_unit_alive(unit):
                return None  # it came between our look and our lock
            told = [e["event"] for e in Journal(state_dir / "open").events()]
            too_long = "the undo stood still" if "undo" in told else "a step took too long"
            why = too_long if late else "nobody worked on it any more"
            return rollback.roll_back(state_dir, f"the watchdog: {why}")
    except BlockingIOError:  # who was killed is not gone yet, or another undoes it: asked again soon
        return None
