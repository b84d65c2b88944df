"""systemd units of a transaction: the worker's and the watchdog's."""

from __future__ import annotations

import contextlib

from kvmnet.system import programs
from kvmnet.system.errors import HostError


def watchdog_unit_name(identity: str) -> str:
    """The timer, and the service that it starts, without their suffixes."""
    return f"kvmnet-watchdog-{identity}"


def is_unit_alive(unit: str) -> bool:
    """Whether systemd has processes of this unit, or is about to; True as well when it does not answer."""
    try:
        state = programs.run("systemctl", "show", "--property=ActiveState", "--value", unit).strip()
    except HostError:
        return True
    return state in ("active", "activating", "deactivating", "reloading")


def stop_watchdog(identity: str) -> None:
    """End the watchdog of a transaction."""
    with contextlib.suppress(HostError):
        programs.run("systemctl", "stop", watchdog_unit_name(identity) + ".timer")
