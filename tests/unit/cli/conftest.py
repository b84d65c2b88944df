"""Fixtures of the tests of the command line."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

import pytest

from kvmnet.cli.console import Console
from kvmnet.transaction import launch


@pytest.fixture
def open_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A state folder with an open transaction T, and the list of calls that roll it back. Output cannot be written."""
    calls: list[str] = []
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "journal.jsonl").write_text("")

    def fail(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(Console, "print_line", fail)
    monkeypatch.setattr(launch, "cancel", lambda _: calls.append("cancel"))
    monkeypatch.setattr(launch, "run_rescue_program", lambda _: calls.append("rescue"))
    monkeypatch.setattr(launch, "wait_until_closed", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return tmp_path, calls
