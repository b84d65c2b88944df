"""systemd units of a transaction: those of the worker and of the watchdog."""

from __future__ import annotations

import contextlib

from kvmnet.system import programs
from kvmnet.system.errors import HostError


def watchdog_unit_name(identity: str) -> str:
    """Return the name, without suffix, of the watchdog's timer and of the service that it starts."""
    return f"kvmnet-watchdog-{identity}"


def is_unit_alive(unit: str) -> bool:
    """Return whether this unit is active or changes its state; also True when systemd does not answer."""
    try:
        state = programs.run("systemctl", "show", "--property=ActiveState", "--value", unit).strip()
    except HostError:
        return True
    return state in ("active", "activating", "deactivating", "reloading")


def stop_watchdog(identity: str) -> None:
    """Stop the watchdog's timer of a transaction. An error is ignored: a watchdog without a transaction ends itself."""
    with contextlib.suppress(HostError):
        programs.run("systemctl", "stop", watchdog_unit_name(identity) + ".timer")
