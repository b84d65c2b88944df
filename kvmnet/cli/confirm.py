"""`kvmnet confirm`: the word from outside that a change waits for."""

import json
from pathlib import Path

import typer

from kvmnet.cli.follow import follow_to_end
from kvmnet.cli.host import Console, need_root, state_path, told
from kvmnet.core.base.errors import Refused

NO_CHANGE, NO_PROOF = "KVN560", "KVN561"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("confirm")(confirm)


def confirm(
    console_here: bool = typer.Option(
        False, "--at-the-console", help="I do not come by the network: I sit at the machine's console."
    ),
    as_json: bool = typer.Option(False, "--json", help="For machines: one event a line."),
) -> None:
    """Say that the host is reachable after a change: over a connection that was opened after it."""
    from kvmnet.system import files
    from kvmnet.transaction.safeguards import not_written

    console = Console(as_json)
    with told(console):
        need_root("confirm a change")
        state_dir = state_path()
        who = _who(state_dir, console_here)
        folder = state_dir / "open"
        identity = str(files.read_json(folder / "transaction.json").get("id", ""))
        try:
            (folder / ".confirmed").write_text(json.dumps({"by": who}), encoding="utf-8")
            (folder / ".confirmed").rename(folder / "confirmed.json")
        except FileNotFoundError as error:
            raise Refused("the change waits no longer", "kvmnet history tells how it ended", NO_CHANGE) from error
        except OSError as error:
            raise not_written(folder, error) from error
    raise typer.Exit(follow_to_end(console, state_dir, identity, on_cancel=False))


def _who(state_dir: Path, console_here: bool) -> str:
    """Who confirms; raises Refused when it proves nothing."""
    from kvmnet.host.operator_connection import ssh_connection, way_back
    from kvmnet.system import files, links
    from kvmnet.transaction.history import opened, waits_since

    since = waits_since(state_dir)
    if since is None:
        if opened(state_dir) is None:
            raise Refused("no change waits for a word", "kvmnet history tells how the last one ended", NO_CHANGE)
        words = "the change does not wait for a word (yet, or any more)"
        raise Refused(words, "kvmnet status tells how far it is", NO_CHANGE)
    if console_here:
        return "a person at the console"
    connection = ssh_connection()
    anew = "open a new one: ssh HOST kvmnet confirm (with -S none, where your ssh shares connections)"
    if connection is None:
        raise Refused(
            "this is no SSH connection, so it proves nothing",
            f"{anew}; or add --at-the-console if you sit there",
            NO_PROOF,
        )
    if connection.opened < since:
        age = since - connection.opened
        raise Refused(f"this connection was there {age:.0f} s before the change, so it proves nothing", anew, NO_PROOF)
    proving = files.read_json(state_dir / "open" / "transaction.json").get("proving", [])
    came = [name for name, addresses in links.read_addresses().items() if _has(addresses, connection.address)]
    if proving and not set(came) & set(proving):
        where = came[0] if came else connection.address
        words = f"this connection came in by {where}, which the change does not touch: it proves nothing"
        raise Refused(words, f"{anew}, to an address of {' or '.join(_addressed(proving))}", NO_PROOF)
    ours = {a.partition("/")[0] for addresses in links.read_addresses().values() for a in addresses}
    if connection.peer in ours:
        raise Refused("this connection comes from this host itself, so it proves nothing", anew, NO_PROOF)
    device, port = way_back(connection.peer, connection.address)
    if port:
        words = f"this connection comes from what is behind {port}, on this host itself, so it proves nothing"
        raise Refused(words, f"{anew}; or --at-the-console, if that is how you come to it", NO_PROOF)
    if proving and device and device not in proving:
        words = f"the answers to this connection leave by {device}, which the change does not touch: it proves nothing"
        raise Refused(words, anew, NO_PROOF)
    return connection.peer


def _addressed(names: list[str]) -> list[str]:
    """Those that somebody may come in by now; all of them where none has an address that is not made by itself."""
    from kvmnet.core.planning.difference import is_link_local
    from kvmnet.system import links

    now = links.read_addresses()
    return [n for n in names if any(not is_link_local(a.partition("/")[0]) for a in now.get(n, []))] or names


def _has(addresses: list[str], address: str) -> bool:
    return any(one.partition("/")[0] == address for one in addresses)
