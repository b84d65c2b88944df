"""kvmnet render: the definition to a folder for each host."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from kvmnet.cli.common import PathArgument, err, load_definition, out

_HOST_HELP = "Only this host; may be given several times."
_OUTPUT_HELP = "Write a folder for each host there."
_CHECK_HELP = "With -o: write nothing, name what is not as it should be; exit 6."


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("render")(render)


def render(
    path: PathArgument = None,
    host: Annotated[Optional[list[str]], typer.Option("--host", help=_HOST_HELP)] = None,
    output: Annotated[Optional[Path], typer.Option("-o", "--output", metavar="DIR", help=_OUTPUT_HELP)] = None,
    check: Annotated[bool, typer.Option("--check", help=_CHECK_HELP)] = False,
) -> None:
    """Turn a definition into nmstate states, .link files and bundles. Without -o the states go to stdout."""
    from kvmnet import bundle_folders
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.base.problem import did_you_mean
    from kvmnet.core.rendering import bundle_files

    if check and output is None:
        raise Usage("--check compares with a folder: name it with -o")
    definition = load_definition(path)
    for name in host or ():
        if name not in definition.views:
            raise Usage(f"the definition has no host {name!r}", did_you_mean(name, definition.hosts))
    wanted = [name for name in definition.hosts if not host or name in host]
    files = {name: bundle_files.files_of(definition.bundle(name)) for name in wanted}
    if output is None:
        out("".join(files[name][bundle_files.STATE_FILE] for name in wanted))
        return
    everything = not host
    act = bundle_folders.compare if check else bundle_folders.write
    drift = act(output, files, everything)
    words = ("missing", "stale", "surplus") if check else ("new", "changed", "removed")
    for word, paths in zip(words, (drift.missing, drift.stale, drift.surplus)):
        out("".join(f"{word}: {output / name}\n" for name in paths))
    if drift.clean:
        err(f"{output} is up to date\n")
    elif check:
        raise typer.Exit(6)
