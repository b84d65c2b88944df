"""`kvmnet graph`: pictures of a definition, or of what a change does to it."""

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli.console import Console, write_stdout
from kvmnet.cli.diff import read_sides, require_valid
from kvmnet.cli.help import DEFINITION, examples
from kvmnet.cli.options import PathArgument
from kvmnet.cli.progress import Progress

if TYPE_CHECKING:
    from kvmnet.core.graph.document import Side
    from kvmnet.core.review.review import Version
    from kvmnet.review_input import Side as ReviewSide

_OUTPUT_HELP = "The file to write; `-` for stdout. Its ending selects the format: .svg, .html, or .mmd for Mermaid."
_FORMAT_HELP = "The format. Default: selected by the ending of the file; svg for stdout."
_HOST_HELP = "Draw only this host of the definition."
_DIFF_HELP = "Show what changes from OLD, a definition, a folder of rendered states, or a git revision (`kvmnet diff`)."


class Format(str, Enum):
    """Formats of pictures."""

    svg = "svg"
    html = "html"
    mermaid = "mermaid"


_ENDINGS = {
    ".svg": Format.svg,
    ".html": Format.html,
    ".htm": Format.html,
    ".mmd": Format.mermaid,
    ".mermaid": Format.mermaid,
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples(
        "kvmnet graph -o cluster.html",
        "kvmnet graph --host kvm1 -o kvm1.svg",
        "kvmnet graph --diff HEAD -o change.html",
    )
    app.command("graph", rich_help_panel=DEFINITION, epilog=end)(graph)


def graph(
    path: PathArgument = None,
    host: Annotated[Optional[str], typer.Option("--host", metavar="HOST", help=_HOST_HELP, show_default=False)] = None,
    old: Annotated[Optional[str], typer.Option("--diff", metavar="OLD", help=_DIFF_HELP, show_default=False)] = None,
    output: Annotated[
        Optional[str], typer.Option("--output", "-o", metavar="FILE", help=_OUTPUT_HELP, show_default=False)
    ] = None,
    format: Annotated[Optional[Format], typer.Option("--format", help=_FORMAT_HELP, show_default=False)] = None,
) -> None:
    """Draw the hosts of a definition: NICs, bonds, bridges, VLANs, guests and networks.

    Hosts of a group that differ only in addresses and guests share a picture. With --diff, changes are marked.
    """
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.graph.document import make_document

    if output is None:
        raise Usage("graph needs a file to write to", "name it with -o, as in: kvmnet graph -o cluster.html")
    chosen = format or _format_of(output)
    console = Console(output == "-")
    new_side, old_side = _read(path, old, host)
    console.show_progress("drawing")
    document = make_document(new_side, old_side, host)
    console.show_progress(None)
    if chosen is Format.html:
        from kvmnet.core.graph.html_page import format_html

        text = format_html(document)
    elif chosen is Format.mermaid:
        from kvmnet.core.graph.mermaid import format_mermaid

        text = format_mermaid(document)
    else:
        from kvmnet.core.graph.svg import format_svg

        text = format_svg(document)
    if output == "-":
        write_stdout(text)
        return
    _write(Path(output), text)
    console.print_line(f"{output} written: {' '.join(document.summary)}")


def _format_of(output: str) -> Format:
    """Return the format that the name of a file stands for. Raises Usage if it stands for none."""
    from kvmnet.core.base.errors import Usage

    chosen = Format.svg if output == "-" else _ENDINGS.get(Path(output).suffix.lower())
    if chosen is None:
        raise Usage(f"{output} has no ending that selects a format", "use .svg, .html or .mmd, or give --format")
    return chosen


def _read(path: Optional[str], old: Optional[str], host: Optional[str]) -> "tuple[Side, Optional[Side]]":
    """Return the definition and the one that it is compared with. Raises KvmnetError, or Usage for an unknown host."""
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.base.problem import did_you_mean
    from kvmnet.core.graph.document import Side
    from kvmnet.review_input import read_path, version_of

    with Progress() as progress:
        if old is not None:
            sides: tuple[Optional[ReviewSide], ReviewSide] = read_sides(old, path, None, progress)
        else:
            sides = (None, read_path(path, progress.follow))
    require_valid(*sides)
    old_side, new_side = (
        Side(_render(version_of(side)), side.definition.cluster if side.definition is not None else None)
        if side is not None
        else None
        for side in sides
    )
    assert new_side is not None
    known = [*new_side.version.bundles, *(old_side.version.bundles if old_side is not None else ())]
    if host is not None and host not in known:
        raise Usage(f"the definition has no host {host!r}", did_you_mean(host, known))
    return new_side, old_side


def _render(version: "Version") -> "Version":
    """Return the version with all its bundles rendered: a picture needs each several times."""
    return replace(version, bundles=dict(version.bundles))


def _write(path: Path, text: str) -> None:
    """Write a file. Raises KvmnetError if that fails."""
    from kvmnet.core.base.errors import KvmnetError

    try:
        path.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise KvmnetError(f"{path} cannot be written: {error.strerror}") from None
