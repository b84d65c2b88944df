"""The worker: the main process of a transient systemd unit, which carries out the steps of the open transaction.

It is no child of a terminal, so it goes on when the operator's session drops. When anything fails, it becomes the
rescue program, so there is one way to roll back, whoever starts it. When the worker is killed, the unit's
ExecStopPost= runs the same program.

    python -I -m kvmnet.transaction.worker /var/lib/kvmnet
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn, Optional

from kvmnet.host.networkmanager_dbus import NetworkManager
from kvmnet.host.nmstate import find_backend
from kvmnet.host.ping import OutageMeter
from kvmnet.rescue import closing
from kvmnet.rescue.whole_host import find_traces
from kvmnet.system import address_times, clock, files, lock, operations, state_folder
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json
from kvmnet.transaction import failure_reasons, safeguards
from kvmnet.transaction.action_context import ERRORS, Context, read_carrier_changes
from kvmnet.transaction.step import Step
from kvmnet.transaction.step_actions import run_step
from kvmnet.transaction.verification_actions import note_connections


class Cancelled(BaseException):
    """The operator (Ctrl-C) or systemd (stop, shutdown) requests a rollback."""


def work(state_dir: Path) -> int:
    """Carry out the steps of the open transaction. Returns 0 when the change is kept; otherwise it does not return but
    becomes the rescue program."""
    with lock.hold_lock(state_dir):
        folder = state_dir / "open"
        transaction = files.read_json(folder / "transaction.json")
        journal = Journal(folder)
        if not transaction or journal.begun():
            return 0  # rolled back, or carried out by another worker, before this one had the lock
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _cancel)
        outage = _start_outage_watch(transaction)
        try:
            _run_steps(transaction["steps"], folder, journal, transaction["backend"])
        except (Exception, Cancelled) as error:  # a bug in kvmnet too: the host comes first
            _ignore_signals()
            reason = str(error) if isinstance(error, (*ERRORS, Cancelled)) else f"a bug in kvmnet: {error!r}"
            likely = [] if isinstance(error, Cancelled) else _collect_reasons(transaction, journal, error)
            journal.try_append("failed", error=reason, away=outage.seconds() if outage else None, likely=likely)
            _become_rescue_program(state_dir, reason)
        _ignore_signals()
        journal.append("kept", **find_traces(files.read_json(folder / "snapshot.json")))
        closing.close_transaction(state_dir, "kept", away=outage.seconds() if outage else None)
        if transaction.get("removes"):
            _uninstall_safeguards()
    return 0


def _collect_reasons(transaction: Json, journal: Journal, error: BaseException) -> list[Json]:
    """Return the likely reasons of the current step's failure."""
    numbers = journal.begun()
    step = transaction["steps"][numbers[-1]] if numbers else None
    return failure_reasons.collect_reasons(transaction, step, error)


def _uninstall_safeguards() -> None:
    """Remove the boot units after a removal. The worker does it, because the command's session may have dropped; under
    the lock, so that a next `apply` does not find them half removed; and after the closing, because a boot needs them
    until then. Units that are left over do nothing while no transaction is open, so no error is reported."""
    with contextlib.suppress(Exception):
        safeguards.uninstall()


def _run_steps(steps: list[Step], folder: Path, journal: Journal, backend: str) -> None:
    with NetworkManager() as manager:
        context = Context(folder, find_backend(backend), manager, read_carrier_changes())
        for number, step in enumerate(steps):
            start = time.monotonic()
            if step["op"] == operations.CONFIRM.name:  # before `kvmnet confirm` sees that this step has begun
                note_connections(folder)
            now = clock.uptime()
            fields = {"up": now, "until": now + step["limit"], **_progress_fields(step, context)}
            journal.append("do", step=number, title=step["title"], op=step["op"], **fields)
            result = run_step(context, step)
            seconds = round(time.monotonic() - start, 2)
            journal.append("done", step=number, seconds=seconds, result=result, **_return_fields(step, folder))


def _progress_fields(step: Step, context: Context) -> dict[str, Any]:
    """Return the journal's fields for the start of a step that waits: for how many `seconds`, and whether it waits
    longer because a link went down."""
    operation = operations.find_operation(step["op"])
    if not operation.waits:
        return {}
    if operation == operations.PROBE and context.has_lost_link():
        return {"seconds": step["patience"], "link_went_down": True}
    return {"seconds": step["seconds"]}


def _return_fields(step: Step, folder: Path) -> dict[str, Any]:
    """Return the journal's field for the end of a step that verifies: since when (uptime) the host has all addresses
    that it had before."""
    if not operations.find_operation(step["op"]).verifies:
        return {}
    since = address_times.find_last_creation(files.read_json(folder / "snapshot.json").get("addresses", {}))
    return {} if since is None else {"addresses_since": since}


def _start_outage_watch(transaction: Json) -> Optional[OutageMeter]:
    """The measurement of how long the watched gateway is away; None when no gateway is watched."""
    if not transaction["watch"]:
        return None
    outage = OutageMeter(transaction["watch"])
    outage.start()
    return outage


def _cancel(number: int, _: object) -> NoReturn:
    raise Cancelled(f"cancelled ({signal.Signals(number).name})")


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the rescue program inherits this


def _become_rescue_program(state_dir: Path, reason: str) -> NoReturn:
    """Replace this process by the rescue program. The lock is released (its file is closed on exec), and the rescue
    program takes it again."""
    system_python, *arguments = state_folder.rescue_command(state_dir, "--why", reason)
    python = system_python if Path(system_python).exists() else sys.executable
    os.execv(python, [python, *arguments])


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(work(Path(sys.argv[1])))
