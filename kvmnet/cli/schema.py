"""kvmnet schema: the JSON Schemas, for editors and other programs."""

from enum import Enum
from typing import Annotated

import typer

from kvmnet.cli.common import out


class Name(str, Enum):
    """The forms that kvmnet knows."""

    cluster = "cluster"
    profile = "profile"
    state = "state"


_NAME_HELP = "cluster: a definition; profile: a profile; state: the nmstate states that kvmnet writes."


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("schema")(schema)


def schema(name: Annotated[Name, typer.Argument(help=_NAME_HELP, show_default=False)]) -> None:
    """Print a JSON Schema. An editor that has it completes and checks a definition."""
    from kvmnet import resources

    out(resources.schema_text(name.value))
