"""Tests of `kvmnet purge`: it asks first, and not while a transaction is open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvmnet.cli import purge
from tests.unit.cli.samples import run
from tests.unit.transaction.test_purge import add, with_secrets


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(purge, "state_path", lambda: tmp_path)
    for number in (1, 2, 3):
        add(tmp_path, f"2026010{number}-000000-1", adopts=number == 1)
    return tmp_path


@pytest.mark.guarantee("G98")
def test_the_outcome_is_printed_as_text_and_json(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("purge", "--yes", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["deleted"], printed["bytes"] > 0) == (["20260102-000000-1"], True)
    assert printed["kept"][0] == {"id": "20260101-000000-1", "needed_by": "kvmnet remove"}
    assert with_secrets(state) == ["20260101", "20260103"]
    assert run("purge", "--yes") == 0
    assert capsys.readouterr().out.splitlines() == [
        "no snapshot of a closed transaction can be deleted",
        "note: that of 20260101-000000-1 is kept for kvmnet remove",
        "note: that of 20260103-000000-1 is kept for kvmnet rollback",
    ]


@pytest.mark.guarantee("G98")
def test_without_a_terminal_it_needs_the_option(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("purge") == 2
    assert "add --yes" in capsys.readouterr().err
    assert len(with_secrets(state)) == 3


@pytest.mark.guarantee("G98")
def test_it_asks_on_a_terminal(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for answer, left, code in ((False, 3, 1), (True, 2, 0)):
        monkeypatch.setattr("typer.confirm", lambda _, answer=answer: answer)
        assert run("purge") == code
        assert len(with_secrets(state)) == left
    assert "  20260102-000000-1" in capsys.readouterr().out.splitlines()


@pytest.mark.guarantee("G98")
def test_it_is_refused_while_a_transaction_is_open(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (state / "open").mkdir()
    assert run("purge", "--yes") == 5
    assert "KVN502" in capsys.readouterr().err
    assert len(with_secrets(state)) == 3
