"""The process that does the work: the main process of a transient systemd unit.

It is no child of any terminal: when the operator's session drops, it goes on. It ends by becoming
the rescue program when anything fails, so that there is one way to undo, whoever calls it; should it be killed, the
unit's ExecStopPost= calls the same file.

    python -I -m kvmnet.transaction.worker /var/lib/kvmnet
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn, Optional

from kvmnet.host.networkmanager_dbus import NetworkManager
from kvmnet.host.nmstate import find_backend
from kvmnet.host.ping import Outage
from kvmnet.rescue import closing
from kvmnet.system import clock, files, lock, state_folder
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json
from kvmnet.transaction import safeguards
from kvmnet.transaction.step import Step
from kvmnet.transaction.step_actions import DO, ERRORS, Context, carriers


class Cancelled(BaseException):
    """The operator (Ctrl-C) or systemd (stop, shutdown) wants the transaction undone."""


def work(state_dir: Path) -> int:
    """Run the open transaction's steps; returns 0 when all is kept. Never returns when it is not."""
    with lock.hold_lock(state_dir):
        folder = state_dir / "open"
        transaction = files.read_json(folder / "transaction.json")
        journal = Journal(folder)
        if not transaction or journal.begun():
            return 0  # undone, or taken up by another, before we had the lock
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _cancel)
        outage = _watch(transaction)
        try:
            _run_steps(transaction["steps"], folder, journal, transaction["backend"])
        except (Exception, Cancelled) as error:  # whatever it was, a bug of ours too: the machine comes first
            _ignore_signals()
            why = str(error) if isinstance(error, (*ERRORS, Cancelled)) else f"a bug in kvmnet: {error!r}"
            journal.try_append("failed", error=why, away=outage.seconds() if outage else None)
            _become_rescue(state_dir, why)
        _ignore_signals()
        journal.append("kept")
        closing.close_transaction(state_dir, "kept", away=outage.seconds() if outage else None)
        if transaction.get("removes"):
            _take_guard_away()
    return 0


def _take_guard_away() -> None:
    """The machine is given back: take the boot's units away too. Here and not in the command, whose session may have
    dropped; under the lock, so that a next `apply` does not find them half gone; after the closing, since until then
    a boot needs them. What is left of them does nothing while no transaction is open: no reason to fail."""
    with contextlib.suppress(Exception):
        safeguards.uninstall()


def _run_steps(steps: list[Step], folder: Path, journal: Journal, backend: str) -> None:
    with NetworkManager() as manager:
        context = Context(folder, find_backend(backend), manager, carriers())
        for number, step in enumerate(steps):
            start = time.monotonic()
            now = clock.uptime()
            limits = {"up": now, "until": now + step["limit"], **_more(step, context)}
            journal.append("do", step=number, title=step["title"], op=step["op"], **limits)
            result = DO[step["op"]](context, step)
            journal.append("done", step=number, seconds=round(time.monotonic() - start, 2), result=result)


def _more(step: Step, context: Context) -> Step:
    """What whoever follows must know of a step beforehand."""
    if step["op"] == "probe" and context.links_went_down():
        return {"seconds": step["patience"], "link_went_down": True}
    return {"seconds": step["seconds"]} if step["op"] in ("confirm", "probe") else {}


def _watch(transaction: Json) -> Optional[Outage]:
    if not transaction["watch"]:
        return None
    outage = Outage(transaction["watch"])
    outage.start()
    return outage


def _cancel(number: int, _: object) -> NoReturn:
    raise Cancelled(f"cancelled ({signal.Signals(number).name})")


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # inherited by what we become


def _become_rescue(state_dir: Path, why: str) -> NoReturn:
    """The lock goes with this process's memory (its file is closed on exec); the rescue program takes it again."""
    system_python, *arguments = state_folder.rescue_command(state_dir, "--why", why)
    python = system_python if Path(system_python).exists() else sys.executable
    os.execv(python, [python, *arguments])


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
