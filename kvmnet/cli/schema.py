"""`kvmnet schema`: the JSON Schemas, for editors and other programs."""

from enum import Enum
from typing import Annotated

import typer

from kvmnet.cli.console import write_stdout
from kvmnet.cli.help import DEFINITION, examples


class Name(str, Enum):
    """Names of the schemas."""

    cluster = "cluster"
    profile = "profile"
    state = "state"


_NAME_HELP = "cluster: a definition; profile: a naming policy; state: the nmstate states that `kvmnet render` writes."


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet schema cluster > cluster.schema.json")
    app.command("schema", rich_help_panel=DEFINITION, epilog=end)(schema)


def schema(name: Annotated[Name, typer.Argument(metavar="NAME", help=_NAME_HELP, show_default=False)]) -> None:
    """Print the JSON Schema of definitions, naming policies or rendered states.

    Editors use it to complete and check a file while you write it.
    """
    from kvmnet import resources

    write_stdout(resources.schema_text(name.value))
