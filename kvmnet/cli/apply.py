"""`kvmnet apply`: the transaction, followed from the terminal."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from kvmnet.cli.common import PathArgument
from kvmnet.cli.host import BUNDLE_HELP, HOST_HELP, Console, bundle_of_this_host, state_path, told
from kvmnet.core.errors import Refused

if TYPE_CHECKING:
    from kvmnet.transaction.prepare import Prepared


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("apply")(apply)


def apply(
    path: PathArgument = None,
    bundle_folder: Optional[str] = typer.Option(None, "--bundle", metavar="DIR", help=BUNDLE_HELP),
    host: Optional[str] = typer.Option(None, "--host", help=HOST_HELP),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask (only a terminal is asked)."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the plan and the steps, touch nothing."),
    timeout: int = typer.Option(
        120, "--timeout", min=20, max=3600, help="Seconds after which NetworkManager undoes the trial by itself."
    ),
    as_json: bool = typer.Option(False, "--json", help="For machines: one event a line."),
) -> None:
    """Make this host as defined, as one transaction: kept when the host is still reachable, else undone."""
    from kvmnet.core.report import plan_text
    from kvmnet.transaction.prepare import prepare

    console = Console(as_json)
    with told(console):
        _need_root(dry_run)
        bundle = bundle_of_this_host(console, path, host, bundle_folder)
        if dry_run:
            prepared = prepare(bundle, state_path(), timeout, console.waiting)
            console.waiting(None)
            _tell_plan(console, prepared, plan_text(prepared.plan))
            return
        from kvmnet.transaction.launch import open_transaction, start, state_directory

        with state_directory(state_path()) as state_dir:
            prepared = prepare(bundle, state_dir, timeout, console.waiting)
            console.waiting(None)
            _tell_plan(console, prepared, plan_text(prepared.plan))
            if prepared.plan.empty:
                console.event("result", exit=0, outcome="nothing to do")
                return
            if console.live and sys.stdin.isatty() and not yes and not typer.confirm("Apply?"):
                raise typer.Exit(1)
            # From here on Ctrl-C means: undo it. Until it is followed it waits.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            identity = open_transaction(state_dir, prepared)
            start(state_dir, identity)
    raise typer.Exit(_follow(console, state_dir, identity, prepared))


def _need_root(dry_run: bool) -> None:
    if os.geteuid() != 0 and not dry_run:
        raise Refused("only root can change this host's network", "run it with sudo; `kvmnet plan` shows the change")


def _tell_plan(console: Console, prepared: "Prepared", text: str) -> None:
    console.event("plan", **prepared.plan.to_json(), steps=[s["title"] for s in prepared.steps])
    console.line(text.rstrip("\n"))
    if not prepared.plan.empty and not prepared.probes.must:
        console.line("note: no gateway answers now, so nothing will be asked after the change")
    for gateway in prepared.probes.silent:
        console.line(f"note: the gateway {gateway} does not answer now, so it is not asked after the change")


def _follow(console: Console, state_dir: Path, identity: str, prepared: "Prepared") -> int:
    """Tell what the worker does. Ctrl-C asks for the undo, and waits for it; a dropped session ends only
    the telling."""
    from kvmnet.core.report import event_text, outcome_text
    from kvmnet.transaction.launch import cancel, follow, rescue_now, wait_closed

    titles = [step["title"] for step in prepared.steps]
    end: dict[str, Any] = {}

    def tell(event: dict[str, Any]) -> None:
        if "away" in event:
            end["away"] = event["away"]
        with suppress(OSError):  # whoever listened is gone: the exit code still tells the truth
            console.event(**event)
            if event["event"] == "do":
                console.waiting(event["title"])
            text = event_text(event, titles)
            if text:
                console.waiting(None)
                console.line(text)

    seen = state_dir / "open" / "journal.jsonl"
    if not seen.exists():  # it was quicker than we
        seen = state_dir / "history" / identity / "journal.jsonl"
    code: Optional[int] = None
    with seen.open(encoding="utf-8") as journal:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = follow(journal, identity, tell)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            console.waiting(None)
            console.line("cancelled: undoing (this cannot be interrupted)")
            cancel(identity)
            code = follow(journal, identity, tell)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if code is None:
            console.line("the worker is gone; undoing from here")
            rescue_now(state_dir)
            code = follow(journal, identity, tell)
    console.waiting(None)
    code = 4 if code is None else code
    wait_closed(state_dir, code)
    with suppress(OSError):
        console.event("result", exit=code, away=end.get("away"))
        console.line(outcome_text(code, end.get("away"), prepared.probes.watch))
    return code
