"""Closes a transaction and moves it to the history."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from kvmnet.system import files, state_folder, units
from kvmnet.system.journal import Journal


def close_transaction(state_dir: Path, outcome: str, **fields: Any) -> None:
    """Write the end into the journal and move the transaction into the history."""
    folder = state_dir / "open"
    for path in (
        folder / state_folder.BALLAST_FILE,
        *folder.glob("*" + state_folder.REBOUND_SUFFIX),
    ):  # they have served; a keyfile may have a password
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    Journal(folder).try_append("end", outcome=outcome, **fields)
    (state_dir / "history").mkdir(exist_ok=True)
    name = files.read_json(folder / "transaction.json").get("id") or f"{time.time():.0f}"
    folder.rename(state_dir / "history" / name)
    files.sync_folder(state_dir / "history")
    files.sync_folder(state_dir)
    units.stop_watchdog(name)
    with contextlib.suppress(OSError):
        prune_history(state_dir / "history")


def prune_history(history: Path, keep: int = state_folder.HISTORY_LIMIT) -> None:
    """Forget the oldest ended transactions. Never the last kept one, which `rollback` needs, one that was kept and
    tells of the machine from before kvmnet (it took a NIC over, was the first to write a file, or gave all of it
    back), nor one whose undo set a file of /etc aside."""
    folders = sorted(history.iterdir())
    needed = set(folders[-keep:])
    seen: set[str] = set()
    last_kept = None
    for folder in folders:
        if (folder / files.ASIDE_FOLDER / "etc").exists():
            needed.add(folder)
        if not any("kept" in (e["event"], e.get("outcome")) for e in Journal(folder).events()):
            continue
        last_kept, transaction = folder, files.read_json(folder / "transaction.json")
        if transaction.get("removes"):  # what comes after it begins anew
            seen = set()
            needed.add(folder)
            continue
        records = files.read_json(folder / "snapshot.json").get("files", [])
        paths = {r["path"] for r in records if "/applied/" not in r["path"]}
        if paths - seen or transaction.get("adopts"):
            needed.add(folder)
        seen |= paths
    for folder in folders:
        if folder not in needed and folder != last_kept:
            shutil.rmtree(folder, ignore_errors=True)


def accept_host_state(state_dir: Path, tried: bool) -> int:
    """A person has looked, and the machine is right as it is."""
    if not tried:
        print("kvmnet: not undone yet: run it without --accept first", file=sys.stderr)
        return 1
    close_transaction(state_dir, "rolled back", verified=False, accepted=True)
    print("kvmnet: closed; the machine stays as it is")
    return 0
