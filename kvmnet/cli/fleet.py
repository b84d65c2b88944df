"""`kvmnet fleet`: one table of what was gathered from many hosts."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import print_json, write_text
from kvmnet.cli.help import FLEET, CommandGroup, examples

if TYPE_CHECKING:
    from kvmnet.core.reporting.fleet import FleetHost

_FILES_HELP = "Files that the playbook kvmnet.kvmnet.gather wrote: one line of JSON for each host."
_FORMAT_HELP = "text for reading (the default), json for programs, markdown for a ticket or pull request."


class Format(str, Enum):
    """Formats of the table."""

    text = "text"
    json = "json"
    markdown = "markdown"


FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help=_FILES_HELP, show_default=False)]
FormatOption = Annotated[Format, typer.Option("--format", help=_FORMAT_HELP, show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        name="fleet",
        cls=CommandGroup,
        help="Show the gathered status of many hosts as one table. No host is contacted.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("status", epilog=examples("kvmnet fleet status fleet.jsonl"))(status)
    group.command("plan", epilog=examples("kvmnet fleet plan fleet.jsonl --format markdown"))(plan)
    app.add_typer(group, rich_help_panel=FLEET)


def status(inventory: FilesArgument, format: FormatOption = Format.text) -> None:
    """Show what is applied on each host, its last change, and which hosts drifted or are behind the definition.

    Exits with code 6 if anything differs or a host could not be reached.
    """
    from kvmnet.core.reporting.fleet import status_table

    fleet = _read_fleet(inventory)
    _print(fleet, status_table(fleet), format)


def plan(inventory: FilesArgument, format: FormatOption = Format.text) -> None:
    """Show what the definition would change on each host.

    Exits with code 6 if anything differs or a host could not be reached.
    """
    from kvmnet.core.reporting.fleet import plan_table

    fleet = _read_fleet(inventory)
    _print(fleet, plan_table(fleet), format)


def _read_fleet(files: list[Path]) -> "list[FleetHost]":
    """Return the hosts of these files. Raises KvmnetError when one cannot be read."""
    from kvmnet.core.base.errors import KvmnetError
    from kvmnet.core.reporting.fleet import UNREADABLE, make_fleet, read_rows

    rows = []
    for file in files:
        try:
            rows += read_rows(str(file), file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise KvmnetError(f"{file}: {reason}", "give a file that kvmnet.kvmnet.gather wrote", UNREADABLE) from None
    return make_fleet(rows)


def _print(fleet: "list[FleetHost]", table: list[list[str]], format: Format) -> None:
    from kvmnet.core.reporting.fleet import fleet_to_json, format_markdown, format_text, summarize

    if format is Format.json:
        print_json(fleet_to_json(fleet))
    else:
        form = format_markdown if format is Format.markdown else format_text
        write_text(form(table, summarize(fleet)))
    if any(host.differs for host in fleet):
        raise typer.Exit(exit_codes.DIFFERENT)
