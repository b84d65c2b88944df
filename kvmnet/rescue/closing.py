"""Closes a transaction, moves it to the history, and deletes old transactions there."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from kvmnet.system import files, links, state_folder, units
from kvmnet.system.journal import Journal


def close_transaction(state_dir: Path, outcome: str, **fields: Any) -> None:
    """Write the end into the journal, move the transaction to the history, and stop the watchdog. Raises OSError."""
    folder = state_dir / "open"
    # no longer needed, and a keyfile may contain a password
    for path in (folder / state_folder.BALLAST_FILE, *folder.glob("*" + state_folder.REBOUND_SUFFIX)):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    Journal(folder).try_append("end", outcome=outcome, **fields)
    (state_dir / "history").mkdir(exist_ok=True)
    name: Any = files.read_json(folder / "transaction.json").get("id")
    if not state_folder.is_identity(name):  # missing, or corrupt: it becomes the name of a folder and of units
        name = f"{time.time():.0f}"
    folder.rename(state_dir / "history" / name)
    files.sync_folder(state_dir / "history")
    files.sync_folder(state_dir)
    units.stop_watchdog(name)
    with contextlib.suppress(OSError):
        prune_history(state_dir / "history")


def prune_history(history: Path, keep: int = state_folder.HISTORY_LIMIT) -> None:
    """Delete the oldest transactions, but those that are still needed (`find_needed`)."""
    folders = sorted(history.iterdir())
    needed = find_needed(history)
    for folder in folders[: max(0, len(folders) - keep)]:
        if folder not in needed:
            shutil.rmtree(folder, ignore_errors=True)


def find_needed(history: Path) -> dict[Path, str]:
    """Return the transactions that are still needed, each with what needs it.

    These are: the last kept one, for `rollback`; each kept one that has a part of the host's state before kvmnet, for
    `remove` (it adopted a NIC, was the first to write a file, or was itself a removal); each one whose rollback moved a
    file of /etc aside.
    """
    needed: dict[Path, str] = {}
    seen: set[str] = set()
    last_kept = None
    for folder in sorted(history.iterdir()):
        if (folder / files.ASIDE_FOLDER / "etc").exists():
            needed[folder] = "files that were moved aside"
        if not any("kept" in (e["event"], e.get("outcome")) for e in Journal(folder).events()):
            continue
        last_kept, transaction = folder, files.read_json(folder / "transaction.json")
        if transaction.get("removes"):  # the host was as before kvmnet: the next transaction is a first one again
            seen = set()
            needed[folder] = "kvmnet remove"
            continue
        snapshot = files.read_json(folder / "snapshot.json")
        paths = {r["path"] for r in snapshot.get("files", []) if "/applied/" not in r["path"]}
        paths |= {links.LOOPBACK} & set(snapshot.get("links", {}))  # the first snapshot that has it counts
        if paths - seen or transaction.get("adopts"):
            needed[folder] = "kvmnet remove"
        seen |= paths
    if last_kept is not None:
        needed.setdefault(last_kept, "kvmnet rollback")
    return needed


def accept_host_state(state_dir: Path, was_tried: bool) -> int:
    """Close a transaction although its rollback could not be verified; return the exit code.

    `was_tried`: a rollback was tried, and its verification failed.
    """
    if not was_tried:
        print(
            "kvmnet: the transaction is not rolled back yet: run this command without --accept first", file=sys.stderr
        )
        return 1
    close_transaction(state_dir, "rolled back", verified=False, accepted=True)
    print("kvmnet: transaction closed; the host is left as it is")
    return 0
