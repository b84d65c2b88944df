"""`kvmnet purge`: delete the snapshots of closed transactions."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import Console, count_text, print_json, print_text, report_failures
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.options import JsonOption
from kvmnet.cli.this_host import require_root, state_path
from kvmnet.core.base.errors import Usage

if TYPE_CHECKING:
    from kvmnet.transaction.purge import Purge

_ALL_HELP = (
    "Also delete the snapshots that `kvmnet remove` and `kvmnet rollback` use. "
    "Only possible if nothing is applied on this host."
)
_YES_HELP = "Do not ask before deleting. Required if the command does not run on a terminal."


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet purge", "kvmnet remove && kvmnet purge --all")
    app.command("purge", rich_help_panel=HOST, epilog=end)(purge)


def purge(
    everything: Annotated[bool, typer.Option("--all", help=_ALL_HELP)] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=_YES_HELP)] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the snapshots of closed transactions, which contain connection profiles and may contain passwords.

    The history itself is kept. The snapshots that `kvmnet remove` and `kvmnet rollback` need are kept too: those of the
    host before kvmnet, and that of the last kept change. Deleted files are not overwritten on the disk.
    """
    from kvmnet.transaction.launch import lock_state_folder
    from kvmnet.transaction.purge import carry_out, find_purge
    from kvmnet.transaction.safeguards import not_written

    with report_failures(Console(as_json)):
        require_root("delete snapshots")
        is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
        if not (yes or is_terminal):
            raise Usage("this is not a terminal, so kvmnet cannot ask before deleting", "add --yes")
        with lock_state_folder(state_path()) as state_dir:
            found = find_purge(state_dir, everything)
            if not as_json:
                print_text("\n".join(_describe(found)))
            if found.paths and not yes and not typer.confirm("Delete them?"):
                raise typer.Exit(exit_codes.PROBLEMS)
            try:
                carry_out(found)
            except OSError as error:
                raise not_written(state_dir / "history", error) from error
    if as_json:
        print_json(found.to_json())
    elif found.paths:
        print_text("deleted")


def _describe(found: "Purge") -> list[str]:
    """Return the lines about what is deleted and what is kept."""
    lines = ["no snapshot of a closed transaction can be deleted"]
    if found.paths:
        count = count_text(len(found.paths), "closed transaction")
        lines = [f"snapshots of {count} ({found.size / 1e6:.1f} MB):", *(f"  {folder.name}" for folder in found.paths)]
    return [*lines, *(f"note: that of {folder.name} is kept for {reason}" for folder, reason in found.kept.items())]
