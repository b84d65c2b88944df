"""Tests of `kvmnet apply`: where its bundle comes from, and which options reach the preparation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet import pipeline
from kvmnet.cli import apply
from kvmnet.core.reporting.saved_plan import SavedPlan
from kvmnet.transaction import prepare
from kvmnet.transaction.prepare import ChangeOptions
from tests.unit.cli.samples import EXAMPLE, run


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What reaches the preparation on a host of root: the host of the bundle, the options, yes, dry run."""
    given: list[tuple[Any, ...]] = []

    def run_transaction(console: Any, prepare_change: Any, yes: bool, dry_run: bool) -> int:
        bundle, options = prepare_change(Path("/nonexistent"))
        given.append((bundle.host, options, yes, dry_run))
        return 3

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(apply, "run_transaction", run_transaction)
    monkeypatch.setattr(apply, "match_this_host", lambda bundles, host: bundles[0])
    monkeypatch.setattr(
        apply, "bundle_of_this_host", lambda console, path, host, folder, allow: pipeline.load(path).bundles()[0]
    )
    monkeypatch.setattr(prepare, "prepare", lambda bundle, state, options, progress: (bundle, options))
    return given


def test_the_options_reach_the_preparation(calls: list[tuple[Any, ...]]) -> None:
    options = [
        "--timeout",
        "60",
        "--confirm-within",
        "300",
        "--allow",
        "kvn535",
        "--allow-guest-loss",
        "web1",
        "-y",
        "--adopt",
    ]
    assert run("apply", EXAMPLE, *options) == 3, "the exit code is that of the transaction"
    given = ChangeOptions(60, 300, frozenset({"KVN535"}), frozenset({"web1"}), adopt=True)
    assert calls == [("vm-container-0-0", given, True, False)]


def test_the_defaults(calls: list[tuple[Any, ...]]) -> None:
    run("apply", EXAMPLE, "--dry-run")
    assert calls == [("vm-container-0-0", ChangeOptions(120, None, frozenset(), frozenset()), False, True)]


@pytest.mark.parametrize("other", [[EXAMPLE], ["--bundle", "states/h"]])
def test_a_saved_plan_and_a_definition_exclude_each_other(
    calls: list[tuple[Any, ...]], other: list[str], capfdbinary: Any
) -> None:
    assert run("apply", "--plan", "change.plan", *other) == 2
    assert b"--plan cannot be used together with PATH or --bundle" in capfdbinary.readouterr()[1]
    assert calls == []


def test_only_root_can_apply_and_every_user_can_see_the_plan(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run("apply", EXAMPLE) == 5
    assert b"KVN500: only root can change this host's network" in capfdbinary.readouterr()[1]
    assert calls == []
    assert run("apply", EXAMPLE, "--dry-run") == 3 and len(calls) == 1


def test_what_a_saved_plan_overrides_is_added_to_the_options(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = pipeline.load(EXAMPLE).bundles()[0]
    saved = SavedPlan(bundle, {}, ("KVN535",), {}, ("web1",), adopt=True)
    checked: list[Any] = []
    monkeypatch.setattr(apply, "read_saved_plan", lambda file, allow: saved)
    monkeypatch.setattr(apply, "_require_same_plan", lambda *given: checked.append(given))
    assert run("apply", "--plan", "change.plan", "--allow-guest-loss", "db1") == 3
    ((host, options, _, _),) = calls
    assert (host, options.allow, options.lose) == (bundle.host, {"KVN535"}, {"web1", "db1"})
    assert options.adopt
    assert checked == [(saved, (bundle, options))], "the host must be as it was for the saved plan"
