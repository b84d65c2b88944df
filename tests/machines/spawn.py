"""Starting processes that cannot outlive us.

The kernel ends such a process (PR_SET_PDEATHSIG, by setpriv) when the *thread* that started it ends. So all of them
are started by one thread that lives as long as this process, whichever thread asks; even SIGKILL leaves nothing behind.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Optional, Union

_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-spawner")


def spawn(
    argv: Sequence[Union[str, Path]],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: Union[int, IO[bytes]] = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, argv)],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,  # Ctrl-C in a terminal is ours to handle, not the machine's
        )

    return _spawner.submit(start).result()


def end(process: Optional[subprocess.Popen[bytes]]) -> None:
    """Send SIGKILL, and wait until the process has ended."""
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()


def close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)
