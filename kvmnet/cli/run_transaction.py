"""Run a prepared change: show the plan, ask, start the transaction, follow it to its end."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import Console
from kvmnet.cli.follow_transaction import defer_interrupt, follow_to_end
from kvmnet.cli.this_host import state_path

if TYPE_CHECKING:
    from kvmnet.transaction.prepare import Prepared

#: Seconds at the question after which the plan is made again, and compared, before anything starts.
PATIENCE = 5.0


def run_transaction(
    console: Console, prepare_change: Callable[[Path], "Prepared"], yes: bool, dry_run: bool = False
) -> int:
    """Run the change that `prepare_change` returns for a state folder. Return the exit code.

    `yes` skips the question; `dry_run` ends after the plan and its steps are printed.
    """
    from kvmnet.transaction import safeguards
    from kvmnet.transaction.launch import lock_state_folder, open_transaction, start

    if dry_run:
        prepared = prepare_change(state_path())
        print_plan(console, prepared)
        if prepared.steps:
            console.print_line("\n".join(["steps:", *(f"  {step['title']}" for step in prepared.steps)]))
        return exit_codes.DONE
    with lock_state_folder(state_path()) as state_dir:
        prepared = prepare_change(state_dir)
        rescue_program = b"" if prepared.plan.empty else safeguards.try_rescue_program(state_dir)
        print_plan(console, prepared)
        if prepared.plan.empty:
            console.print_event("result", exit=exit_codes.DONE, outcome="nothing to do")
            return exit_codes.DONE
        if console.is_terminal and sys.stdin.isatty() and not yes:
            asked_at = time.monotonic()
            if not typer.confirm("Apply?"):
                return exit_codes.PROBLEMS
            if time.monotonic() - asked_at > PATIENCE:
                prepared = _prepare_again(console, prepare_change, state_dir, prepared)
        prepared = _run_commands(console, prepared)
        # From here on Ctrl-C means a rollback, and a session that drops is ignored.
        defer_interrupt()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        identity = open_transaction(state_dir, prepared, rescue_program)
        start(state_dir, identity)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    return follow_to_end(console, state_dir, identity)


def _run_commands(console: Console, prepared: "Prepared") -> "Prepared":
    """Run the definition's commands, and return the change without those that fail."""
    from kvmnet.core.reporting.report import format_failed_commands
    from kvmnet.transaction.command_probes import run_commands

    commands = prepared.probes.commands
    prepared, failed = run_commands(prepared, console.show_progress)
    console.show_progress(None)
    if commands:
        console.print_event("commands", failed=[probe.to_json() for probe in failed], ran=len(commands))
    for line in format_failed_commands(failed):
        console.print_line(line)
    return prepared


def _prepare_again(
    console: Console, prepare_change: Callable[[Path], "Prepared"], state_dir: Path, shown: "Prepared"
) -> "Prepared":
    """Return the change prepared again. Raises Refused when the host is not as it was for the plan that was shown."""
    from kvmnet.core.reporting.change_text import plan_to_json
    from kvmnet.core.reporting.saved_plan import require_unchanged

    again = prepare_change(state_dir)
    console.show_progress(None)
    require_unchanged(plan_to_json(shown.plan), shown.assessment.basis, again.assessment)
    return again


def print_plan(console: Console, prepared: "Prepared") -> None:
    """Print what would change, which targets are probed, and what else the user should know."""
    from kvmnet.core.reporting.assessment_text import assessment_lines
    from kvmnet.core.reporting.report import format_overridden_refusals, format_plan, format_probes
    from kvmnet.host import hook_installation

    console.show_progress(None)
    lines = assessment_lines(prepared.assessment, prepared.host_effects)
    text = format_plan(prepared.plan, lines) + format_overridden_refusals(prepared.allowed)
    text += "" if prepared.plan.empty else format_probes(prepared.probes)
    console.print_event("plan", **prepared.to_json(), steps=[step["title"] for step in prepared.steps])
    console.print_line(text.rstrip("\n"))
    if prepared.confirm:
        target = ", to an address of an interface that the change affects" if prepared.proving else ""
        how = f"run `kvmnet confirm` within {prepared.confirm} s over a new SSH connection{target}"
        console.print_line(f"note: the change must be confirmed: {how}")
    if prepared.plan.bundle.guests and hook_installation.is_missing():
        problem = "guests here need on-demand VLAN devices, but libvirt's hook is not installed"
        console.print_line(f"note: {problem}: run `kvmnet hook install`")
