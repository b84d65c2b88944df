"""`kvmnet confirm`: confirm a change over a connection that was opened after it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli.console import Console, report_failures
from kvmnet.cli.follow_transaction import follow_to_end
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.options import JsonEventsOption
from kvmnet.cli.this_host import require_root, state_path
from kvmnet.core.base.errors import Refused

if TYPE_CHECKING:
    from kvmnet.host.operator_connection import SshConnection

NOT_WAITING, CANNOT_CONFIRM = "KVN560", "KVN561"

_CONSOLE_HELP = "Confirm from the host's console instead of over SSH."
_TRANSACTION_HELP = "Confirm only the transaction with this ID, as `kvmnet apply --json` prints it."
_NEW_CONNECTION = "confirm over a new SSH connection: ssh -S none HOST kvmnet confirm"
"""`-S none` opens a connection of its own where ssh shares one (ControlMaster)."""
_NOT_AFFECTED = "which the change does not affect, so it cannot confirm the change"


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("ssh -S none HOST kvmnet confirm", "kvmnet confirm --at-the-console")
    app.command("confirm", rich_help_panel=HOST, epilog=end)(confirm)


def confirm(
    at_the_console: Annotated[bool, typer.Option("--at-the-console", help=_CONSOLE_HELP)] = False,
    transaction: Annotated[Optional[str], typer.Option("--transaction", metavar="ID", help=_TRANSACTION_HELP)] = None,
    as_json: JsonEventsOption = False,
) -> None:
    """Confirm the open change over a new SSH connection.

    A new connection shows that the host is reachable. It must be opened after the change, from another host, to an
    address of an interface that the change affects. A change that is not confirmed in time is rolled back.
    """
    from kvmnet.system import files
    from kvmnet.transaction.safeguards import not_written

    console = Console(as_json)
    with report_failures(console):
        require_root("confirm a change")
        state_dir = state_path()
        folder = state_dir / "open"
        # first: this process may be suspended until another change waits, which it must not confirm
        identity = str(files.read_json(folder / "transaction.json").get("id", ""))
        if transaction not in (None, identity):
            message = f"the change that is waiting for confirmation is {identity}, not {transaction}"
            raise Refused(message, "`kvmnet history` shows how changes ended", NOT_WAITING)
        confirmation = {"id": identity, "by": _find_confirmer(state_dir, at_the_console)}
        try:
            (folder / ".confirmed").write_text(json.dumps(confirmation), encoding="utf-8")
            (folder / ".confirmed").rename(folder / "confirmed.json")
        except FileNotFoundError as error:
            hint = "`kvmnet history` shows how it ended"
            raise Refused("the change is no longer waiting for confirmation", hint, NOT_WAITING) from error
        except OSError as error:
            raise not_written(folder, error) from error
    raise typer.Exit(follow_to_end(console, state_dir, identity, cancel_on_interrupt=False))


def _find_confirmer(state_dir: Path, at_the_console: bool) -> str:
    """Return who confirms: the address of the SSH client, or "the console".

    Raises Refused when no change waits, or when the connection does not show that the host is reachable.
    """
    from kvmnet.host.operator_connection import find_ssh_connection, is_at_console
    from kvmnet.system import files

    since = _read_waiting_since(state_dir)
    if at_the_console:
        if not is_at_console():
            message = "this is not the host's console: --at-the-console needs a virtual terminal or a serial line"
            raise Refused(message, _NEW_CONNECTION, CANNOT_CONFIRM)
        return "the console"
    connection = find_ssh_connection()
    if connection is None:
        hint = f"{_NEW_CONNECTION}; or, at the host's console, add --at-the-console"
        raise Refused("this is not an SSH connection and cannot confirm the change", hint, CANNOT_CONFIRM)
    folder = state_dir / "open"
    _require_new(connection, since, files.read_json(folder / "connections.json").get("cookies"))
    _require_affected_path(connection, files.read_json(folder / "transaction.json").get("proving", []))
    return connection.peer


def _require_new(connection: "SshConnection", since: float, older: Optional[list[int]]) -> None:
    """Raise Refused unless the connection was opened after the change, which waits since `since` (seconds of uptime).

    `older` are the cookies of the connections that existed when it began to wait; None if the kernel did not list them.
    """
    if not connection.peer:
        message = "this session does not come over SSH from another machine and cannot confirm the change"
        raise Refused(message, _NEW_CONNECTION, CANNOT_CONFIRM)
    if connection.opened < since:
        message = (
            f"this connection was opened {since - connection.opened:.0f} s before the change and cannot confirm it"
        )
        raise Refused(message, _NEW_CONNECTION, CANNOT_CONFIRM)
    if connection.cookie is None or older is None:
        message = "no socket of sshd was found for this session, so it cannot confirm the change"
        raise Refused(message, f"{_NEW_CONNECTION}; `modprobe tcp_diag` if that does not help", CANNOT_CONFIRM)
    if connection.cookie in older:
        message = "this connection was opened before the change and cannot confirm it"
        raise Refused(message, _NEW_CONNECTION, CANNOT_CONFIRM)


def _read_waiting_since(state_dir: Path) -> float:
    """Return since when (seconds of uptime) the open change waits for confirmation. Raises Refused when none does."""
    from kvmnet.transaction.history import find_confirmation_start, read_open_transaction

    since = find_confirmation_start(state_dir)
    if since is not None:
        return since
    if read_open_transaction(state_dir) is None:
        hint = "`kvmnet history` shows how the last change ended"
        raise Refused("no change is waiting for confirmation", hint, NOT_WAITING)
    message = "the open change is not waiting for confirmation: it is too early or too late"
    raise Refused(message, "`kvmnet status` shows its current step", NOT_WAITING)


def _require_affected_path(connection: "SshConnection", proving: list[str]) -> None:
    """Raise Refused unless the connection comes from another host and uses an interface of `proving` both ways.

    An empty list means any interface.
    """
    from kvmnet.system import links

    addresses = {
        name: [address.partition("/")[0] for address in prefixed] for name, prefixed in links.read_addresses().items()
    }
    names = [name for name, own in addresses.items() if connection.address in own]
    if connection.device:  # other interfaces may have the same link-local address
        names = [connection.device]
    if proving and not set(names) & set(proving):
        used = names[0] if names else connection.address
        hint = f"{_NEW_CONNECTION}, to an address of {' or '.join(_names_with_addresses(proving, addresses))}"
        raise Refused(f"this connection uses {used}, {_NOT_AFFECTED}", hint, CANNOT_CONFIRM)
    if any(connection.peer in own for own in addresses.values()):
        message = "this connection comes from this host itself and cannot confirm the change"
        raise Refused(message, f"{_NEW_CONNECTION}, from another host", CANNOT_CONFIRM)
    _require_reply_path(connection, proving)


def _require_reply_path(connection: "SshConnection", proving: list[str]) -> None:
    """Raise Refused if replies go through the port of a guest, or leave by an interface that is not in `proving`."""
    from kvmnet.host.reply_path import find_reply_path
    from kvmnet.system.errors import HostError

    try:
        source = "" if connection.device else connection.address
        path = find_reply_path(connection.peer, source, connection.bound or connection.device)
    except HostError as error:
        message = f"the route back to {connection.peer} could not be read, so this connection cannot confirm the change"
        raise Refused(f"{message}: {error}", _NEW_CONNECTION, CANNOT_CONFIRM) from error
    if path.port:
        message = (
            f"this connection comes from a guest or container on this host (port {path.port}) and cannot confirm the "
            "change"
        )
        hint = f"{_NEW_CONNECTION}, from another host; if you always reach this host from there, use its console"
        raise Refused(message, hint, CANNOT_CONFIRM)
    if proving and path.device not in proving:
        message = f"replies to this connection leave through {path.device}, {_NOT_AFFECTED}"
        raise Refused(message, _NEW_CONNECTION, CANNOT_CONFIRM)


def _names_with_addresses(names: list[str], addresses: dict[str, list[str]]) -> list[str]:
    """Return those of the interfaces that have an address other than a link-local one; all of them if none has."""
    from kvmnet.core.planning.difference import is_link_local

    return [name for name in names if any(not is_link_local(one) for one in addresses.get(name, []))] or names
