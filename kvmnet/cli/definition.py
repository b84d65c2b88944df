"""The definition as commands read it: problems are printed, unknown names are usage errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import write_stderr
from kvmnet.cli.progress import Progress

if TYPE_CHECKING:
    from kvmnet.core.definition.model import Guest, Host
    from kvmnet.pipeline import Definition


def load_definition(path: Optional[str]) -> Definition:
    """Return the definition at `path`, after its problems are printed on stderr.

    Ends the program with exit code 1 when one of them is an error.
    """
    from kvmnet import pipeline
    from kvmnet.core.base import problem

    with Progress() as progress:
        definition = pipeline.load(path, progress.follow)
    if definition.problems:
        write_stderr(problem.as_text(problem.fold(definition.problems), definition.sources))
    if not definition.ok:
        raise typer.Exit(exit_codes.PROBLEMS)
    return definition


def get_host(definition: Definition, name: str) -> Host:
    """Return the host of that name. Raises Usage when the definition does not contain it."""
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.base.problem import did_you_mean

    assert definition.cluster is not None
    if name not in definition.cluster.hosts:
        raise Usage(f"the definition has no host {name!r}", did_you_mean(name, definition.hosts))
    return definition.cluster.hosts[name]


def get_guest(definition: Definition, name: str) -> Guest:
    """Return the guest of that name. Raises Usage when the definition does not contain it."""
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.base.problem import did_you_mean

    assert definition.cluster is not None
    guests = definition.cluster.guests
    if name not in guests:
        raise Usage(f"the definition has no guest {name!r}", did_you_mean(name, guests))
    return guests[name]
