"""`kvmnet validate`: check a definition."""

from collections import Counter
from enum import Enum
from typing import Annotated

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import count_text, write_stderr, write_stdout
from kvmnet.cli.help import DEFINITION, examples
from kvmnet.cli.options import PathArgument
from kvmnet.cli.progress import Progress

_FORMAT_HELP = (
    "text for reading (the default), json for programs, github for annotations in a pull request, sarif for code "
    "scanning, gitlab for a code quality report."
)

_ALL_HELP = "List equal warnings of several hosts one by one, and not folded into one. Other formats always do."


class Format(str, Enum):
    """Formats of the list of problems."""

    text = "text"
    json = "json"
    github = "github"
    sarif = "sarif"
    gitlab = "gitlab"


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet validate", "kvmnet validate site/cluster.d --format json")
    app.command("validate", rich_help_panel=DEFINITION, epilog=end)(validate)


def validate(
    path: PathArgument = None,
    format: Annotated[Format, typer.Option("--format", help=_FORMAT_HELP, show_default=False)] = Format.text,
    list_all: Annotated[bool, typer.Option("--all", help=_ALL_HELP)] = False,
) -> None:
    """Check a definition and print all problems with file, line and column.

    The exit code is 1 if there are errors, and 0 if there are only warnings.
    """
    from kvmnet import pipeline
    from kvmnet.core.base.problem import fold
    from kvmnet.core.reporting.problem_documents import REPORTERS

    with Progress() as progress:
        definition = pipeline.load(path, progress.follow)
    is_folded = format is Format.text and not list_all
    problems = fold(definition.problems) if is_folded else definition.problems
    write_stdout(REPORTERS[format.value](problems, definition.sources, definition.silenced))
    errors = sum(p.is_error for p in definition.problems)
    warnings = len(definition.problems) - errors
    if format is Format.text:
        counts = [count_text(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number]
        summary = ", ".join(counts) if counts else f"no problem in {count_text(len(definition.hosts), 'host')}"
        codes = Counter(p.code for p in definition.problems)
        if len(definition.problems) > 1:
            summary += f" ({', '.join(f'{code}: {number}' for code, number in sorted(codes.items()))})"
        if definition.silenced:
            summary += f" ({count_text(len(definition.silenced), 'warning')} suppressed)"
        write_stderr(f"{summary}; `kvmnet explain CODE` explains a problem\n" if counts else f"{summary}\n")
    if errors:
        raise typer.Exit(exit_codes.PROBLEMS)
