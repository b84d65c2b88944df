"""Tests of following a transaction: Ctrl-C, a worker that has ended, output that nobody reads."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.cli import follow_transaction
from kvmnet.cli.console import Console
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


@pytest.mark.guarantee("G09")
def test_ctrl_c_that_another_thread_received_is_not_lost(
    open_transaction: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, calls = open_transaction
    monkeypatch.setattr(follow_transaction, "deferred_interrupts", [signal.SIGINT])
    monkeypatch.setattr(launch, "follow", lambda *_: 3)
    assert follow_transaction.follow_to_end(Console(False), state, "T") == 3
    assert calls == ["cancel"]
