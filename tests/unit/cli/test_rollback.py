"""Tests of `kvmnet rollback` and `kvmnet remove`: their options, and the rollback of an open transaction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.cli import rollback
from kvmnet.cli.console import Console
from kvmnet.core.planning.ownership import OwnershipRecord, ownership_record_to_json
from kvmnet.transaction import history, launch
from kvmnet.transaction.history import OpenTransaction
from tests.unit.cli.samples import run


@pytest.mark.parametrize("command", ["remove", "rollback"])
@pytest.mark.parametrize("before", [{}, {"bundle.json": "{}"}])
@pytest.mark.parametrize(
    ("options", "seconds"), [([], None), (["--no-confirm"], 0), (["--confirm-within", "300"], 300)]
)
def test_a_rollback_or_removal_may_wait_for_confirmation(
    monkeypatch: pytest.MonkeyPatch,
    wishes: list[Any],
    command: str,
    before: dict[str, str],
    options: list[str],
    seconds: Optional[int],
) -> None:
    monkeypatch.setattr(history, "read_previous_bundle", lambda _: before)
    monkeypatch.setattr("kvmnet.core.rendering.bundle_files.read_bundle", lambda *_: None)
    assert run(command, "--yes", *options) == 0
    assert [given.confirm for given in wishes] == [seconds]


def test_bridges_and_bonds_return_to_their_macs(monkeypatch: pytest.MonkeyPatch, wishes: list[Any]) -> None:
    bridge = {"name": "br0", "type": "linux-bridge", "state": "up", "mac-address": "02:00:00:00:00:01"}
    record = ownership_record_to_json(OwnershipRecord({}, {"interfaces": [bridge]}, {}))
    for text, macs in ((json.dumps(record), {"br0": "02:00:00:00:00:01"}), ("{", {})):
        files = {"bundle.json": "{}", "interfaces.json": text}
        monkeypatch.setattr(history, "read_previous_bundle", lambda _, found=files: found)
        monkeypatch.setattr("kvmnet.core.rendering.bundle_files.read_bundle", lambda *_: None)
        assert run("rollback", "--yes") == 0
        assert wishes.pop().macs == macs


@pytest.mark.parametrize("command", ["remove", "rollback"])
def test_a_refusal_is_one_event(monkeypatch: pytest.MonkeyPatch, command: str, capfdbinary: Any) -> None:
    """Also when `rollback` has nothing to go back to and does what `remove` does."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(history, "read_open_transaction", lambda _: None)
    monkeypatch.setattr(history, "read_previous_bundle", lambda _: {})
    monkeypatch.setattr("kvmnet.applied_record.read_applied", lambda _: None)
    assert run(command, "--json") == 5
    events = [json.loads(line) for line in capfdbinary.readouterr()[0].splitlines()]
    assert [(event["event"], event["code"]) for event in events] == [("failed", "KVN562")]


@pytest.mark.guarantee("G09")
def test_an_open_transaction_is_rolled_back_also_if_the_output_is_not_read(
    open_transaction: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, calls = open_transaction
    monkeypatch.setattr(launch, "follow", lambda *_: 3)
    monkeypatch.setattr(rollback, "state_path", lambda: state)
    transaction = OpenTransaction("T", "h", 0.0, "x", 12.4, True, False, ())
    assert rollback._roll_back_open(Console(False), transaction, dry_run=False) == 0
    assert calls == ["cancel"]


def test_a_dry_run_does_not_roll_back_the_open_transaction(
    open_transaction: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, calls = open_transaction
    monkeypatch.setattr(Console, "print_line", lambda _, text: print(text))
    transaction = OpenTransaction("T", "h", 0.0, "x", 12.4, True, False, ())
    assert rollback._roll_back_open(Console(False), transaction, dry_run=True) == 0
    assert capfd.readouterr().out == "transaction T of h: would be rolled back\n" and calls == []
