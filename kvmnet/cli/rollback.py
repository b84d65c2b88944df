"""`kvmnet rollback` and `kvmnet remove`: back to what was before."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kvmnet.cli.follow import carry_out, follow_to_end
from kvmnet.cli.host import (
    AllowOption,
    ConfirmOption,
    Console,
    LoseOption,
    NoConfirmOption,
    allowed_codes,
    confirm_seconds,
    need_root,
    state_path,
    told,
)
from kvmnet.core.base.errors import Refused

if TYPE_CHECKING:
    from kvmnet.core.rendering.bundle import Bundle
    from kvmnet.transaction.history import Open

_YES = typer.Option(False, "--yes", "-y", help="Do not ask (only a terminal is asked).")
_DRY_RUN = typer.Option(False, "--dry-run", help="Show the plan and the steps, touch nothing.")
_TIMEOUT = typer.Option(
    120, "--timeout", min=20, max=3600, help="Seconds after which NetworkManager undoes the trial by itself."
)
_JSON = typer.Option(False, "--json", help="For machines: one event a line.")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("rollback")(rollback)
    app.command("remove")(remove)


def rollback(
    yes: bool = _YES,
    dry_run: bool = _DRY_RUN,
    timeout: int = _TIMEOUT,
    confirm_within: ConfirmOption = None,
    no_confirm: NoConfirmOption = False,
    allow: AllowOption = None,
    allow_guest_loss: LoseOption = None,
    as_json: bool = _JSON,
) -> None:
    """Undo the open transaction at once; where none is open, go back to what was applied before the last one that was
    kept, as a new transaction."""
    from kvmnet.core.rendering.bundle_files import read_bundle
    from kvmnet.pipeline import load_schema
    from kvmnet.transaction.history import before_the_last, opened
    from kvmnet.transaction.prepare import Wishes, prepare

    confirm = confirm_seconds(confirm_within, no_confirm)
    console = Console(as_json)
    with told(console):
        need_root("undo a change")
        now = opened(state_path())
        if now is not None:
            raise typer.Exit(_undo_open(console, now, dry_run))
        files = before_the_last(state_path())
        if not files:
            remove(yes, dry_run, confirm_within, no_confirm, allow, allow_guest_loss, as_json)
            return
        bundle = read_bundle(files, load_schema("state"))
        lose = frozenset(allow_guest_loss or ())
        wishes = Wishes(timeout, confirm, allowed_codes(allow), lose)
        code = carry_out(console, lambda state: prepare(bundle, state, wishes, console.waiting), yes, dry_run)
    raise typer.Exit(code)


def _undo_open(console: Console, now: "Open", dry_run: bool) -> int:
    """0 when it is undone and verified, or had been kept by then; 4 when a person is needed."""
    from kvmnet.transaction.launch import cancel, rescue_now

    with suppress(OSError):  # who listened may be gone: it is to be undone all the same
        console.line(f"transaction {now.id} for {now.host}: undoing")
    if dry_run:
        return 0
    if now.works:
        cancel(now.id)
    else:
        rescue_now(state_path())
    code = follow_to_end(console, state_path(), now.id, on_cancel=False)
    return 0 if code == 3 else code


def remove(
    yes: bool = _YES,
    dry_run: bool = _DRY_RUN,
    confirm_within: ConfirmOption = None,
    no_confirm: NoConfirmOption = False,
    allow: AllowOption = None,
    allow_guest_loss: LoseOption = None,
    as_json: bool = _JSON,
) -> None:
    """Give the machine back: NIC names, altnames and connection profiles as before kvmnet, nothing of what it made."""
    from kvmnet.transaction.prepare import Wishes, prepare_removal

    confirm = confirm_seconds(confirm_within, no_confirm)
    console = Console(as_json)
    with told(console):
        need_root("give this host back")
        bundle = _applied(state_path())
        lose = frozenset(allow_guest_loss or ())
        wishes = Wishes(confirm=confirm, allow=allowed_codes(allow), lose=lose)
        code = carry_out(console, lambda state: prepare_removal(bundle, state, wishes, console.waiting), yes, dry_run)
    raise typer.Exit(code)


def _applied(state_dir: Path) -> "Bundle":
    from kvmnet.pipeline import read_applied

    applied = read_applied(state_dir)
    if applied is None:
        raise Refused("kvmnet has applied nothing on this host", "there is nothing to give back", "KVN562")
    return applied
