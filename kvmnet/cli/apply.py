"""`kvmnet apply`: the transaction, followed from the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from kvmnet.cli.common import PathArgument
from kvmnet.cli.follow import carry_out
from kvmnet.cli.host import (
    BUNDLE_HELP,
    HOST_HELP,
    AllowOption,
    Console,
    LoseOption,
    allowed_codes,
    bundle_of_this_host,
    need_root,
    read_plan,
    this_machines,
    told,
)
from kvmnet.core.errors import Usage

if TYPE_CHECKING:
    from kvmnet.core.planfile import SavedPlan
    from kvmnet.transaction.prepare import Prepared


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("apply")(apply)


def apply(
    path: PathArgument = None,
    bundle_folder: Optional[str] = typer.Option(None, "--bundle", metavar="DIR", help=BUNDLE_HELP),
    plan_file: Optional[str] = typer.Option(
        None, "--plan", metavar="FILE", help="Exactly what `plan -o FILE` saved; refused when the machine has changed."
    ),
    host: Optional[str] = typer.Option(None, "--host", help=HOST_HELP),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask (only a terminal is asked)."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the plan and the steps, touch nothing."),
    timeout: int = typer.Option(
        120, "--timeout", min=20, max=3600, help="Seconds after which NetworkManager undoes the trial by itself."
    ),
    confirm_within: Optional[int] = typer.Option(
        None,
        "--confirm-within",
        metavar="S",
        min=10,
        max=3600,
        help="Undo it unless `kvmnet confirm` comes within S seconds, from a connection opened after the change. "
        "Default: 120 when your SSH connection comes in by what changes, else not asked for.",
    ),
    no_confirm: bool = typer.Option(False, "--no-confirm", help="Do not ask for `kvmnet confirm`."),
    allow: AllowOption = None,
    allow_guest_loss: LoseOption = None,
    as_json: bool = typer.Option(False, "--json", help="For machines: one event a line."),
) -> None:
    """Make this host as defined, as one transaction: kept when the host is still reachable, else undone."""
    from kvmnet.transaction.prepare import Wishes, prepare

    if no_confirm and confirm_within is not None:
        raise Usage("--confirm-within and --no-confirm were given", "give one of them")
    if plan_file is not None and (path or bundle_folder):
        raise Usage("a plan and something else to apply were given", "give only --plan, PATH or --bundle")
    console = Console(as_json)
    with told(console):
        if not dry_run:
            need_root("change this host's network")
        saved = read_plan(plan_file) if plan_file is not None else None
        codes = allowed_codes([*(allow or []), *(saved.allowed if saved else ())])
        lose = frozenset([*(allow_guest_loss or []), *(saved.lose if saved else ())])
        wishes = Wishes(timeout, 0 if no_confirm else confirm_within, codes, lose)
        if saved is not None:
            bundle = this_machines([saved.bundle], host)
        else:
            bundle = bundle_of_this_host(console, path, host, bundle_folder)

        def make(state_dir: Path) -> "Prepared":
            prepared = prepare(bundle, state_dir, wishes, console.waiting)
            _require_saved(saved, prepared)
            return prepared

        code = carry_out(console, make, yes, dry_run)
    raise typer.Exit(code)


def _require_saved(saved: Optional["SavedPlan"], prepared: "Prepared") -> None:
    """Raises Refused when the machine is not what a saved plan was made from."""
    from kvmnet.core.planfile import require_same

    if saved is not None:
        require_same(saved.plan, saved.basis, prepared.plan, prepared.live)
