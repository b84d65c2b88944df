"""kvmnet validate: is the definition right?"""

from enum import Enum
from typing import Annotated

import typer

from kvmnet.cli.common import PathArgument, count, err, out

_FORMAT_HELP = "text for people, json for programs, github for a pull request."


class Format(str, Enum):
    """How problems are told."""

    text = "text"
    json = "json"
    github = "github"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("validate")(validate)


def validate(
    path: PathArgument = None,
    format: Annotated[Format, typer.Option("--format", help=_FORMAT_HELP)] = Format.text,
) -> None:
    """Check a definition; print every problem at its place. Exit 1 when one is an error."""
    from kvmnet import pipeline
    from kvmnet.core.base import problem

    definition = pipeline.load(path)
    out(problem.REPORTERS[format.value](definition.problems, definition.sources, definition.silenced))
    errors = sum(p.is_error for p in definition.problems)
    warnings = len(definition.problems) - errors
    if format is Format.text:
        counts = [count(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
        what = ", ".join(counts) if counts else f"no problem in {count(len(definition.hosts), 'host')}"
        silent = f" ({count(len(definition.silenced), 'warning')} silenced)" if definition.silenced else ""
        err(what + silent + ("; kvmnet explain CODE says more\n" if counts else "\n"))
    if errors:
        raise typer.Exit(1)
