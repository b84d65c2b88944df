"""The watchdog: rolls a transaction back when its worker has died or a step exceeds its time limit."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path
from typing import Optional

from kvmnet.rescue import rollback
from kvmnet.system import clock, files, journal, lock, operations, programs, units
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json

#: How often a rollback that could not be verified is tried before manual action is required.
MAX_TRIES = 3

#: Seconds between two checks of the watchdog.
POLL_SECONDS = 2

#: Seconds without a journal event after which a rollback counts as stalled. To these come one second for each profile
#: that it may have to delete and half a minute for each that it may have to activate. Its longest other waits are those
#: for NetworkManager's rollback (60 s) and for the host to settle (restore.SETTLE_SECONDS).
STALL_SECONDS = 300

#: The longest interval, in seconds, after which a rollback that ended in an error is tried again.
MAX_RETRY_SECONDS = 600


def watch_over(state_dir: Path, identity: str) -> int:
    """Watch the transaction `identity` until it is closed; return the exit code. The timer starts it again if it dies.

    The watchdog rolls the transaction back when no process works on it (the worker and what systemd starts after it
    have died), and when a step exceeds its time limit: then it kills the worker first. It is one process that stays,
    because a new one every few seconds would take the processor from NetworkManager while many interfaces come up. The
    process that works on the transaction holds the lock, so a check needs a few system calls only.
    """
    folder = state_dir / "open"
    while True:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # at a shutdown the worker rolls back
        transaction = files.read_json(folder / "transaction.json")
        if transaction.get("id") != identity:
            units.stop_watchdog(identity)
            return 0
        events = Journal(folder).events()
        names = [e["event"] for e in events]
        if names.count("not-verified") >= MAX_TRIES:
            units.stop_watchdog(identity)
            return 4
        is_late = "undo" not in names and clock.uptime() > journal.deadline(events)
        if is_stalled(events, folder) and lock.is_locked(state_dir):
            is_late = True
            lock.kill_holders(state_dir / "lock")
            clock.wait_until(lambda: not lock.is_locked(state_dir), 5)  # otherwise its unit may still count as alive
        if is_late or (
            is_retry_due(events) and not (lock.is_locked(state_dir) or units.is_unit_alive(_unit_of(transaction)))
        ):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            code = _take_over(state_dir, transaction, is_late)
            if code is not None:
                return code
        time.sleep(POLL_SECONDS)


def is_retry_due(events: list[Json]) -> bool:
    """Return whether a rollback may start now.

    One that ended in an error or was killed may end so again, but its cause may also be temporary. So it is tried again
    at growing intervals, without end.
    """
    starts = [e for e in events if e["event"] == "undo"]
    aborted = len(starts) - sum(e["event"] in ("not-verified", "restored") for e in events)
    if aborted < 1:
        return True
    since = clock.uptime() - float(starts[-1].get("up", 0))
    # a negative time: the host was booted since
    return not 0 <= since < min(POLL_SECONDS * 2 ** min(aborted, 20), MAX_RETRY_SECONDS)


def is_stalled(events: list[Json], folder: Path) -> bool:
    """Return whether a running rollback has written no event for longer than any of its actions may take.

    Its process was stopped, or frozen with its unit.
    """
    times = [float(e["up"]) for e in events if "up" in e]
    ended = ("verified", "not-verified", "restored", "undo-broke")
    if not times or not any(e["event"] == "undo" for e in events) or events[-1]["event"] in ended:
        return False
    if clock.uptime() - times[-1] <= STALL_SECONDS:
        return False
    more = 0
    with contextlib.suppress(TypeError, AttributeError):  # a corrupt file
        more = 30 * len(files.read_json(folder / "snapshot.json").get("profiles", []))
        steps = files.read_json(folder / "transaction.json").get("steps", [])
        more += sum(len(spec.get("profiles", [])) for step in steps for spec in step.get("undo", []))
    return clock.uptime() - times[-1] > STALL_SECONDS + more


def _describe_delay(transaction: Json, events: list[Json]) -> tuple[str, list[Json]]:
    """Return what exceeded its time limit, and the likely reasons that were recorded before the change."""
    if any(e["event"] == "undo" for e in events):
        return "the rollback was stalled", []
    begun = next((e for e in reversed(events) if e["event"] == "do"), {})
    steps = transaction.get("steps", [])
    step = steps[begun["step"]] if begun.get("step", -1) in range(len(steps)) else {}
    if not step or not isinstance(step, dict):
        return "a step exceeded its time limit", []
    operation = operations.find_operation(step.get("op"))
    subject = "nmstate" if operation.opens_checkpoint else f'the step "{step.get("title")}"'
    likely = transaction.get("hints", []) if operation.waits else []
    return f"{subject} did not finish within {step.get('limit', 0)} s", likely


def _unit_of(transaction: Json) -> str:
    """Return the unit of the transaction's worker; its usual name if the transaction's file is corrupt."""
    return str(transaction.get("unit") or f"kvmnet-apply-{transaction['id']}.service")


def _take_over(state_dir: Path, transaction: Json, is_late: bool) -> Optional[int]:
    """Roll the transaction back and return the exit code; None when another process works on it after all."""
    unit = _unit_of(transaction)
    if is_late:
        with contextlib.suppress(HostError):
            programs.run("systemctl", "kill", "--kill-who=all", "--signal=KILL", unit)
    try:
        with lock.hold_lock(state_dir, wait_for=False):
            if files.read_json(state_dir / "open" / "transaction.json").get("id") != transaction["id"]:
                return None
            if not is_late and units.is_unit_alive(unit):
                return None  # its worker started between the check and the lock
            if not is_late:
                return rollback.roll_back(state_dir, "watchdog: no process was working on the transaction")
            why, likely = _describe_delay(transaction, Journal(state_dir / "open").events())
            return rollback.roll_back(state_dir, f"watchdog: {why}", likely=likely)
    except BlockingIOError:  # the killed process still exists, or another one rolls back: checked again soon
        return None
