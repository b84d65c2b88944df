"""Uptime, boot ID, and waiting for a condition."""

from __future__ import annotations

import re
import time

import pytest

from kvmnet.system import clock


class FakeTime:
    """A clock on which a check of the condition takes `check` seconds; `pauses` are the sleeps between checks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, check: float = 0.0) -> None:
        self.now, self.check, self.checks = 1000.0, check, 0
        self.pauses: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def true_at(self, number: int) -> bool:
        self.checks, self.now = self.checks + 1, self.now + self.check
        return self.checks == number


def test_a_condition_that_is_true_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(monkeypatch)
    assert clock.wait_until(lambda: fake.true_at(1), 0) is True
    assert fake.pauses == []


def test_the_condition_is_checked_after_each_pause_until_it_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(monkeypatch)
    assert clock.wait_until(lambda: fake.true_at(4), 10, pause=0.5) is True
    assert fake.pauses == [0.5, 0.5, 0.5]


def test_a_condition_that_stays_false_is_checked_once_more_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(monkeypatch)
    assert clock.wait_until(lambda: fake.true_at(0), 1, pause=0.5) is False
    assert fake.checks == 4 and fake.now == 1001.5


def test_the_pause_is_twice_the_time_of_a_slow_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that is waited for may need the processor."""
    fake = FakeTime(monkeypatch, check=2.0)
    assert clock.wait_until(lambda: fake.true_at(3), 60) is True
    assert fake.pauses == [4.0, 4.0]


def test_the_boot_id_is_that_of_the_kernel() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", clock.boot_id())
    assert clock.boot_id() == clock.boot_id()


def test_the_uptime_has_the_resolution_of_the_kernels_process_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 12.345678}.__getitem__)
    assert clock.uptime() == 12.35
