"""`kvmnet apply`: make this host match the definition."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli.console import Console, report_failures
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.options import (
    DEFAULT_TIMEOUT,
    AdoptOption,
    AllowOption,
    BundleOption,
    ConfirmOption,
    DryRunOption,
    GuestLossOption,
    HostOption,
    JsonEventsOption,
    NoConfirmOption,
    PathArgument,
    TimeoutOption,
    YesOption,
    read_allowed_codes,
    read_confirm_seconds,
)
from kvmnet.cli.run_transaction import run_transaction
from kvmnet.cli.this_host import bundle_of_this_host, match_this_host, read_saved_plan, require_root
from kvmnet.core.base.errors import Usage

if TYPE_CHECKING:
    from kvmnet.core.reporting.saved_plan import SavedPlan
    from kvmnet.transaction.prepare import Prepared

_PLAN_HELP = "Apply a plan that `kvmnet plan -o FILE` saved. It is refused if the host has changed since then."


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples(
        "kvmnet apply cluster.yaml",
        "kvmnet apply --plan change.plan",
        "kvmnet apply --bundle states/HOST --confirm-within 300",
    )
    app.command("apply", rich_help_panel=HOST, epilog=end)(apply)


def apply(
    path: PathArgument = None,
    bundle_folder: BundleOption = None,
    plan_file: Annotated[Optional[str], typer.Option("--plan", metavar="FILE", help=_PLAN_HELP)] = None,
    host: HostOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    confirm_within: ConfirmOption = None,
    no_confirm: NoConfirmOption = False,
    adopt: AdoptOption = False,
    allow: AllowOption = None,
    allow_guest_loss: GuestLossOption = None,
    as_json: JsonEventsOption = False,
) -> None:
    """Make this host match the definition, as one transaction.

    kvmnet verifies the result and probes the gateway. If anything fails or you press Ctrl-C, the host is rolled back.
    The change runs in a systemd unit, so it continues if your SSH session drops.
    """
    from kvmnet.transaction.prepare import ChangeOptions, prepare

    confirm = read_confirm_seconds(confirm_within, no_confirm)
    if plan_file is not None and (path or bundle_folder):
        raise Usage("--plan cannot be used together with PATH or --bundle", "give one of them")
    console = Console(as_json)
    with report_failures(console):
        if not dry_run:
            require_root("change this host's network")
        own_codes = read_allowed_codes(allow)  # a plan cannot vouch for itself
        saved = read_saved_plan(plan_file, own_codes) if plan_file is not None else None
        codes = own_codes | read_allowed_codes([*saved.allowed] if saved else None)
        lose = frozenset([*(allow_guest_loss or []), *(saved.lose if saved else ())])
        may_adopt = adopt or (saved is not None and saved.adopt)
        wishes = ChangeOptions(timeout, confirm, codes, lose, may_adopt)
        if saved is not None:
            bundle = match_this_host([saved.bundle], host)
        else:
            bundle = bundle_of_this_host(console, path, host, bundle_folder, own_codes)

        def prepare_change(state_dir: Path) -> "Prepared":
            prepared = prepare(bundle, state_dir, wishes, console.show_progress)
            if saved is not None:
                _require_same_plan(saved, prepared)
            return prepared

        exit_code = run_transaction(console, prepare_change, yes, dry_run)
    raise typer.Exit(exit_code)


def _require_same_plan(saved: "SavedPlan", prepared: "Prepared") -> None:
    """Raise Refused when the host has changed since the plan was saved."""
    from kvmnet.core.reporting.saved_plan import require_unchanged

    require_unchanged(saved.plan, saved.basis, prepared.assessment)
