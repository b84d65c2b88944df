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
    ConfirmOption,
    Console,
    LoseOption,
    NoConfirmOption,
    allowed_codes,
    bundle_of_this_host,
    confirm_seconds,
    need_root,
    read_plan,
    this_machines,
    told,
)
from kvmnet.core.base.errors import Usage

if TYPE_CHECKING:
    from kvmnet.core.reporting.saved_plan import SavedPlan
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
    confirm_within: ConfirmOption = None,
    no_confirm: NoConfirmOption = False,
    allow: AllowOption = None,
    allow_guest_loss: LoseOption = None,
    as_json: bool = typer.Option(False, "--json", help="For machines: one event a line."),
) -> None:
    """Make this host as defined, as one transaction: kept when the host is still reachable, else undone."""
    from kvmnet.transaction.prepare import Wishes, prepare

    confirm = confirm_seconds(confirm_within, no_confirm)
    if plan_file is not None and (path or bundle_folder):
        raise Usage("a plan and something else to apply were given", "give only --plan, PATH or --bundle")
    console = Console(as_json)
    with told(console):
        if not dry_run:
            need_root("change this host's network")
        saved = read_plan(plan_file) if plan_file is not None else None
        codes = allowed_codes([*(allow or []), *(saved.allowed if saved else ())])
        lose = frozenset([*(allow_guest_loss or []), *(saved.lose if saved else ())])
        wishes = Wishes(timeout, confirm, codes, lose)
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
    from kvmnet.core.reporting.saved_plan import require_same

    if saved is not None:
        require_same(saved.plan, saved.basis, prepared.assessment)
