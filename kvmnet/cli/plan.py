"""`kvmnet plan`: what would change on this host."""

import json
import os
import tempfile
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import Console, print_text, report_failures
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.options import (
    AdoptOption,
    AllowOption,
    BundleOption,
    GuestLossOption,
    HostOption,
    PathArgument,
    read_allowed_codes,
)
from kvmnet.cli.this_host import bundle_of_this_host, require_root, state_path

if TYPE_CHECKING:
    from kvmnet.transaction.prepare import Prepared


_FORMAT_HELP = "text for reading (the default), json for programs, markdown for a ticket or pull request."
_OUTPUT_HELP = "Save the plan for `kvmnet apply --plan FILE`. Refused if the host has changed by then. Needs root."


class Format(str, Enum):
    """Formats of a plan."""

    text = "text"
    json = "json"
    markdown = "markdown"


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet plan cluster.yaml", "kvmnet plan --bundle states/HOST", "kvmnet plan -o change.plan")
    app.command("plan", rich_help_panel=HOST, epilog=end)(plan)


def plan(
    path: PathArgument = None,
    bundle_folder: BundleOption = None,
    host: HostOption = None,
    output: Annotated[Optional[str], typer.Option("--output", "-o", metavar="FILE", help=_OUTPUT_HELP)] = None,
    adopt: AdoptOption = False,
    allow: AllowOption = None,
    allow_guest_loss: GuestLossOption = None,
    format: Annotated[Format, typer.Option("--format", help=_FORMAT_HELP, show_default=False)] = Format.text,
    as_json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with code 6 if something would change.")] = False,
) -> None:
    """Show what would change on this host and which running guests are affected.

    This command changes nothing. As root, it also shows removals and probe targets.
    """
    from kvmnet.transaction.prepare import ChangeOptions, prepare

    chosen_format = Format.json if as_json else format
    console = Console(chosen_format is Format.json)
    with report_failures(console):
        if output is not None:  # only root can read what was applied: without it, the saved plan would not be the same
            require_root("save a plan")
        lose = frozenset(allow_guest_loss or ())
        codes = read_allowed_codes(allow)
        wishes = ChangeOptions(allow=codes, lose=lose, adopt=adopt)
        bundle = bundle_of_this_host(console, path, host, bundle_folder, codes)
        prepared = prepare(bundle, state_path(), wishes, console.show_progress)
        console.show_progress(None)
        if output is not None:
            _save_plan(output, prepared)
    print_text(_format_plan(chosen_format, prepared).rstrip("\n"))
    if exit_code and not prepared.plan.empty:
        raise typer.Exit(exit_codes.DIFFERENT)


def _format_plan(form: Format, prepared: "Prepared") -> str:
    from kvmnet.core.reporting.assessment_text import assessment_lines
    from kvmnet.core.reporting.report import (
        format_overridden_refusals,
        format_plan,
        format_plan_markdown,
        format_probes,
    )

    if form is Format.json:
        document = {**prepared.to_json(), "steps": [step["title"] for step in prepared.steps]}
        return json.dumps(document, indent=2) + "\n"
    lines = assessment_lines(prepared.assessment, prepared.host_effects)
    if form is Format.markdown:
        return format_plan_markdown(prepared.plan, prepared.allowed, prepared.probes, lines)
    probes = "" if prepared.plan.empty else format_probes(prepared.probes)
    return format_plan(prepared.plan, lines) + format_overridden_refusals(prepared.allowed) + probes


def _save_plan(file: str, prepared: "Prepared") -> None:
    """Write the plan and what it was made from. Raises KvmnetError when the file cannot be written."""
    from kvmnet.core.base.errors import KvmnetError
    from kvmnet.core.reporting.saved_plan import to_text

    overridden = {reason.code for reason in prepared.allowed if reason.guest is None}
    lost_guests = {reason.guest for reason in prepared.allowed if reason.guest is not None}
    text = to_text(prepared.assessment, overridden, lost_guests, prepared.adopt)
    target = Path(file)
    try:
        if target.is_relative_to("/dev") or (target.exists() and not target.is_file()):  # must not be replaced
            target.write_bytes(text.encode())
        elif target.is_symlink():
            raise KvmnetError(f"{file} cannot be written: it is a symbolic link", "give the path that it leads to")
        else:
            _replace_file(target, text.encode())
    except OSError as error:
        raise KvmnetError(f"{file} cannot be written: {error.strerror}") from error


def _replace_file(target: Path, data: bytes) -> None:
    """Write a file that only root can read, in one step. Its temporary file has a random name: the folder may be one
    where others can create files, such as /tmp. Raises OSError."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".kvmnet-plan-")  # with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
