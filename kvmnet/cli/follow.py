"""What `apply` and its like do with a transaction: ask, start it, tell of it, undo it at Ctrl-C."""

import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, TextIO

import typer

from kvmnet.cli.host import Console, state_path

if TYPE_CHECKING:
    from kvmnet.transaction.prepare import Prepared

#: Seconds at the question after which the plan is made anew and compared before anything starts.
PATIENCE = 5.0
#: The Ctrl-C of before the change was followed.
PRESSED: list[int] = []


def carry_out(console: Console, make: Callable[[Path], "Prepared"], yes: bool, dry_run: bool = False) -> int:
    """Tell what `make` (given the state directory) has prepared, ask, do it, follow it; the exit code."""
    from kvmnet.transaction import safeguards
    from kvmnet.transaction.launch import open_transaction, start, state_directory

    if dry_run:
        prepared = make(state_path())
        tell_plan(console, prepared)
        if prepared.steps:
            console.line("\n".join(["steps:", *(f"  {step['title']}" for step in prepared.steps)]))
        return 0
    with state_directory(state_path()) as state_dir:
        prepared = make(state_dir)
        program = b"" if prepared.plan.empty else safeguards.try_rescue_program(state_dir)
        tell_plan(console, prepared)
        if prepared.plan.empty:
            console.event("result", exit=0, outcome="nothing to do")
            return 0
        if console.live and sys.stdin.isatty() and not yes:
            asked = time.monotonic()
            if not typer.confirm("Apply?"):
                return 1
            if time.monotonic() - asked > PATIENCE:
                again = make(state_dir)
                console.waiting(None)
                _require_same(prepared, again)
                prepared = again
        # From here on Ctrl-C means: undo it. Until it is followed it waits, and a dropped session is nothing. Another
        # thread may take the key all the same; programs that are started inherit that it waits.
        signal.signal(signal.SIGINT, lambda number, _: PRESSED.append(number))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        identity = open_transaction(state_dir, prepared, program)
        start(state_dir, identity)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    return follow_to_end(console, state_dir, identity)


def _require_same(prepared: "Prepared", again: "Prepared") -> None:
    """Raises Refused when the machine has changed while somebody thought about the question."""
    from kvmnet.core.reporting.change_text import plan_to_json
    from kvmnet.core.reporting.saved_plan import require_same

    require_same(plan_to_json(prepared.plan), prepared.assessment.basis, again.assessment)


def tell_plan(console: Console, prepared: "Prepared") -> None:
    """What would change, and who is asked whether the host is still there."""
    from kvmnet.core.reporting.assessment_text import assessment_lines
    from kvmnet.core.reporting.report import allowed_text, plan_text, probes_text
    from kvmnet.host import hook_installation

    console.waiting(None)
    text = plan_text(prepared.plan, assessment_lines(prepared.assessment)) + allowed_text(prepared.allowed)
    text += "" if prepared.plan.empty else probes_text(prepared.probes)
    console.event("plan", **prepared.to_json(), steps=[s["title"] for s in prepared.steps])
    console.line(text.rstrip("\n"))
    if prepared.confirm:
        where = " to an address of what changes" if prepared.proving else ""
        words = f"`kvmnet confirm` must come by a new connection{where}"
        console.line(f"note: within {prepared.confirm} s of the change {words}")
    if prepared.plan.bundle.guests and hook_installation.wanting():
        console.line("note: guests attach on demand here, but libvirt's hook is not in place: kvmnet hook install")


def follow_to_end(console: Console, state_dir: Path, identity: str, *, on_cancel: bool = True) -> int:
    """Tell what the worker does until the transaction has ended; its exit code. Ctrl-C asks for the undo, and
    waits for it (without `on_cancel` it only ends the telling); so does a dropped session."""
    from kvmnet.core.reporting.report import confirm_text, event_text, patience_text
    from kvmnet.transaction.launch import cancel, follow, rescue_now, wait_closed

    titles: list[str] = []
    end: dict[str, Any] = {}

    def tell(event: dict[str, Any]) -> None:
        titles.extend(event.get("steps", []))
        if "away" in event:
            end["away"] = event["away"]
        with suppress(OSError):  # whoever listened is gone: the exit code still tells the truth
            console.event(**event)
            if event["event"] == "do":
                if event.get("op") == "confirm":
                    console.line(confirm_text(event["seconds"]))
                if event.get("link_went_down"):
                    console.line(patience_text(event["seconds"]))
                console.waiting(event["title"])
            text = event_text(event, titles)
            if text:
                console.waiting(None)
                console.line(text)

    code: Optional[int] = None
    with _journal(state_dir, identity) as journal:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            if PRESSED:
                raise KeyboardInterrupt
            code = follow(journal, state_dir, identity, tell)
        except KeyboardInterrupt:
            if not on_cancel:
                raise
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            cancel(identity)
            with suppress(OSError):  # what the output went into may be gone by the same key
                console.waiting(None)
                console.line("cancelled: undoing (this cannot be interrupted)")
            code = follow(journal, state_dir, identity, tell)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if code is None:
            with suppress(OSError):
                console.line("the worker is gone; undoing from here")
            rescue_now(state_dir)
            code = follow(journal, state_dir, identity, tell)
    with suppress(OSError):
        console.waiting(None)
    code = 4 if code is None else code
    wait_closed(state_dir, identity, code)
    return _told_end(console, state_dir, identity, code, end.get("away"))


def _journal(state_dir: Path, identity: str) -> TextIO:
    try:
        return (state_dir / "open" / "journal.jsonl").open(encoding="utf-8")
    except FileNotFoundError:  # it was quicker than we
        return (state_dir / "history" / identity / "journal.jsonl").open(encoding="utf-8")


def _told_end(console: Console, state_dir: Path, identity: str, code: int, away: Optional[float]) -> int:
    """Tell how it ended; the exit code, which a later try of the undo may have made better."""
    from kvmnet.core.reporting.report import outcome_text
    from kvmnet.system import files
    from kvmnet.system.journal import Journal
    from kvmnet.transaction.history import away_at_most

    folder = state_dir / "history" / identity
    events = Journal(folder).events()
    if code == 4 and any(e.get("verified") for e in events):
        code = 3
    transaction = files.read_json((folder if folder.exists() else state_dir / "open") / "transaction.json")
    at_most = away_at_most(transaction, events)
    with suppress(OSError):
        console.event("result", exit=code, away=away, away_at_most=at_most)
        console.line(outcome_text(code, away, transaction.get("watch"), bool(transaction.get("removes")), at_most))
    return code
