"""Temporary folders of machines and wires, and the removal of those whose process was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "kvmnet-lab-"
_locks: dict[Path, int] = {}


def make(kind: str) -> Path:
    """Create a folder that belongs to this process as long as it lives. A lock shows this to other processes, also
    to those in another PID namespace."""
    _sweep()
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{kind}-"))
    _locks[path] = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(_locks[path], fcntl.LOCK_EX)
    return path


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    lock = _locks.pop(path, None)
    if lock is not None:
        os.close(lock)


def _sweep() -> None:
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        if lock.parent in _locks:
            continue
        try:
            with lock.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:
            pass  # in use, or gone already
