"""Fixtures of the tests of the command line."""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from typing import Any

import pytest

from kvmnet.cli import remove, rollback
from kvmnet.cli.console import Console
from kvmnet.transaction import history, launch, prepare
from tests.unit.host.samples import System, simulate_libvirt


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


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """A host with libvirt; see `simulate_libvirt`."""
    return simulate_libvirt(tmp_path, monkeypatch)


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options that reach the preparation, on a host that has one change to go back from."""
    given: list[Any] = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(history, "read_open_transaction", lambda _: None)
    monkeypatch.setattr(history, "read_previous_bundle", lambda _: {})
    monkeypatch.setattr(remove, "_read_applied_bundle", lambda _: None)
    for module in (remove, rollback):
        monkeypatch.setattr(
            module, "run_transaction", lambda console, prepare, yes, dry_run: prepare(Path("/nonexistent")) or 0
        )
    for name in ("prepare", "prepare_removal"):
        monkeypatch.setattr(prepare, name, lambda bundle, state, wishes, progress, *_: given.append(wishes))
    return given
