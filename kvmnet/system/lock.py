"""The lock of a host's transactions."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from pathlib import Path
from typing import Any


def kill_holders(lock: Path) -> None:
    """Kill whoever else holds the lock; the kernel tells by inode, and a process's open files which file it is."""
    inode = f":{lock.stat().st_ino}"
    for words in (line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()):
        if words[1] != "FLOCK" or not words[5].endswith(inode) or int(words[4]) in (0, os.getpid()):
            continue
        with contextlib.suppress(OSError):
            if any(fd.samefile(lock) for fd in Path(f"/proc/{words[4]}/fd").iterdir() if fd.exists()):
                os.kill(int(words[4]), signal.SIGKILL)


def is_locked(state_dir: Path) -> bool:
    """Whether somebody works here: a few system calls, where asking systemd is a process."""
    try:
        with hold_lock(state_dir, wait_for=False):
            return False
    except BlockingIOError:
        return True


def _open_lock_file(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # enough for flock(2)


@contextlib.contextmanager
def hold_lock(state_dir: Path, wait_for: bool = True) -> Any:
    """Hold the lock of this machine's transactions; raises BlockingIOError when not told to wait."""
    handle = _open_lock_file(state_dir / "lock")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait_for else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)
