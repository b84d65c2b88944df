"""Tests of kvmnet/cli/progress.py: a bar on a terminal, when the work takes longer than a second."""

from __future__ import annotations

import io
import time

import pytest

from kvmnet.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def work(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, seconds: float) -> str:
    """Return what is drawn while ten items take some seconds each."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Progress(stream) as bar:
        for _ in bar.follow(range(10), "rendered", 10):
            now[0] += seconds
    return stream.getvalue()


def test_a_bar_is_drawn_after_a_second_and_removed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = work(Terminal(), monkeypatch, 0.5)
    assert "0 of 10" not in drawn and "1 of 10" not in drawn
    assert "\r\x1b[Krendered [######------------------------] 2 of 10" in drawn
    assert "9 of 10" in drawn and drawn.endswith("\r\x1b[K")


def test_quick_work_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert work(Terminal(), monkeypatch, 0.05) == ""


def test_nothing_is_drawn_where_no_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert work(io.StringIO(), monkeypatch, 5.0) == ""
