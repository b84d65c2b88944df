"""`kvmnet plan`: what would change on this host."""

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli.common import PathArgument
from kvmnet.cli.host import (
    BUNDLE_HELP,
    DIFFERENT,
    HOST_HELP,
    AllowOption,
    Console,
    LoseOption,
    allowed_codes,
    bundle_of_this_host,
    need_root,
    state_path,
    told,
)

if TYPE_CHECKING:
    from kvmnet.transaction.prepare import Prepared


_FORMAT_HELP = "text for people, json for programs, markdown for a ticket or pull request."


class Format(str, Enum):
    """How a plan is told."""

    text = "text"
    json = "json"
    markdown = "markdown"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan")(plan)


def plan(
    path: PathArgument = None,
    bundle_folder: Optional[str] = typer.Option(None, "--bundle", metavar="DIR", help=BUNDLE_HELP),
    host: Optional[str] = typer.Option(None, "--host", help=HOST_HELP),
    output: Optional[str] = typer.Option(
        None,
        "--output",
        "-o",
        metavar="FILE",
        help="Save the plan for `apply --plan FILE`, with what it was made from (root).",
    ),
    allow: AllowOption = None,
    allow_guest_loss: LoseOption = None,
    format: Annotated[Format, typer.Option("--format", help=_FORMAT_HELP)] = Format.text,
    as_json: bool = typer.Option(False, "--json", help="Short for --format json."),
    exit_code: bool = typer.Option(False, "--exit-code", help="Exit with 6 when something would change."),
) -> None:
    """Show what would change on this host. Touches nothing."""
    from kvmnet.transaction.prepare import Wishes, prepare

    form = Format.json if as_json else format
    console = Console(form is Format.json)
    with told(console):
        if output is not None:  # what is applied and what is whose only root may read: a plan without would be stale
            need_root("save a plan")
        codes = allowed_codes(allow)
        bundle = bundle_of_this_host(console, path, host, bundle_folder)
        prepared = prepare(
            bundle, state_path(), Wishes(allow=codes, lose=frozenset(allow_guest_loss or ())), console.waiting
        )
        console.waiting(None)
        if output is not None:
            _save(output, prepared)
    print(_text(form, prepared), end="")
    if exit_code and not prepared.plan.empty:
        raise typer.Exit(DIFFERENT)


def _text(form: Format, prepared: "Prepared") -> str:
    from kvmnet.core.reporting.assessment_text import assessment_lines
    from kvmnet.core.reporting.report import allowed_text, plan_markdown, plan_text, probes_text

    if form is Format.json:
        return json.dumps({**prepared.to_json(), "steps": [s["title"] for s in prepared.steps]}, indent=2) + "\n"
    lines = assessment_lines(prepared.assessment)
    if form is Format.markdown:
        return plan_markdown(prepared.plan, prepared.allowed, prepared.probes, lines)
    probes = "" if prepared.plan.empty else probes_text(prepared.probes)
    return plan_text(prepared.plan, lines) + allowed_text(prepared.allowed) + probes


def _save(file: str, prepared: "Prepared") -> None:
    from kvmnet.core.base.errors import KvmnetError
    from kvmnet.core.reporting.saved_plan import to_text
    from kvmnet.system import files

    allowed = {reason.code for reason in prepared.allowed if reason.guest is None}
    lose = {reason.guest for reason in prepared.allowed if reason.guest is not None}
    text = to_text(prepared.assessment, allowed, lose)
    place = Path(file)
    try:
        if place.exists() and not place.is_file():  # /dev/null, /dev/stdout, a pipe: not to be replaced
            place.write_bytes(text.encode())
        else:
            files.write_file(str(place.resolve()), text.encode())
    except OSError as error:
        raise KvmnetError(f"{file} cannot be written: {error.strerror}") from error
