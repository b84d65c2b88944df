"""`kvmnet remote`: plan, apply and confirm a change of another host over ssh."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import Console, print_text, report_failures
from kvmnet.cli.help import FLEET, examples
from kvmnet.cli.options import (
    DEFAULT_TIMEOUT,
    AdoptOption,
    AllowOption,
    BundleOption,
    ConfirmOption,
    GuestLossOption,
    JsonEventsOption,
    NoConfirmOption,
    TimeoutOption,
    YesOption,
    read_allowed_codes,
    read_confirm_seconds,
)
from kvmnet.core.base.errors import KvmnetError, Usage
from kvmnet.core.base.problem import did_you_mean

if TYPE_CHECKING:
    from kvmnet.core.rendering.bundle import Bundle
    from kvmnet.remote.command_lines import Target
    from kvmnet.remote.remote_change import Outcome, RemoteChange

ACTIONS = ("plan", "apply", "status", "rollback", "remove")
NOT_REACHED, UNKNOWN_END = "KVN580", "KVN581"

_HOST_HELP = "The host as for ssh, optionally with USER@."
_WORDS_HELP = f"The definition (default: cluster.yaml or cluster.d in this folder), then one of: {', '.join(ACTIONS)}."
_NAME_HELP = "Name of the host in the definition. Default: HOST."
_ADDRESS_HELP = "The current address of the host, if ssh does not find it by the name."
_NEW_ADDRESS_HELP = "Another address to try after the change, in addition to those of the definition. May be repeated."
_SSH_HELP = "An option of ssh(1), NAME=VALUE. May be repeated. Connections are never shared (ControlMaster)."
_BECOME_HELP = "The command by which the user becomes root on the host, such as sudo. It must not ask for a password."
_PROGRAM_HELP = "The program kvmnet on the host."
_BRING_HELP = "Copy this kvmnet to the host for the duration of the change, instead of using an installed one."
_FOLDER_HELP = "Folder of the host for the bundle during the change. Only root may be able to write there."
_EXIT_HELP = "With plan and status: exit with code 6 if there are changes or drift."


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples(
        "kvmnet remote hv1 plan",
        "kvmnet remote hv1 cluster.yaml apply",
        "kvmnet remote admin@hv1 --become sudo --ssh-option ProxyJump=gate apply",
    )
    app.command("remote", rich_help_panel=FLEET, epilog=end)(remote)


@dataclass(frozen=True)
class _Wish:
    """What the user wants of the host: the action, its options for kvmnet there, and how to show it."""

    action: str
    options: tuple[str, ...]
    brought: bool
    yes: bool
    wait: float
    new_addresses: tuple[str, ...]


def remote(
    host: Annotated[str, typer.Argument(metavar="HOST", help=_HOST_HELP, show_default=False)],
    words: Annotated[list[str], typer.Argument(metavar="[PATH] ACTION", help=_WORDS_HELP, show_default=False)],
    bundle_folder: BundleOption = None,
    name: Annotated[Optional[str], typer.Option("--host", metavar="NAME", help=_NAME_HELP)] = None,
    address: Annotated[Optional[str], typer.Option("--address", metavar="ADDRESS", help=_ADDRESS_HELP)] = None,
    new_address: Annotated[
        Optional[list[str]], typer.Option("--new-address", metavar="ADDRESS", help=_NEW_ADDRESS_HELP)
    ] = None,
    ssh_option: Annotated[
        Optional[list[str]], typer.Option("--ssh-option", metavar="NAME=VALUE", help=_SSH_HELP)
    ] = None,
    become: Annotated[Optional[str], typer.Option("--become", metavar="COMMAND", help=_BECOME_HELP)] = None,
    program: Annotated[str, typer.Option("--program", metavar="FILE", help=_PROGRAM_HELP)] = "kvmnet",
    bring: Annotated[bool, typer.Option("--bring", help=_BRING_HELP)] = False,
    folder: Annotated[str, typer.Option("--folder", metavar="DIR", help=_FOLDER_HELP)] = "/run",
    yes: YesOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    confirm_within: ConfirmOption = None,
    no_confirm: NoConfirmOption = False,
    adopt: AdoptOption = False,
    allow: AllowOption = None,
    allow_guest_loss: GuestLossOption = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help=_EXIT_HELP)] = False,
    as_json: JsonEventsOption = False,
) -> None:
    """Plan, apply or roll back a change of another host over ssh, or show its status.

    The definition is rendered here; the host gets its bundle. A change runs on the host as with `kvmnet apply`, and is
    confirmed over a new connection that is opened after it, at the new address if the address changes.
    """
    from kvmnet.remote.command_lines import Target, parse_become, parse_options
    from kvmnet.remote.connection import complete_target
    from kvmnet.remote.remote_change import seconds_to_look

    action, path = _parse_words(words)
    confirm = read_confirm_seconds(confirm_within, no_confirm)
    options = _action_options(action, confirm, timeout, adopt, allow, allow_guest_loss, exit_code)
    wait = seconds_to_look(confirm, timeout)
    wish = _Wish(action, tuple(options), bring, yes, wait, tuple(new_address or ()))
    console = Console(as_json)
    with report_failures(console):
        target = Target(
            host, address, "", parse_options(ssh_option or []), parse_become(become), (program,), folder.rstrip("/")
        )
        needs_bundle = action in ("plan", "apply")
        if not needs_bundle and (path or bundle_folder):
            raise Usage(f"{action} needs no definition", f"kvmnet remote {host} {action}")
        bundle = _choose_bundle(console, path, bundle_folder, host, name) if needs_bundle else None
        code = _run(console, complete_target(target), wish, bundle)
    raise typer.Exit(code)


def _parse_words(words: list[str]) -> tuple[str, Optional[str]]:
    """Return the action and the path of the definition. Raises Usage."""
    action, path = words[-1], words[0] if len(words) == 2 else None
    if action not in ACTIONS:
        hint = did_you_mean(action, ACTIONS) or f"the last word is one of: {', '.join(ACTIONS)}"
        raise Usage(f"{action!r} is no action", hint)
    if len(words) > 2:
        raise Usage("more than one definition", "kvmnet remote HOST [PATH] ACTION")
    return action, path


def _action_options(
    action: str,
    confirm: Optional[int],
    timeout: int,
    adopt: bool,
    allow: Optional[list[str]],
    allow_guest_loss: Optional[list[str]],
    exit_code: bool,
) -> list[str]:
    """Return the options for kvmnet on the host. Raises Usage for a code that cannot be overridden."""
    read_allowed_codes(allow)
    shared = [word for code in allow or () for word in ("--allow", code)]
    shared += [word for guest in allow_guest_loss or () for word in ("--allow-guest-loss", guest)]
    options = [*shared] if action != "status" else []
    if action in ("plan", "apply") and adopt:
        options.append("--adopt")
    if action in ("apply", "rollback", "remove"):
        options += ["--no-confirm"] if confirm == 0 else ["--confirm-within", str(confirm)] if confirm else []
    if action in ("apply", "rollback") and timeout != DEFAULT_TIMEOUT:
        options += ["--timeout", str(timeout)]
    return [*options, "--exit-code"] if exit_code and action in ("plan", "status") else options


def _choose_bundle(
    console: Console, path: Optional[str], folder: Optional[str], host: str, name: Optional[str]
) -> "Bundle":
    """Return the host's bundle: rendered from the definition, or read from `folder`. Raises Usage, KvmnetError."""
    from kvmnet.cli.definition import load_definition
    from kvmnet.cli.this_host import read_bundle_of

    if folder is not None:
        if path is not None:
            raise Usage("a definition and a bundle cannot be used together", "give PATH or --bundle")
        return read_bundle_of(folder)
    console.show_progress("reading the definition")
    definition = load_definition(path)
    console.show_progress(None)
    wanted = name or host.rpartition("@")[2]
    short = [known for known in definition.hosts if known.partition(".")[0] == wanted.partition(".")[0]]
    chosen = wanted if wanted in definition.hosts else short[0] if len(short) == 1 and name is None else None
    if chosen is None:
        hint = did_you_mean(wanted, definition.hosts) or "give its name in the definition with --host"
        raise Usage(f"the definition has no host {wanted!r}", hint)
    return definition.bundle(chosen)


def _run(console: Console, target: "Target", wish: _Wish, bundle: "Optional[Bundle]") -> int:
    """Do what is wished and return the exit code. Raises KvmnetError when the host is not reached."""
    from kvmnet.core.rendering.bundle_addresses import list_places
    from kvmnet.remote import archive, remote_change

    files = archive.bundle_files(_bundle_texts(bundle)) if bundle else {}
    packed = archive.pack({**files, **(archive.program_files() if wish.brought else {})})
    if wish.action in ("plan", "status"):
        return _show(console, target, wish, packed)
    places = [*(list_places(bundle) if bundle else ()), *wish.new_addresses]
    change = remote_change.RemoteChange(
        remote_change.with_program(target, wish.brought), places, _Printer(console).print_event, wish.wait
    )
    if not console.as_json and wish.action == "apply":
        code = _show(console, target, wish, packed)
        if code != exit_codes.DIFFERENT:
            return code
    if console.is_terminal and not wish.yes and not typer.confirm(f"{wish.action.capitalize()}?"):
        return exit_codes.PROBLEMS
    outcome = _start(change, target, wish, packed, bool(bundle))
    if wish.brought:
        change.clean_up(outcome.address)
    return _report(console, target, outcome)


def _start(change: "RemoteChange", target: "Target", wish: _Wish, packed: bytes, has_bundle: bool) -> "Outcome":
    """Start the change on the host and return how it has ended."""
    from kvmnet.remote import command_lines, connection

    words = [wish.action, "--yes", "--json", *wish.options]
    if has_bundle:
        return change.start(command_lines.with_bundle(target, words, keep=wish.brought, brought=wish.brought), packed)
    if wish.brought:
        answer = connection.run(target, command_lines.send_only(target), packed)
        change.folder = next((str(event["path"]) for event in answer.events), "")
        _require_reached(target, answer.code if not change.folder else 0)
        return change.start([*command_lines.brought_program(change.folder), *words])
    return change.start([*target.program, *words])


def _show(console: Console, target: "Target", wish: _Wish, packed: bytes) -> int:
    """Print the plan or the status of the host. Return its exit code."""
    from kvmnet.remote import command_lines, connection

    is_apply = wish.action == "apply"
    words = ["plan" if is_apply else wish.action, *(["--json"] if console.as_json else []), *_plan_options(wish)]
    if wish.action == "status":
        if wish.brought:
            raise Usage("status cannot be used with --bring", "use the kvmnet of the host, or `plan --bring`")
        answer = connection.run(target, [*target.program, *words])
    else:
        command = command_lines.with_bundle(target, words, keep=False, brought=wish.brought)
        answer = connection.run(target, command, packed)
    print_text(answer.text.rstrip("\n"))
    _require_reached(target, answer.code)
    return answer.code


def _plan_options(wish: _Wish) -> list[str]:
    """Return the options of `kvmnet plan` or `status`; those of an apply that a plan does not have are left out."""
    if wish.action != "apply":
        return list(wish.options)
    left_out = {"--confirm-within": 2, "--timeout": 2, "--no-confirm": 1}
    options, kept = list(wish.options), []
    while options:
        count = left_out.get(options[0], 0)
        if not count:
            kept.append(options[0])
        options = options[count or 1 :]
    return [*kept, "--exit-code"]


def _bundle_texts(bundle: "Bundle") -> dict[str, str]:
    from kvmnet.exporters import bundle_folder

    return {path: file.text for path, file in bundle_folder.EXPORTER.export([bundle]).items()}


def _require_reached(target: "Target", code: int) -> None:
    """Raise KvmnetError for exit codes that are not kvmnet's: those of ssh, and of a shell that finds no program."""
    if code == 255:
        raise KvmnetError(f"{target.destination} cannot be reached over ssh", "see ssh's message above", NOT_REACHED)
    if code in (126, 127):
        hint = "install kvmnet there, name it with --program, or use --bring"
        raise KvmnetError(f"{target.destination} cannot run kvmnet", hint, NOT_REACHED)


def _report(console: Console, target: "Target", outcome: "Outcome") -> int:
    """Print how the change has ended. Return the exit code."""
    where = f" at {outcome.address}" if outcome.address else ""
    if outcome.transaction is None:
        _require_reached(target, outcome.exit)
    facts = {"host": target.destination, "transaction": outcome.transaction, "address": outcome.address}
    if outcome.message:
        hint = f"a change that is not confirmed in time is rolled back: run `kvmnet remote {target.destination} status`"
        raise _Ended(outcome.message, hint, outcome.exit)
    console.print_event("result", exit=outcome.exit, **facts)
    if outcome.exit == exit_codes.DONE and outcome.transaction:
        console.print_line(f"{target.destination} accepts new connections{where}; transaction {outcome.transaction}")
    return outcome.exit


class _Ended(KvmnetError):
    """A change whose end is not known, or that was interrupted."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint, UNKNOWN_END)
        self.exit_code = exit_code


class _Printer:
    """Prints the events of the host as `kvmnet apply` does. The result is printed at the end, once."""

    def __init__(self, console: Console) -> None:
        from kvmnet.cli.follow_transaction import EventPrinter

        self.console, self.printer = console, EventPrinter(console)

    def print_event(self, event: dict[str, Any]) -> None:
        """Print one event."""
        from kvmnet.core.reporting.report import format_outcome

        kind = event.get("event")
        if kind == "result":
            if not self.console.as_json and "outcome" not in event:
                self.printer.print_line(format_outcome(event["exit"], event.get("away"), None))
        elif kind in ("plan", "commands", "problems") or "exit" in event:
            self.console.print_event(**event)
        elif kind == "do" and event.get("op") == "confirm" and not self.console.as_json:
            self.printer.print_line("     confirming over a new connection")
        else:
            self.printer.print_event(event)
