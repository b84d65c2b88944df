"""The worker of a removal removes the boot units at its end."""

from __future__ import annotations

import contextlib
import errno
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.system import files, lock, programs
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from kvmnet.transaction import (
    safeguards,
    worker,
)
from tests.unit.transaction.samples import raising


@pytest.fixture
def unit_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An open transaction whose steps all succeed, and installed boot units. Returns the units' folder."""
    (tmp_path / "state" / "open").mkdir(parents=True)
    folder = tmp_path / "units"
    folder.mkdir()
    for name in safeguards.UNITS:
        (folder / name).write_text("")
    monkeypatch.setattr(safeguards, "UNIT_DIR", folder)
    monkeypatch.setattr(programs, "run", lambda *words, **_: "")
    monkeypatch.setattr(worker, "_run_steps", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return folder


def worked(state: Path, *, removes: bool) -> tuple[int, Any]:
    """The worker's exit code, and the outcome in the journal, which is in the history then."""
    transaction: dict[str, Any] = {"id": "T", "steps": [], "watch": None, "backend": "nmstatectl", "removes": removes}
    (state / "open" / "transaction.json").write_text(json.dumps(transaction))
    code = worker.work(state)
    assert not (state / "open").exists()
    return code, Journal(state / "history" / "T").events()[-1]["outcome"]


@pytest.mark.parametrize("removes", [True, False])
def test_the_worker_of_a_removal_removes_the_units(unit_folder: Path, removes: bool) -> None:
    """The command may be gone: its session used the NIC."""
    assert worked(unit_folder.parent / "state", removes=removes) == (0, "kept")
    assert [path.name for path in sorted(unit_folder.iterdir())] == ([] if removes else sorted(safeguards.UNITS))


def test_the_units_are_removed_after_the_closing_and_under_the_lock(
    unit_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = unit_folder.parent / "state"
    seen: list[bool] = []

    def look() -> None:
        with pytest.raises(BlockingIOError), lock.hold_lock(state, wait_for=False):
            pass
        seen.append((state / "open").exists())

    monkeypatch.setattr(safeguards, "uninstall", look)
    assert worked(state, removes=True) == (0, "kept")
    assert seen == [False]


@pytest.mark.parametrize("error", [HostError("no"), OSError(errno.EROFS, "no"), KeyError("x")])
def test_units_that_cannot_be_removed_do_not_fail_the_removal(
    unit_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(safeguards, "uninstall", raising(error))
    assert worked(unit_folder.parent / "state", removes=True) == (0, "kept")


def test_a_unit_that_cannot_be_removed_does_not_keep_the_others(
    unit_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *rest = safeguards.UNITS
    remove = files.remove_file
    fail = raising(OSError(errno.EIO, "broken"))
    monkeypatch.setattr(programs, "run", raising(HostError("no")))
    monkeypatch.setattr(files, "remove_file", lambda path: fail() if path.endswith(first) else remove(path))
    safeguards.uninstall()
    assert rest and [path.name for path in unit_folder.iterdir()] == [first]


@pytest.mark.parametrize(
    ("op", "lost_link", "fields"),
    [
        ("probe", False, {"seconds": 15}),
        ("probe", True, {"seconds": 60, "link_went_down": True}),
        ("confirm", True, {"seconds": 15}),
        ("apply", True, {}),
        ("of a later version", True, {}),
    ],
)
def test_the_journal_contains_in_advance_how_long_a_step_waits(
    op: str, lost_link: bool, fields: dict[str, Any]
) -> None:
    context: Any = SimpleNamespace(has_lost_link=lambda: lost_link)
    assert worker._progress_fields({"op": op, "seconds": 15, "patience": 60}, context) == fields


@pytest.mark.guarantee("G97")
def test_the_connections_are_noted_before_a_confirmation_can_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kvmnet confirm` begins when the journal has the start of the step."""
    seen: list[list[str]] = []
    events = Journal(tmp_path)
    monkeypatch.setattr(worker, "note_connections", lambda _: seen.append([e["event"] for e in events.events()]))
    monkeypatch.setattr(worker, "NetworkManager", contextlib.nullcontext)
    monkeypatch.setattr(worker, "find_backend", lambda _: None)
    monkeypatch.setattr(worker, "read_carrier_changes", dict)
    monkeypatch.setattr(worker, "run_step", lambda *_: "")
    monkeypatch.setattr(worker, "_return_fields", lambda *_: {})
    steps: list[Any] = [
        {"op": op, "title": op, "limit": 5, "seconds": 5} for op in ("read back", "confirm", "read back")
    ]
    worker._run_steps(steps, tmp_path, events, "nmstatectl")
    assert seen == [["do", "done"]]
