"""`kvmnet plan`: what would change on this host."""

from __future__ import annotations

import json
from typing import Optional

import typer

from kvmnet.cli.host import DIFFERENT, Console, bundle_of_this_host, state_path, told


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan")(plan)


def plan(
    path: Optional[str] = typer.Argument(None, help="The definition: a file or a folder."),
    host: Optional[str] = typer.Option(None, "--host", help="The host this machine is, if its MACs leave a doubt."),
    as_json: bool = typer.Option(False, "--json", help="For machines: one JSON document."),
    exit_code: bool = typer.Option(False, "--exit-code", help="Exit with 6 when something would change."),
) -> None:
    """Show what would change on this host. Touches nothing."""
    from kvmnet.core.report import plan_text
    from kvmnet.transaction.prepare import prepare

    console = Console(as_json)
    with told(console):
        bundle = bundle_of_this_host(console, path, host)
        prepared = prepare(bundle, state_path(), 120, console.waiting)
        console.waiting(None)
    if as_json:
        print(json.dumps({**prepared.plan.to_json(), "steps": [s["title"] for s in prepared.steps]}, indent=2))
    else:
        print(plan_text(prepared.plan), end="")
    if exit_code and not prepared.plan.empty:
        raise typer.Exit(DIFFERENT)
