"""`kvmnet history`: the transactions that have ended."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli.console import Console, count_text, print_json, print_text, report_failures
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.options import JsonOption
from kvmnet.cli.this_host import require_root, state_path
from kvmnet.core.base.errors import KvmnetError

if TYPE_CHECKING:
    from kvmnet.transaction.history import EndedTransaction

#: What a line calls a transaction that did not apply a definition.
_OPERATIONS = {"remove": "removal of kvmnet's configuration", "rollback": "return to the previous configuration"}
_ID_HELP = "Show this transaction with its changes. Default: list all, oldest first."


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet history", "kvmnet history 20260131-120000-4711 --json")
    app.command("history", rich_help_panel=HOST, epilog=end)(history)


def history(
    identity: Annotated[Optional[str], typer.Argument(metavar="ID", help=_ID_HELP, show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """List past transactions: what changed, how they ended, how long the host was unreachable."""
    from kvmnet.system.journal import Journal
    from kvmnet.transaction.history import read_history

    with report_failures(Console(as_json)):
        require_root("read kvmnet's state")
        past = read_history(state_path())
        if identity is not None:
            past = [transaction for transaction in past if transaction.id == identity]
            if not past:
                raise KvmnetError(f"there is no transaction {identity}", "`kvmnet history` lists all")
    if identity is None:
        lines = [f"{transaction.id}  {format_ended(transaction)}" for transaction in past] or ["no transactions yet"]
        if as_json:
            print_json([asdict(transaction) for transaction in past])
        else:
            print_text("\n".join(lines))
        return
    (transaction,) = past
    if as_json:
        events = Journal(state_path() / "history" / identity).events()
        print_json({**asdict(transaction), "events": events})
        return
    print_text(f"{transaction.id}  {format_ended(transaction)}")
    for change in transaction.changes:
        print_text(f"  {change['what']} {change['name']}: {'; '.join(change['details'])}")


def format_ended(transaction: "EndedTransaction") -> str:
    """Return a line about a transaction: when, host, operation (unless it applied a definition), outcome, number of
    changes, how long the host was unreachable."""
    operation = _OPERATIONS.get(transaction.operation)
    parts = [format_time(transaction.at), f"{transaction.host}:", *([f"{operation}:"] if operation else [])]
    parts.append(transaction.outcome)
    if transaction.verified is False:
        parts.append("(could not be verified)")
    if transaction.why:
        likely = f"; likely: {'; '.join(transaction.likely)}" if transaction.likely else ""
        parts.append(f"({transaction.why}{likely})")
    parts.append(f"- {count_text(len(transaction.changes), 'change')}")
    outages = []
    if transaction.away is not None:
        before_rollback = "" if transaction.kept else " before the rollback"
        outages.append(f"gateway unreachable for {transaction.away:.1f} s{before_rollback}")
    if transaction.away_at_most and (transaction.away is None or not transaction.kept):
        reboot = ", with a reboot" if transaction.rebooted else ""
        outages.append(f"addresses missing for at most {transaction.away_at_most:.1f} s{reboot}")
    if outages:
        parts.append("- " + "; ".join(outages))
    return " ".join(parts)


def format_time(seconds: float) -> str:
    """Return the local date and time of `seconds` since the epoch."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
