"""Follow a running transaction: print its events, roll back at Ctrl-C, report how it ended."""

import json
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional, TextIO

from kvmnet.cli import exit_codes
from kvmnet.cli.console import Console
from kvmnet.system import operations

#: Signals of Ctrl-C that arrived between `defer_interrupt` and `follow_to_end`.
deferred_interrupts: list[int] = []


def defer_interrupt() -> None:
    """Keep Ctrl-C until `follow_to_end`, which then rolls back.

    The signal is blocked, also in programs that are started. Another thread may receive it all the same, so there is a
    handler too.
    """
    signal.signal(signal.SIGINT, lambda number, _: deferred_interrupts.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def follow_to_end(
    console: Console,
    state_dir: Path,
    identity: str,
    *,
    cancel_on_interrupt: bool = True,
    roll_back: Optional[Callable[[], None]] = None,
) -> int:
    """Print the events of a transaction until it has ended. Return its exit code.

    Ctrl-C starts the rollback and waits for its end; without `cancel_on_interrupt` it only ends the printing. When the
    worker has ended without a result, the rollback runs from here. Output that has no reader any more is not an error.
    `roll_back` starts the rollback of a transaction that was opened earlier: only events from then on are printed.
    """
    from kvmnet.transaction import launch

    printer = EventPrinter(console)
    with _open_journal(state_dir, identity) as journal:

        def follow() -> Optional[int]:
            return launch.follow(journal, state_dir, identity, printer.print_event)

        if roll_back is not None:
            _skip_past_events(journal, printer)
            roll_back()
        try:
            _receive_interrupts()
            code = follow()
        except KeyboardInterrupt:
            if not cancel_on_interrupt:
                raise
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            launch.cancel(identity)
            printer.print_line("cancelled: rolling back (this cannot be interrupted)")
            code = follow()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if code is None:
            printer.print_line("the worker has ended without a result: this command now rolls back the change")
            launch.run_rescue_program(state_dir)
            code = follow()
    with suppress(OSError):
        console.show_progress(None)
    code = exit_codes.NOT_VERIFIED if code is None else code
    launch.wait_until_closed(state_dir, identity, code)
    return _report_end(console, state_dir, identity, code, printer.seconds_away)


def _skip_past_events(journal: TextIO, printer: "EventPrinter") -> None:
    """Read the events so far without printing them. The end of the transaction is left to be read."""
    while True:
        position = journal.tell()
        line = journal.readline()
        event = {}
        with suppress(ValueError):  # torn by a full disk
            event = json.loads(line)
        if not line.endswith("\n") or event.get("event") == "end":
            journal.seek(position)
            return
        printer.keep(event)


def _receive_interrupts() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again. Raises it when one was deferred."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if deferred_interrupts:
        raise KeyboardInterrupt


class EventPrinter:
    """Prints the events of one transaction. The reader of the output may have ended: that is no error."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.titles: list[str] = []
        self.seconds_away: Optional[float] = None

    def keep(self, event: dict[str, Any]) -> None:
        """Keep what later lines need of an event."""
        self.titles.extend(event.get("steps", []))
        if "away" in event:
            self.seconds_away = event["away"]

    def print_event(self, event: dict[str, Any]) -> None:
        """Print one event of the journal."""
        from kvmnet.core.reporting.report import format_confirmation_request, format_event, format_long_probing

        self.keep(event)
        with suppress(OSError):
            self.console.print_event(**event)
            if event["event"] == "do":
                if event.get("op") == operations.CONFIRM.name:
                    self.console.print_line(format_confirmation_request(event["seconds"]))
                if event.get("link_went_down"):
                    self.console.print_line(format_long_probing(event["seconds"]))
                self.console.show_progress(event["title"])
            text = format_event(event, self.titles)
            if text:
                self.print_line(text)

    def print_line(self, text: str) -> None:
        """Print a line in place of the spinner."""
        with suppress(OSError):
            self.console.show_progress(None)
            self.console.print_line(text)


def _open_journal(state_dir: Path, identity: str) -> TextIO:
    """Open the transaction's journal; it moves into the history when the transaction ends."""
    try:
        return (state_dir / "open" / "journal.jsonl").open(encoding="utf-8")
    except FileNotFoundError:
        return (state_dir / "history" / identity / "journal.jsonl").open(encoding="utf-8")


def _report_end(console: Console, state_dir: Path, identity: str, code: int, seconds_away: Optional[float]) -> int:
    """Print how the transaction ended. Return its exit code: a later try of the rollback may have been verified."""
    from kvmnet.core.reporting.report import format_outcome
    from kvmnet.system import files
    from kvmnet.system.journal import Journal
    from kvmnet.transaction.history import away_at_most

    folder = state_dir / "history" / identity
    events = Journal(folder).events()
    if code == exit_codes.NOT_VERIFIED and any(event.get("verified") for event in events):
        code = exit_codes.ROLLED_BACK
    transaction = files.read_json((folder if folder.exists() else state_dir / "open") / "transaction.json")
    at_most = away_at_most(transaction, events)
    removes = bool(transaction.get("removes"))
    is_complete = not any(event.get("unrestored") for event in events)
    with suppress(OSError):
        console.print_event("result", exit=code, away=seconds_away, away_at_most=at_most)
        console.print_line(format_outcome(code, seconds_away, transaction.get("watch"), removes, at_most, is_complete))
    return code
