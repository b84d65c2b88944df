"""Uptime, boot ID, and waiting for a condition."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Wait until the condition is true; return False when it is still false after this many seconds.

    The condition is checked every `pause` seconds. When a check takes longer, the pause is twice the time of the check,
    because the process that is waited for may need the same processor.
    """
    end = time.monotonic() + seconds
    while True:
        started = time.monotonic()
        if condition():
            return True
        now = time.monotonic()
        if now > end:
            return False
        time.sleep(max(pause, 2 * (now - started)))


#: The resolution of uptime(), in seconds.
UPTIME_RESOLUTION = 0.01


def boot_id() -> str:
    """Return the kernel's ID of the current boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def uptime() -> float:
    """Return the seconds since the host started, including time in suspend.

    A change of the date does not affect it, and the kernel reports the start time of each process in it (proc(5)).
    """
    return round(time.clock_gettime(time.CLOCK_BOOTTIME), 2)
