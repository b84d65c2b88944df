"""What several verbs share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from kvmnet.pipeline import Definition

_PATH_HELP = "The definition: a file, or a folder of files. Default: cluster.yaml, then cluster.d, here."

PathArgument = Annotated[Optional[str], typer.Argument(help=_PATH_HELP, show_default=False)]
"""The argument that most verbs begin with."""


def count(number: int, word: str) -> str:
    """A number with its noun, "1 host" or "2 hosts"."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def out(text: str) -> None:
    """Text to stdout as UTF-8, whatever the locale says: the same bytes everywhere."""
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:  # a test has put its own stdout there
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    stream.write(text.encode("utf-8", "backslashreplace"))
    stream.flush()


def err(text: str) -> None:
    """The same to stderr."""
    stream = getattr(sys.stderr, "buffer", None)
    if stream is None:
        sys.stderr.write(text)
        return
    sys.stderr.flush()
    stream.write(text.encode("utf-8", "backslashreplace"))
    stream.flush()


def load_definition(path: Optional[str]) -> Definition:
    """The definition, its problems told on stderr. Ends the program with 1 when one of them is an error."""
    from kvmnet import pipeline
    from kvmnet.core.base import problem

    definition = pipeline.load(path)
    if definition.problems:
        err(problem.as_text(definition.problems, definition.sources))
    if not definition.ok:
        raise typer.Exit(1)
    return definition
