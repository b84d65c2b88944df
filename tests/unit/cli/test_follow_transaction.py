"""Tests of following a transaction: Ctrl-C, a worker that has ended, output that nobody reads."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.cli import follow_transaction
from kvmnet.cli.console import Console
from kvmnet.system.journal import Journal
from kvmnet.transaction import launch


@pytest.mark.guarantee("G09")
@pytest.mark.parametrize("first", [KeyboardInterrupt, None])
def test_the_change_is_rolled_back_also_if_its_output_is_not_read(
    open_transaction: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, first: Optional[type[BaseException]]
) -> None:
    """In `apply | tee log`, Ctrl-C ends tee too."""
    state, calls = open_transaction
    results = iter([first, 3])

    def follow(*_: Any) -> Optional[int]:
        result = next(results)
        if result is KeyboardInterrupt:
            raise KeyboardInterrupt
        return result if isinstance(result, int) else None

    monkeypatch.setattr(launch, "follow", follow)
    assert follow_transaction.follow_to_end(Console(False), state, "T") == 3
    assert calls == ["cancel" if first else "rescue"]


def test_a_rollback_prints_only_what_happens_from_then_on(
    open_transaction: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The earlier try of the rollback, and the steps before it, were printed when they happened."""
    state, _ = open_transaction
    journal = Journal(state / "open")
    journal.append("begin", steps=["rename"])
    journal.append("done", step=0, seconds=1.0)
    journal.append("undo", why="x")
    journal.append("not-verified", differences=["eth0 is down"])

    def roll_back() -> None:
        journal.append("undone", step=0, result="ok")
        journal.append("verified")
        journal.append("end", outcome="x")

    monkeypatch.setattr(Console, "print_line", lambda _, text: print(text))
    console = Console(False)
    assert follow_transaction.follow_to_end(console, state, "T", cancel_on_interrupt=False, roll_back=roll_back) == 3
    first, second, _ = capfd.readouterr().out.splitlines()
    assert (first, second) == ("undo rename: ok", "ok   verified: the host is as before the change")


def test_the_end_of_a_transaction_is_not_skipped(tmp_path: Path) -> None:
    """It ended just before the command was run."""
    (tmp_path / "journal.jsonl").write_text('{"event": "undo", "why": "x"}\n{"event": "end"}\n')
    with (tmp_path / "journal.jsonl").open() as journal:
        follow_transaction._skip_past_events(journal, follow_transaction.EventPrinter(Console(False)))
        assert journal.readline() == '{"event": "end"}\n'


@pytest.mark.guarantee("G09")
def test_ctrl_c_that_another_thread_received_is_not_lost(
    open_transaction: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, calls = open_transaction
    monkeypatch.setattr(follow_transaction, "deferred_interrupts", [signal.SIGINT])
    monkeypatch.setattr(launch, "follow", lambda *_: 3)
    assert follow_transaction.follow_to_end(Console(False), state, "T") == 3
    assert calls == ["cancel"]
