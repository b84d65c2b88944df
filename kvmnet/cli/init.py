"""`kvmnet init`: a definition to start from: an example, or one of this host."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import write_stderr, write_stdout
from kvmnet.cli.help import DEFINITION, examples
from kvmnet.core.base.errors import Usage

if TYPE_CHECKING:
    from kvmnet.core.live.live_host import Live
    from kvmnet.from_host.result import HostDefinition


class Naming(str, Enum):
    """The naming policies that a definition of this host can have."""

    plain = "plain"
    rocks = "rocks"


_FOLDER_HELP = "Folder to write into; it is made if it does not exist. Default: the current folder."
_FROM_HOST_HELP = "Describe this host as it is, instead of an example. Needs root. Nothing of the host is changed."
_NAMING_HELP = (
    "plain: the definition changes nothing on the host. rocks: it leads to eth0 as a bridge over peth0. Default: plain."
)
_APPEND_HELP = (
    "Add this host to the definition in FILE, with its networks; its comments are kept. Only with --from-host."
)
FolderArgument = Annotated[Optional[Path], typer.Argument(metavar="DIR", help=_FOLDER_HELP, show_default=False)]
NamingOption = Annotated[Optional[Naming], typer.Option("--naming", help=_NAMING_HELP, show_default=False)]
AppendOption = Annotated[
    Optional[Path], typer.Option("--append", metavar="FILE", help=_APPEND_HELP, show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples(
        "kvmnet init network",
        "sudo kvmnet init --from-host network",
        "sudo kvmnet init --from-host --append cluster.yaml",
    )
    app.command("init", rich_help_panel=DEFINITION, epilog=end)(init)


def init(
    folder: FolderArgument = None,
    from_host: Annotated[bool, typer.Option("--from-host", help=_FROM_HOST_HELP)] = False,
    naming: NamingOption = None,
    append: AppendOption = None,
) -> None:
    """Write a commented definition to start from, its rendered states, and checks for Git.

    With --from-host, the definition describes this host as it is: its interfaces, addresses, routes and guests. What
    it does not contain is reported on standard error; the exit code is then 1.

    No file that exists is changed, except FILE of --append: if one of them exists, nothing is written.
    """
    if not from_host and (naming is not None or append is not None):
        raise Usage("--naming and --append need --from-host")
    if append is not None and folder is not None:
        raise Usage("--append and a folder cannot be used together", "give DIR or --append FILE")
    if not from_host:
        _write_folder(folder or Path(), None)
        return
    policy = (naming or Naming.plain).value
    if append is None:
        _refuse_existing_files(folder or Path())
    described = _describe_this_host(policy, append)
    if append is None:
        _write_folder(folder or Path(), described.text)
    else:
        _write_over(append, described.text)
    write_stderr(described.report)
    if not described.is_complete:
        raise typer.Exit(exit_codes.PROBLEMS)


def _describe_this_host(policy: str, append: Optional[Path]) -> "HostDefinition":
    """Return the definition of this host, or the one in the file `append` with this host. Raises Refused or Usage."""
    from kvmnet.core.definition.document import Source
    from kvmnet.from_host.result import define_host
    from kvmnet.host.read_guests import read_running

    live = _read_live()
    source = Source(str(append), _read(append)) if append is not None else None
    return define_host(live, read_running(live.links), policy, source)


def _read_live() -> "Live":
    from kvmnet.applied_record import read_host
    from kvmnet.cli.this_host import require_root, state_path
    from kvmnet.host.connection_profiles import read_manager_state
    from kvmnet.host.networkmanager_dbus import NetworkManager
    from kvmnet.host.nmstate import find_backend
    from kvmnet.transaction.prepare import refuse_unreadable_host

    require_root("read connection profiles and guests")
    with refuse_unreadable_host(), NetworkManager() as manager:
        manager.version()
        return read_host(find_backend(), manager, state_path(), read_manager_state())


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Usage(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Usage(f"{file} is not UTF-8 text") from None


def _write_over(file: Path, text: str) -> None:
    from kvmnet.core.base.errors import KvmnetError
    from kvmnet.system import files

    try:
        status = file.stat()
        files.write_file(str(file.resolve()), text.encode(), status.st_mode & 0o7777, (status.st_uid, status.st_gid))
    except OSError as error:
        raise KvmnetError(f"{file} cannot be written: {error.strerror}") from None
    write_stdout(f"changed: {file}\nnext: kvmnet validate {file}\n")


def _refuse_existing_files(folder: Path) -> dict[str, str]:
    """Return the files of a new folder, text by name. Raises Usage if one of them exists."""
    from kvmnet import resources

    texts = resources.read_starter()
    existing = [name for name in (*texts, "states") if (folder / name).exists()]
    if existing:
        raise Usage(f"{folder / existing[0]} exists already", "choose an empty folder")
    return texts


def _write_folder(folder: Path, definition_text: Optional[str]) -> None:
    """Write the files of a new folder; None: with the example as definition."""
    from kvmnet import bundle_folders, pipeline
    from kvmnet.core.base.errors import KvmnetError
    from kvmnet.core.definition.document import Source
    from kvmnet.exporters import bundle_folder

    texts = _refuse_existing_files(folder)
    if definition_text is not None:
        texts["cluster.yaml"] = definition_text
    definition = pipeline.check([Source("cluster.yaml", texts["cluster.yaml"])])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise KvmnetError(f"{error.filename} cannot be written: {error.strerror}") from None
    names = list(texts)
    if definition.ok:
        bundle_folders.write(folder / "states", bundle_folder.EXPORTER.export(definition.bundles()), True)
        names.append("states")
    write_stdout("".join(f"new: {folder / name}\n" for name in names))
    step = "edit cluster.yaml, then run kvmnet validate and kvmnet render -o states"
    write_stdout(f"next: {step}\n" if definition_text is None else "next: kvmnet validate, then kvmnet plan\n")
