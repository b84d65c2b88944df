"""Uptime, boot ID, and waiting for a condition."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable


def wait_until(what: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Whether `what` came true within so many seconds; asked every `pause` seconds, and less often when the answer
    takes longer: who is waited for may need the processor that the question takes."""
    end = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if what():
            return True
        now = time.monotonic()
        if now > end:
            return False
        time.sleep(max(pause, 2 * (now - asked)))


#: What uptime() rounds to, in seconds.
UPTIME_RESOLUTION = 0.01


def boot_id() -> str:
    """The kernel's name of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def uptime() -> float:
    """Seconds since the machine started, asleep or not: no change of the date alters it, and every process's
    start is told in it (proc(5))."""
    return round(time.clock_gettime(time.CLOCK_BOOTTIME), 2)
