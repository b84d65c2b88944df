"""Deletes snapshots of closed transactions: whole connection profiles, which may contain passwords."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmnet.applied_record import read_applied
from kvmnet.core.base.errors import Refused
from kvmnet.rescue import closing
from kvmnet.system import files

#: What remains of each transaction: what `kvmnet history` shows. It contains no connection profiles.
_REMAINING = ("journal.jsonl", "transaction.json")


@dataclass(frozen=True)
class Purge:
    """What is deleted: files and folders of closed transactions, by the folder of the transaction; `size` in bytes.
    `kept` are the transactions whose snapshots remain, with what needs them."""

    paths: Mapping[Path, Sequence[Path]]
    kept: Mapping[Path, str]
    size: int

    def to_json(self) -> dict[str, Any]:
        """Return the object as plain data for JSON."""
        kept = [{"id": folder.name, "needed_by": reason} for folder, reason in self.kept.items()]
        return {"deleted": [folder.name for folder in self.paths], "bytes": self.size, "kept": kept}


def find_purge(state_dir: Path, everything: bool = False) -> Purge:
    """Return what a purge deletes; `everything`: also what `remove` and `rollback` need. Raises Refused when a bundle
    is applied then."""
    if everything and read_applied(state_dir) is not None:
        message = "a bundle is applied: without these snapshots `kvmnet remove` could not restore the host"
        raise Refused(message, "omit --all, or run `kvmnet remove` first", "KVN566")
    history = state_dir / "history"
    if not history.is_dir():
        return Purge({}, {}, 0)
    needed = {} if everything else closing.find_needed(history)
    paths = {
        folder: tuple(path for path in sorted(folder.iterdir()) if path.name not in _REMAINING)
        for folder in sorted(history.iterdir())
        if folder.is_dir() and not folder.is_symlink() and folder not in needed
    }
    paths = {folder: inside for folder, inside in paths.items() if inside}
    kept = {folder: reason for folder, reason in needed.items() if (folder / "snapshot.json").exists()}
    return Purge(paths, kept, sum(map(_measure, _list_files(paths))))


def carry_out(purge: Purge) -> None:
    """Delete it; the deletion survives a power cut. Raises OSError."""
    for folder, paths in purge.paths.items():
        for path in paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        files.sync_folder(folder)


def _list_files(paths: Mapping[Path, Sequence[Path]]) -> Iterator[Path]:
    for inside in paths.values():
        for path in inside:
            yield from path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]


def _measure(path: Path) -> int:
    return path.lstat().st_size
