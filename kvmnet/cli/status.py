"""`kvmnet status` and `kvmnet history`: what is open, what has been, and whether the host is as applied."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from kvmnet.cli.common import count
from kvmnet.cli.host import DIFFERENT, Console, need_root, state_path, told
from kvmnet.core.base.errors import KvmnetError

if TYPE_CHECKING:
    from kvmnet.transaction.history import Ended, Open


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("status")(status)
    app.command("history")(history)


def status(
    as_json: bool = typer.Option(False, "--json", help="For machines: one JSON document."),
    exit_code: bool = typer.Option(
        False, "--exit-code", help="Exit with 6 when a transaction is open, or the host is not as applied."
    ),
) -> None:
    """Show the open transaction, its step and its deadline; where none is open, how the host differs from what was
    applied. Touches nothing."""
    from kvmnet.transaction.history import ended, opened

    console = Console(as_json)
    with told(console):
        need_root("read what kvmnet noted")
        now = opened(state_path())
        if now is not None:
            report: dict[str, Any] = {"open": asdict(now)}
            text, same = _open_text(now), False
        else:
            report, text, same = _drift(console, state_path())
        past = ended(state_path())
        report["last"] = asdict(past[-1]) if past else None
        text += [f"last change: {_line(past[-1])}"] if past else []
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(text))
    if exit_code and not same:
        raise typer.Exit(DIFFERENT)


def _open_text(now: "Open") -> list[str]:
    from kvmnet.core.reporting.report import ACCEPT

    lines = [f"transaction {now.id} for {now.host} is open, since {_when(now.at)}"]
    lines.append(f"  {'undoing' if now.undoing else 'now'}: {now.step}")
    if now.confirm_left is not None:
        lines.append(f"  `kvmnet confirm` by a new connection counts for {max(now.confirm_left, 0):.0f} s more")
    if now.left is not None:
        lines.append(f"  the watchdog undoes it in {max(now.left, 0):.0f} s, unless this is done by then")
    if not now.works:
        lines.append("  nobody works on it: `kvmnet rollback` undoes it")
    if now.differences:
        lines += ["  not as it was before:", *(f"    {line}" for line in now.differences)]
    if now.mends:
        lines += ["  what would mend it:", *(f"    {line}" for line in now.mends)]
    if now.differences and not now.works:
        lines.append(f"  or, if it is right as it is: {ACCEPT}")
    return lines


def _drift(console: Console, state_dir: Path) -> tuple[dict[str, Any], list[str], bool]:
    from kvmnet.core.reporting.change_text import changes_to_json
    from kvmnet.core.reporting.report import plan_text
    from kvmnet.pipeline import read_applied
    from kvmnet.transaction.prepare import drift

    bundle = read_applied(state_dir)
    if bundle is None:
        return {"open": None, "applied": None}, ["nothing is applied on this host"], True
    plan = drift(bundle, state_dir, console.waiting)
    console.waiting(None)
    report = {
        "open": None,
        "applied": {"host": bundle.host, "digest": bundle.digest},
        "drift": changes_to_json(plan.changes),
    }
    if plan.empty:
        return report, [f"{bundle.host}: as applied"], True
    _, _, changes = plan_text(plan).partition("\n")
    return report, [f"{bundle.host}: not as applied; to be so again:", changes.rstrip("\n")], False


def history(
    identity: Annotated[
        Optional[str], typer.Argument(metavar="ID", help="Tell all of this one.", show_default=False)
    ] = None,
    as_json: bool = typer.Option(False, "--json", help="For machines: one JSON document."),
) -> None:
    """Show the transactions that have ended: what changed, how it ended, how long the host was away."""
    from kvmnet.system.journal import Journal
    from kvmnet.transaction.history import ended

    with told(Console(as_json)):
        need_root("read what kvmnet noted")
        past = ended(state_path())
        if identity is not None:
            past = [one for one in past if one.id == identity]
            if not past:
                raise KvmnetError(f"no transaction is named {identity}", "kvmnet history names those there are")
    if identity is None:
        lines = [f"{one.id}  {_line(one)}" for one in past] or ["no transaction yet"]
        print(json.dumps([asdict(one) for one in past], indent=2) if as_json else "\n".join(lines))
        return
    events = Journal(state_path() / "history" / identity).events()
    if as_json:
        print(json.dumps({**asdict(past[0]), "events": events}, indent=2))
        return
    print(f"{past[0].id}  {_line(past[0])}")
    for change in past[0].changes:
        print(f"  {change['what']} {change['name']}: {'; '.join(change['details'])}")


def _line(one: "Ended") -> str:
    words = [_when(one.at), f"{one.host}:", one.outcome]
    if one.verified is False:
        words.append("(not verified)")
    if one.why:
        words.append(f"({one.why})")
    words.append(f"- {count(len(one.changes), 'change')}")
    away = []
    if one.away is not None:
        away.append(f"gateway away {one.away:.1f} s" + ("" if one.kept else " before the undo"))
    if one.away_at_most is not None and (one.away is None or not one.kept):
        boot = ", a boot among them" if one.rebooted else ""
        away.append(f"addresses away {one.away_at_most:.1f} s at most{boot}")
    if away:
        words.append("- " + "; ".join(away))
    return " ".join(words)


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
