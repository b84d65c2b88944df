"""`kvmnet export`: write a definition in another tool's format."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli.console import count_text, write_stdout, write_text
from kvmnet.cli.definition import get_host, load_definition
from kvmnet.cli.help import DEFINITION, examples
from kvmnet.cli.options import PathArgument

if TYPE_CHECKING:
    from kvmnet.core.definition.model import Cluster
    from kvmnet.exporters import Group

_FORMAT_HELP = "The format; `kvmnet export list` lists all."
_OUTPUT_HELP = "Write the files into DIR. Files that are there already are overwritten."
_HOST_HELP = "Export only this host of the definition. May be repeated."
FormatArgument = Annotated[str, typer.Argument(metavar="FORMAT", help=_FORMAT_HELP, show_default=False)]
OutputOption = Annotated[
    Optional[Path], typer.Option("--output", "-o", metavar="DIR", help=_OUTPUT_HELP, show_default=False)
]
HostsOption = Annotated[
    Optional[list[str]], typer.Option("--host", metavar="HOST", help=_HOST_HELP, show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet export list", "kvmnet export nncp cluster.yaml -o policies")
    app.command("export", rich_help_panel=DEFINITION, epilog=end)(export)


def export(
    format: FormatArgument, path: PathArgument = None, output: OutputOption = None, host: HostsOption = None
) -> None:
    """Write the hosts of a definition in the format of another tool.

    What a format cannot express is refused, with the reason.
    """
    from kvmnet.bundle_folders import refuse_linked_folders
    from kvmnet.core.base.errors import Usage
    from kvmnet.exporters import EXPORTERS

    if format == "list":
        width = max(map(len, EXPORTERS.names()))
        write_stdout("".join(f"{entry.name:{width}}  {entry.help}\n" for entry in EXPORTERS.entries()))
        return
    exporter = EXPORTERS.find(format)
    if output is None:
        raise Usage("export needs a folder to write to", "name it with -o")
    definition = load_definition(path)
    assert definition.cluster is not None
    for name in host or ():
        get_host(definition, name)
    names = [name for name in definition.hosts if not host or name in host]
    files = exporter.export(definition.bundles(names), groups=_list_groups(definition.cluster))
    refuse_linked_folders(output, sorted({str(Path(name).parent) for name in files}))
    for file_path, file in files.items():
        _write(output / file_path, file.text, file.mode)
    write_text(f"{count_text(len(files), 'file')} for {count_text(len(names), 'host')} written to {output}\n")


def _list_groups(cluster: "Cluster") -> list["Group"]:
    from kvmnet.exporters import Group

    return [
        Group(group.name, group.parent, tuple(h.name for h in cluster.hosts.values() if h.group == group.name))
        for group in cluster.groups.values()
    ]


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file by one rename, with this mode. Raises KvmnetError when that fails."""
    from kvmnet.core.base.errors import KvmnetError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as error:
        raise KvmnetError(f"{path} cannot be written: {error.strerror}") from None
