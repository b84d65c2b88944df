"""`kvmnet plan`: what would change on this host."""

import json
from typing import Optional

import typer

from kvmnet.cli.common import PathArgument
from kvmnet.cli.host import (
    BUNDLE_HELP,
    DIFFERENT,
    HOST_HELP,
    AllowOption,
    Console,
    allowed_codes,
    bundle_of_this_host,
    state_path,
    told,
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan")(plan)


def plan(
    path: PathArgument = None,
    bundle_folder: Optional[str] = typer.Option(None, "--bundle", metavar="DIR", help=BUNDLE_HELP),
    host: Optional[str] = typer.Option(None, "--host", help=HOST_HELP),
    allow: AllowOption = None,
    as_json: bool = typer.Option(False, "--json", help="For machines: one JSON document."),
    exit_code: bool = typer.Option(False, "--exit-code", help="Exit with 6 when something would change."),
) -> None:
    """Show what would change on this host. Touches nothing."""
    from kvmnet.core.report import allowed_text, plan_text
    from kvmnet.transaction.prepare import Wishes, prepare

    console = Console(as_json)
    with told(console):
        codes = allowed_codes(allow)
        bundle = bundle_of_this_host(console, path, host, bundle_folder)
        prepared = prepare(bundle, state_path(), Wishes(allow=codes), console.waiting)
        console.waiting(None)
    if as_json:
        print(json.dumps({**prepared.to_json(), "steps": [s["title"] for s in prepared.steps]}, indent=2))
    else:
        print(plan_text(prepared.plan) + allowed_text(prepared.allowed), end="")
    if exit_code and not prepared.plan.empty:
        raise typer.Exit(DIFFERENT)
