"""The lock on the state folder: one process at a time works on the transactions of this host."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from pathlib import Path
from typing import Any


def kill_holders(lock: Path) -> None:
    """Kill every other process that holds the lock. Raises OSError when the lock file cannot be read.

    /proc/locks names the inode but not the file system; the open files of a process show which file it is.
    """
    inode = f":{lock.stat().st_ino}"
    for fields in (line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()):
        if fields[1] != "FLOCK" or not fields[5].endswith(inode) or int(fields[4]) in (0, os.getpid()):
            continue
        with contextlib.suppress(OSError):
            process = Path(f"/proc/{fields[4]}")
            if process.stat().st_uid != os.geteuid():  # only root can open the lock file
                continue
            # first the link: stat of a file on a dead file system never returns
            descriptors = [fd for fd in (process / "fd").iterdir() if str(fd.readlink()) == str(lock.resolve())]
            if any(fd.samefile(lock) for fd in descriptors):
                os.kill(int(fields[4]), signal.SIGKILL)


def is_locked(state_dir: Path) -> bool:
    """Return whether a process holds the lock. This takes a few system calls; asking systemd would take a process."""
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
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # flock(2) needs no write access


@contextlib.contextmanager
def hold_lock(state_dir: Path, wait_for: bool = True) -> Any:
    """Hold the lock during the block. Raises BlockingIOError when another process has it and `wait_for` is false."""
    handle = _open_lock_file(state_dir / "lock")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait_for else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)
