"""What `plan` and `apply` share: from PATH to the bundle of this very host, and how a refusal is told."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from kvmnet.core.base.errors import KvmnetError, Refused, Usage
from kvmnet.core.base.problem import REPORTERS
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.system import state_folder

if TYPE_CHECKING:
    from kvmnet.core.reporting.saved_plan import SavedPlan

PROBLEMS, DIFFERENT = 1, 6


class Console:
    """Where the words go: events as JSON lines, or plain lines (a spinner on a terminal while one waits)."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.live = not as_json and sys.stdout.isatty()
        self._status: Any = None

    def line(self, text: str) -> None:
        """A line for a person. A name or an alias in it may be bytes that are no text (surrogates)."""
        if not self.as_json:
            print(text.encode(errors="backslashreplace").decode(), flush=True)

    def event(self, event: str, **fields: Any) -> None:
        """A line for a machine."""
        if self.as_json:
            print(json.dumps({"event": event, **fields}), flush=True)

    def waiting(self, text: Optional[str]) -> None:
        """Say what goes on until the next call; None ends it. Only on a terminal."""
        if not self.live:
            return
        if self._status is None:
            from rich.console import Console as RichConsole

            self._status = RichConsole().status(text or "")
            self._status.start()
        if text is None:
            self._status.stop()
            self._status = None
        else:
            self._status.update(text)


@contextmanager
def told(console: Console) -> Iterator[None]:
    """Let a machine know of a failure too; the words for a person come from the program's one boundary."""
    try:
        yield
    except KvmnetError as error:
        console.waiting(None)
        more = [{"code": e.code, "reason": e.message, "hint": e.hint} for e in getattr(error, "more", ())]
        fields = {"code": error.code, "reason": error.message, "hint": error.hint, "more": more}
        console.event("failed", **fields, **getattr(error, "data", {}), exit=error.exit_code)
        raise


BUNDLE_HELP = "A committed bundle instead of a definition: the folder of this host that `render` wrote."
_ALLOW_HELP = "Go on in spite of this refusal (once for each; `kvmnet explain CODE` says whether it can be)."
AllowOption = Annotated[Optional[list[str]], typer.Option("--allow", metavar="CODE", help=_ALLOW_HELP)]
_LOSE_HELP = "Go on although this running guest loses its network for good (once for each guest)."
LoseOption = Annotated[Optional[list[str]], typer.Option("--allow-guest-loss", metavar="GUEST", help=_LOSE_HELP)]
_CONFIRM_HELP = (
    "Undo it unless `kvmnet confirm` comes within S seconds, from a connection opened after the change. "
    "Default: 120 when your SSH connection comes in by what changes, else not asked for."
)
ConfirmOption = Annotated[
    Optional[int], typer.Option("--confirm-within", metavar="S", min=10, max=3600, help=_CONFIRM_HELP)
]
NoConfirmOption = Annotated[bool, typer.Option("--no-confirm", help="Do not ask for `kvmnet confirm`.")]
HOST_HELP = "The host this machine is, if its MACs leave a doubt."


def bundle_of_this_host(console: Console, path: Optional[str], host: Optional[str], folder: Optional[str]) -> Bundle:
    """The bundle of the host that this machine is, by its NICs' MACs: of the definition at `path`, checked
    whole, or the committed one in `folder`.

    Ends with exit code 1 when the definition has problems; raises NotThisHost when it is not about this
    machine, Usage when both are given, KvmnetError when the folder is no bundle.
    """
    if folder is not None and path is not None:
        raise Usage("a definition and a bundle were given", "give PATH or --bundle, not both")
    bundles = [_read(folder)] if folder is not None else _render(console, path)
    return this_machines(bundles, host)


def this_machines(bundles: list[Bundle], host: Optional[str]) -> Bundle:
    """The one of these bundles that is about this machine. Raises NotThisHost, and Refused when it cannot be read."""
    from kvmnet.core.live.match_host import find_host
    from kvmnet.host.read_live import hostname, read_links, read_note
    from kvmnet.transaction.prepare import told_or_refused

    with told_or_refused():
        macs = {link.mac: link.name for link in read_links().values() if link.mac}
    return find_host(bundles, macs, hostname(), host, read_note(state_path()).first_names)


def read_plan(file: str) -> SavedPlan:
    """The plan that `plan -o` wrote; raises KvmnetError when the file is none, or was changed."""
    from kvmnet.core.rendering.bundle_files import BundleError
    from kvmnet.core.reporting.saved_plan import PlanFileError, from_text
    from kvmnet.definition_files import CannotRead, read_file
    from kvmnet.pipeline import load_schema

    try:
        return from_text(read_file(Path(file)).decode("utf-8"), load_schema("state"))
    except (PlanFileError, BundleError, CannotRead, OSError, UnicodeDecodeError) as error:
        raise KvmnetError(f"{file} is not a plan that can be applied: {error}") from error


def _read(folder: str) -> Bundle:
    from kvmnet.core.rendering.bundle_files import BundleError
    from kvmnet.definition_files import CannotRead
    from kvmnet.pipeline import read_bundle_folder

    try:
        return read_bundle_folder(Path(folder))
    except (BundleError, CannotRead, OSError) as error:
        raise KvmnetError(f"{folder} is not a bundle that can be applied: {error}") from error


def _render(console: Console, path: Optional[str]) -> list[Bundle]:
    from kvmnet.pipeline import load

    console.waiting("reading the definition")
    definition = load(path)
    console.waiting(None)
    if definition.problems:
        reporter = REPORTERS["json" if console.as_json else "text"]
        print(reporter(definition.problems, definition.sources), end="", file=sys.stderr)
    if not definition.ok:
        console.event("problems", exit=PROBLEMS, count=len(definition.problems))
        raise typer.Exit(PROBLEMS)
    return definition.bundles()


def need_root(what: str) -> None:
    """Raises Refused for anybody else; `what` is what only root can do."""
    if os.geteuid() != 0:
        raise Refused(f"only root can {what}", "run it with sudo", "KVN500")


def allowed_codes(allow: Optional[list[str]]) -> frozenset[str]:
    """The codes of --allow; raises Usage for one that is none or that nothing overrides."""
    if not allow:
        return frozenset()
    from kvmnet.core.refusals import allowed

    return allowed(allow)


def confirm_seconds(confirm_within: Optional[int], no_confirm: bool) -> Optional[int]:
    """For how long a word from outside is waited for (0: not at all; None: nothing was said); raises Usage for both."""
    if no_confirm and confirm_within is not None:
        raise Usage("--confirm-within and --no-confirm were given", "give one of them")
    return 0 if no_confirm else confirm_within


def state_path() -> Path:
    """Where kvmnet keeps what it knows of this host."""
    return Path(state_folder.STATE_FOLDER)
