"""`kvmnet rollback`: roll back the open transaction, or go back to what was applied before."""

from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import Console, report_failures
from kvmnet.cli.follow_transaction import follow_to_end
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.options import (
    DEFAULT_TIMEOUT,
    AllowOption,
    ConfirmOption,
    DryRunOption,
    GuestLossOption,
    JsonEventsOption,
    NoConfirmOption,
    TimeoutOption,
    YesOption,
    read_allowed_codes,
    read_confirm_seconds,
)
from kvmnet.cli.remove import remove
from kvmnet.cli.run_transaction import run_transaction
from kvmnet.cli.this_host import require_root, state_path

if TYPE_CHECKING:
    from kvmnet.transaction.history import OpenTransaction


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet rollback --dry-run", "kvmnet rollback")
    app.command("rollback", rich_help_panel=HOST, epilog=end)(rollback)


def rollback(
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    confirm_within: ConfirmOption = None,
    no_confirm: NoConfirmOption = False,
    allow: AllowOption = None,
    allow_guest_loss: GuestLossOption = None,
    as_json: JsonEventsOption = False,
) -> None:
    """Roll back the open transaction, or return to what was applied before the last change.

    An open transaction is rolled back immediately; kvmnet does not ask first. If none is open, a new transaction
    applies again what was applied before the last kept change. If nothing was applied before it, this is the same as
    `kvmnet remove`.
    """
    from kvmnet.applied_record import find_recorded_macs
    from kvmnet.core.planning.ownership import OWNERSHIP_FILE
    from kvmnet.core.rendering.bundle_files import read_bundle
    from kvmnet.pipeline import load_bundle_schemas
    from kvmnet.transaction.history import read_open_transaction, read_previous_bundle
    from kvmnet.transaction.prepare import ChangeOptions, prepare

    confirm = read_confirm_seconds(confirm_within, no_confirm)
    console = Console(as_json)
    with report_failures(console):
        require_root("roll back a change")
        open_transaction = read_open_transaction(state_path())
        if open_transaction is not None:
            raise typer.Exit(_roll_back_open(console, open_transaction, dry_run))
        files = read_previous_bundle(state_path())
        if files:
            bundle = read_bundle(files, load_bundle_schemas())
            lose = frozenset(allow_guest_loss or ())  # what was applied before had the permission to adopt
            macs = find_recorded_macs(files.get(OWNERSHIP_FILE, ""))
            wishes = ChangeOptions(timeout, confirm, read_allowed_codes(allow), lose, True, macs)
            exit_code = run_transaction(
                console,
                lambda state_dir: prepare(bundle, state_dir, wishes, console.show_progress, "rollback"),
                yes,
                dry_run,
            )
            raise typer.Exit(exit_code)
    remove(yes, dry_run, confirm_within, no_confirm, allow, allow_guest_loss, as_json)


def _roll_back_open(console: Console, open_transaction: "OpenTransaction", dry_run: bool) -> int:
    """Roll back the open transaction. Return 0 when that is verified, or when the change was kept meanwhile, else 4."""
    from kvmnet.transaction.launch import cancel, run_rescue_program

    with suppress(OSError):  # the reader of the output may have ended; roll back anyway
        activity = "would be rolled back" if dry_run else "rolling back"
        console.print_line(f"transaction {open_transaction.id} of {open_transaction.host}: {activity}")
    if dry_run:
        return exit_codes.DONE

    def roll_back() -> None:
        if open_transaction.works:
            cancel(open_transaction.id)
        else:
            run_rescue_program(state_path())

    code = follow_to_end(console, state_path(), open_transaction.id, cancel_on_interrupt=False, roll_back=roll_back)
    return exit_codes.DONE if code == exit_codes.ROLLED_BACK else code
