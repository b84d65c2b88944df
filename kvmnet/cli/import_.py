"""`kvmnet import`: make a definition of another tool's files."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import count_text, write_stderr, write_stdout
from kvmnet.cli.help import DEFINITION, examples
from kvmnet.core.base.errors import Usage

if TYPE_CHECKING:
    from kvmnet.core.definition.document import Source
    from kvmnet.importers import ImportResult, ReportItem

_FILES_HELP = "Files to import, in order: later ones know better. - reads standard input."
_OUTPUT_HELP = "Write the definition to this file, which must not exist yet, instead of standard output."
_VERBOSE_HELP = "List also what is not about the network, line by line."
_JSON_HELP = "Print the report on standard error as one JSON document."

FoldersArgument = Annotated[
    list[Path], typer.Argument(metavar="FOLDER…", help="Folders with the files of one host.", show_default=False)
]
FilesArgument = Annotated[list[str], typer.Argument(metavar="FILE…", help=_FILES_HELP, show_default=False)]
OutputOption = Annotated[
    Optional[Path], typer.Option("--output", "-o", metavar="FILE", help=_OUTPUT_HELP, show_default=False)
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help=_VERBOSE_HELP)]
JsonReportOption = Annotated[bool, typer.Option("--json", help=_JSON_HELP)]


def register(app: typer.Typer) -> None:
    """Add the command with one subcommand for each importer."""
    group = typer.Typer(
        name="import",
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Make a definition of another tool's files, and report everything that it could not take over.",
    )
    group.callback()(_group)
    end = examples(
        "kvmnet import rocks dump.txt -o cluster.yaml", "rocks list host interface | kvmnet import rocks - networks.txt"
    )
    group.command("rocks", epilog=end)(import_rocks)
    end = examples("nmstatectl show > kvm1.yml", "kvmnet import nmstate kvm1.yml kvm2.yml -o cluster.yaml")
    group.command("nmstate", epilog=end)(import_nmstate)
    end = examples("kvmnet import ifcfg /etc/sysconfig/network-scripts -o cluster.yaml")
    group.command("ifcfg", epilog=end)(import_ifcfg)
    end = examples("kvmnet import keyfiles /etc/NetworkManager/system-connections -o cluster.yaml")
    group.command("keyfiles", epilog=end)(import_keyfiles)
    app.add_typer(group, rich_help_panel=DEFINITION)


def _group() -> None:
    pass


def import_rocks(
    files: FilesArgument,
    output: OutputOption = None,
    verbose: VerboseOption = False,
    as_json: JsonReportOption = False,
) -> None:
    """Import a cluster from the output of `rocks dump` or `rocks list`.

    Reads `rocks dump`, the tables of `rocks list` (host interface, network, host, host route, host vm, cluster) of
    Rocks 4.3 to 7, and the JSON of Rocks 7: one file or several, also a paste with prompts and prose in it.

    The exit code is 1 if a setting of the network is not in the definition.
    """
    _run("rocks", files, output, verbose, as_json)


def import_nmstate(
    files: FilesArgument,
    output: OutputOption = None,
    verbose: VerboseOption = False,
    as_json: JsonReportOption = False,
) -> None:
    """Import hosts from nmstate: one host for each file.

    A file is the output of `nmstatectl show` (YAML or JSON), a state that was written by hand, or a
    NodeNetworkConfigurationPolicy. The names of networks are chosen by kvmnet.

    The exit code is 1 if a setting of the network is not in the definition.
    """
    _run("nmstate", files, output, verbose, as_json)


def import_ifcfg(
    folders: FoldersArgument,
    output: OutputOption = None,
    verbose: VerboseOption = False,
    as_json: JsonReportOption = False,
) -> None:
    """Import a host from its ifcfg files.

    A folder has the files of one host: ifcfg-*, route-*, rule-*, static-routes and network, as the initscripts,
    NetworkManager (EL 7 to EL 9) or Rocks wrote them. Give /etc/sysconfig too if it has the files static-routes and
    network. The names of networks are chosen by kvmnet.

    The exit code is 1 if a setting of the network is not in the definition.
    """
    patterns = ("ifcfg-", "route", "rule", "static-routes", "network")
    files = [str(path) for folder in folders for path in _list_files(folder) if path.name.startswith(patterns)]
    _run("ifcfg", files, output, verbose, as_json)


def import_keyfiles(
    folders: FoldersArgument,
    output: OutputOption = None,
    verbose: VerboseOption = False,
    as_json: JsonReportOption = False,
) -> None:
    """Import a host from the connection profiles of NetworkManager.

    A folder has the keyfiles of one host, such as /etc/NetworkManager/system-connections, which only root can read. If
    an interface has several profiles, that with the highest autoconnect-priority is imported. The names of networks are
    chosen by kvmnet.

    The exit code is 1 if a setting of the network is not in the definition.
    """
    _run("keyfiles", [str(path) for folder in folders for path in _list_files(folder)], output, verbose, as_json)


def _list_files(folder: Path) -> list[Path]:
    """Return the files of a folder, sorted by name. Raises Usage when it cannot be read or has none."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise Usage(f"{folder} cannot be read: {error.strerror}") from None
    if not paths:
        raise Usage(f"{folder} contains no file", "name the folder with the files of a host")
    return paths


def _run(name: str, files: list[str], output: Optional[Path], verbose: bool, as_json: bool) -> None:
    from kvmnet.importers import IMPORTERS

    if output is not None and output.exists():
        raise Usage(f"{output} exists already", "choose another file, or delete it")
    result = IMPORTERS.find(name).read([_read_file(file) for file in files])
    if result.definition and output is not None:
        output.write_text(result.definition, encoding="utf-8")
    elif result.definition:
        write_stdout(result.definition)
    problems = _find_problems(result)
    write_stderr(_format_json(result, problems) if as_json else _format_text(result, problems, verbose))
    if problems or not result.is_complete:
        raise typer.Exit(exit_codes.PROBLEMS)


def _read_file(name: str) -> "Source":
    """Return a file, or standard input for "-". Raises Usage when it cannot be read."""
    from kvmnet.core.definition.document import Source

    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Usage(f"{name} cannot be read: {error.strerror}") from None
    return Source("standard input" if name == "-" else name, data.decode("utf-8-sig", "replace"))


def _find_problems(result: "ImportResult") -> list[str]:
    """Return why the definition is not valid, as text; empty when it is."""
    from kvmnet import pipeline
    from kvmnet.core.definition.document import Source

    if not result.definition:
        return []
    definition = pipeline.check([Source("the definition", result.definition)])
    return [f"{p.code} {p.message}" for p in definition.problems if p.is_error]


def _format_text(result: "ImportResult", problems: list[str], verbose: bool) -> str:
    from kvmnet.core.base.problem import ERROR, printable
    from kvmnet.importers import NOTE, SKIPPED

    def format_item(item: "ReportItem") -> str:
        place = f"{item.file}:{item.line}" if item.line else item.file
        severity = "" if item.severity == ERROR else f"{item.severity}: "
        return printable(f"{place}: {severity}{item.message}") + "\n"

    shown = [item for item in result.report if verbose or item.severity != SKIPPED]
    counts = {severity: sum(item.severity == severity for item in result.report) for severity in (ERROR, NOTE, SKIPPED)}
    parts = [
        f"{count_text(counts[ERROR], 'network setting')} not in the definition" if counts[ERROR] else "",
        count_text(counts[NOTE], "note") if counts[NOTE] else "",
        f"{count_text(counts[SKIPPED], 'line')} not about the network" + ("" if verbose else " (-v lists them)")
        if counts[SKIPPED]
        else "",
    ]
    summary = ", ".join(part for part in parts if part) or "everything is in the definition"
    lines = [f"the definition is not valid: {printable(problem)}\n" for problem in problems]
    return "".join([*map(format_item, shown), *lines, f"{summary}\n"])


def _format_json(result: "ImportResult", problems: list[str]) -> str:
    from dataclasses import asdict

    document = {"report": [asdict(item) for item in result.report], "problems": problems}
    return json.dumps(document, indent=2) + "\n"
