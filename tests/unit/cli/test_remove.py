"""Tests of `kvmnet remove`: what it restores, and who may run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet import applied_record
from kvmnet.cli import remove
from kvmnet.core.base.errors import Refused
from kvmnet.transaction.prepare import ChangeOptions
from tests.unit.cli.samples import run
from tests.unit.core.rendering.samples import example_bundle


def test_the_options_reach_the_preparation(wishes: list[Any]) -> None:
    options = ["--confirm-within", "60", "--allow", "KVN535", "--allow-guest-loss", "web1", "--allow-guest-loss", "db1"]
    assert run("remove", "--yes", *options) == 0
    assert wishes == [ChangeOptions(120, 60, frozenset({"KVN535"}), frozenset({"web1", "db1"}))]


@pytest.mark.parametrize(("options", "given"), [([], (False, False)), (["-y", "--dry-run"], (True, True))])
def test_the_question_and_the_dry_run_are_passed_on(
    wishes: list[Any], monkeypatch: pytest.MonkeyPatch, options: list[str], given: tuple[bool, bool]
) -> None:
    calls: list[tuple[bool, bool]] = []
    monkeypatch.setattr(remove, "run_transaction", lambda console, prepare, yes, dry: calls.append((yes, dry)) or 6)
    assert run("remove", *options) == 6, "the exit code is that of the transaction"
    assert calls == [given] and wishes == []


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_only_root_can_see_or_make_a_removal(
    wishes: list[Any], monkeypatch: pytest.MonkeyPatch, options: list[str], capfdbinary: Any
) -> None:
    """The snapshots that it is planned from are readable by root alone."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run("remove", *options) == 5
    assert b"KVN500: only root can restore this host" in capfdbinary.readouterr()[1] and wishes == []


def test_a_host_on_which_nothing_is_applied_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="nothing is applied on this host") as refused:
        remove._read_applied_bundle(tmp_path)
    assert refused.value.code == "KVN562"
    monkeypatch.setattr(applied_record, "read_applied", lambda state: example_bundle())
    assert remove._read_applied_bundle(tmp_path) is example_bundle()
