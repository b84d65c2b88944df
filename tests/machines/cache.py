"""The cache of what is slow to build: one folder for each user; every entry is named after what it is made from.

An entry is complete or missing: it is made under a temporary name and renamed. Two processes that need the same entry
wait for each other, so nothing is built twice. You can delete any entry.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable


class LabError(Exception):
    """The lab failed; the message is for its user."""


def folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "kvmnet-lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


def key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def entry(name: str, make: Callable[[Path], None], *, says: str = "", expect: float = 0) -> Path:
    """Return the folder `name` of the cache. If it is missing, `make(temporary folder)` fills it."""
    path = folder() / name
    if path.is_dir():
        os.utime(path)  # last used: see prune()
        return path
    with _locked(folder() / f"{name}.lock"):
        if path.is_dir():
            return path
        temporary = folder() / f"{name}.part"
        remove(temporary)
        temporary.mkdir()
        try:
            with step(says or f"making {name}", expect):
                make(temporary)
        except BaseException:
            remove(temporary)
            raise
        temporary.chmod(0o755)
        temporary.rename(path)
    return path


def prune(prefix: str, older_than: float) -> None:
    """Remove entries of this prefix that were not used during the last `older_than` seconds."""
    for path in folder().glob(f"{prefix}-*"):
        if path.is_dir() and time.time() - path.stat().st_mtime > older_than:
            remove(path)
            path.with_name(path.name + ".lock").unlink(missing_ok=True)


def remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


@contextmanager
def step(what: str, expect: float = 0) -> Iterator[None]:
    """Print what is done and how long it usually takes, and afterwards how long it took."""
    say(f"{what}{f' (about {_span(expect)})' if expect else ''} …")
    began = time.monotonic()
    yield
    say(f"{what}: done in {_span(time.monotonic() - began)}")


def say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if seconds >= 100 else f"{seconds:.0f} s"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is making {path.stem}, waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
