"""`kvmnet render`: a definition to a folder for each host."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import count_text, write_stderr, write_stdout, write_text
from kvmnet.cli.definition import get_host, load_definition
from kvmnet.cli.help import DEFINITION, examples
from kvmnet.cli.options import PathArgument
from kvmnet.cli.progress import Progress

_HOST_HELP = "Render only this host of the definition. May be repeated."
_OUTPUT_HELP = "Write a folder for each host into DIR. Default: print the nmstate states on stdout."
_CHECK_HELP = (
    "Compare with the files in DIR of -o and write nothing. "
    "Counts missing, stale (outdated) and surplus (unneeded) files. If there are any, the exit code is 6."
)
_VERBOSE_HELP = "List the files, not only their number."
#: How many hosts a line names.
_NAMED_HOSTS = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet render cluster.yaml", "kvmnet render -o states", "kvmnet render -o states --check")
    app.command("render", rich_help_panel=DEFINITION, epilog=end)(render)


def render(
    path: PathArgument = None,
    host: Annotated[Optional[list[str]], typer.Option("--host", metavar="HOST", help=_HOST_HELP)] = None,
    output: Annotated[Optional[Path], typer.Option("-o", "--output", metavar="DIR", help=_OUTPUT_HELP)] = None,
    check: Annotated[bool, typer.Option("--check", help=_CHECK_HELP)] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help=_VERBOSE_HELP)] = False,
) -> None:
    """Render a bundle for each host: an nmstate state, .link files and an index.

    You can review the files and commit them to Git. `kvmnet apply --bundle` applies a bundle without the
    definition.
    """
    from kvmnet import bundle_folders
    from kvmnet.core.base.errors import Usage
    from kvmnet.exporters import bundle_folder

    if check and output is None:
        raise Usage("--check needs a folder to compare with", "name it with -o")
    definition = load_definition(path)
    for name in host or ():
        get_host(definition, name)
    names = [name for name in definition.hosts if not host or name in host]
    with Progress() as progress:
        files = bundle_folder.format_folders(progress.follow(map(definition.bundle, names), "rendered", len(names)))
    if output is None:
        write_stdout("".join(files[bundle_folder.state_path(name)].text for name in names))
        return
    compare_or_write = bundle_folders.compare if check else bundle_folders.write
    drift = compare_or_write(output, files, not host)
    labels = ("missing", "stale", "surplus") if check else ("new", "changed", "removed")
    for label, paths in zip(labels, (drift.missing, drift.stale, drift.surplus)):
        if verbose:
            write_text("".join(f"{label}: {output / name}\n" for name in paths))
        elif paths:
            write_text(f"{label}: {_count_files(paths)}\n")
    if drift.clean:
        write_stderr(f"{output} is up to date\n")
    elif check:
        raise typer.Exit(exit_codes.DIFFERENT)


def _count_files(paths: Sequence[str]) -> str:
    """Return the number of files and the hosts that they belong to: "3 files of 2 hosts (hv1, hv2)"."""
    hosts = list(dict.fromkeys(Path(path).parts[0] for path in paths))
    names = ", ".join(hosts[:_NAMED_HOSTS]) + (", …" if len(hosts) > _NAMED_HOSTS else "")
    return f"{count_text(len(paths), 'file')} of {count_text(len(hosts), 'host')} ({names})"
