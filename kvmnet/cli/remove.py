"""`kvmnet remove`: restore the host as it was before kvmnet."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kvmnet.cli.console import Console, report_failures
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.options import (
    AllowOption,
    ConfirmRemovalOption,
    DryRunOption,
    GuestLossOption,
    JsonEventsOption,
    NoConfirmOption,
    YesOption,
    read_allowed_codes,
    read_confirm_seconds,
)
from kvmnet.cli.run_transaction import run_transaction
from kvmnet.cli.this_host import require_root, state_path
from kvmnet.core.base.errors import Refused

if TYPE_CHECKING:
    from kvmnet.core.rendering.bundle import Bundle


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet remove --dry-run", "kvmnet remove")
    app.command("remove", rich_help_panel=HOST, epilog=end)(remove)


def remove(
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    confirm_within: ConfirmRemovalOption = None,
    no_confirm: NoConfirmOption = False,
    allow: AllowOption = None,
    allow_guest_loss: GuestLossOption = None,
    as_json: JsonEventsOption = False,
) -> None:
    """Restore this host to its state before kvmnet was used, as one transaction.

    NIC names, alternative names and connection profiles are restored. Everything that kvmnet created is removed.
    """
    from kvmnet.transaction.prepare import ChangeOptions, prepare_removal

    confirm = read_confirm_seconds(confirm_within, no_confirm)
    console = Console(as_json)
    with report_failures(console):
        require_root("restore this host")
        bundle = _read_applied_bundle(state_path())
        wishes = ChangeOptions(confirm=confirm, allow=read_allowed_codes(allow), lose=frozenset(allow_guest_loss or ()))
        exit_code = run_transaction(
            console, lambda state_dir: prepare_removal(bundle, state_dir, wishes, console.show_progress), yes, dry_run
        )
    raise typer.Exit(exit_code)


def _read_applied_bundle(state_dir: Path) -> "Bundle":
    from kvmnet.applied_record import read_applied

    bundle = read_applied(state_dir)
    if bundle is None:
        raise Refused("nothing is applied on this host", "there is nothing to restore", "KVN562")
    return bundle
