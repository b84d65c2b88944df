"""`kvmnet init`: a definition to start from."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from kvmnet.cli.console import write_stdout
from kvmnet.cli.help import DEFINITION, examples

_FOLDER_HELP = "Folder to write into; it is made if it does not exist. Default: the current folder."
FolderArgument = Annotated[Optional[Path], typer.Argument(metavar="DIR", help=_FOLDER_HELP, show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init", rich_help_panel=DEFINITION, epilog=examples("kvmnet init network"))(init)


def init(folder: FolderArgument = None) -> None:
    """Write a commented definition to start from, its rendered states, and checks for Git.

    No file that exists is changed: if one of them exists, nothing is written.
    """
    from kvmnet import bundle_folders, pipeline, resources
    from kvmnet.core.base.errors import KvmnetError, Usage
    from kvmnet.core.definition.document import Source
    from kvmnet.exporters import bundle_folder

    folder = folder or Path()
    texts = resources.read_starter()
    existing = [name for name in (*texts, "states") if (folder / name).exists()]
    if existing:
        raise Usage(f"{folder / existing[0]} exists already", "choose an empty folder")
    definition = pipeline.check([Source("cluster.yaml", texts["cluster.yaml"])])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise KvmnetError(f"{error.filename} cannot be written: {error.strerror}") from None
    bundle_folders.write(folder / "states", bundle_folder.EXPORTER.export(definition.bundles()), True)
    write_stdout("".join(f"new: {folder / name}\n" for name in (*texts, "states")))
    write_stdout("next: edit cluster.yaml, then run kvmnet validate and kvmnet render -o states\n")
