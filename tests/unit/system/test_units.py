"""The systemd units of a transaction."""

from __future__ import annotations

import pytest

from kvmnet.system import programs, units
from kvmnet.system.errors import HostError


@pytest.mark.parametrize(
    ("state", "alive"),
    [
        ("active", True),
        ("activating", True),
        ("deactivating", True),
        ("reloading", True),
        ("inactive", False),
        ("failed", False),
        ("", False),
    ],
)
def test_a_unit_is_alive_unless_it_has_ended(monkeypatch: pytest.MonkeyPatch, state: str, alive: bool) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(programs, "run", lambda *words: calls.append(words) or f"{state}\n")
    assert units.is_unit_alive("kvmnet-T.service") is alive
    assert calls == [("systemctl", "show", "--property=ActiveState", "--value", "kvmnet-T.service")]


def test_a_unit_counts_as_alive_when_systemd_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second program must not work on its transaction."""

    def fail(*_: str) -> str:
        raise HostError("systemctl: timed out")

    monkeypatch.setattr(programs, "run", fail)
    assert units.is_unit_alive("kvmnet-T.service") is True
    units.stop_watchdog("T")  # an error is ignored: a watchdog without a transaction ends itself


def test_the_timer_of_the_watchdog_is_stopped_and_not_its_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service may be the one that stops it."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(programs, "run", lambda *words: calls.append(words) or "")
    units.stop_watchdog("20240101-1")
    assert calls == [("systemctl", "stop", "kvmnet-watchdog-20240101-1.timer")]
