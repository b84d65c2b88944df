"""Tests of running a prepared change: what happens before and while the transaction starts."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from kvmnet.cli import run_transaction
from kvmnet.cli.console import Console
from kvmnet.core.base.errors import Refused
from kvmnet.core.base.probe import Probe
from kvmnet.core.effects.probe_choice import Probes
from kvmnet.system import programs
from kvmnet.system.errors import HostError
from kvmnet.transaction import launch, safeguards
from kvmnet.transaction.prepare import Prepared

#: A change that is not empty.
PREPARED: Any = SimpleNamespace(plan=SimpleNamespace(empty=False), probes=Probes(), steps=[])


def test_a_rescue_program_that_does_not_run_is_refused_before_the_plan_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise HostError("python3: too old")

    monkeypatch.setattr(run_transaction, "state_path", lambda: tmp_path / "state")
    monkeypatch.setattr(run_transaction, "print_plan", lambda *_: pytest.fail("the plan was printed"))
    monkeypatch.setattr(programs, "run", fail)
    with pytest.raises(Refused, match="the rescue program does not run on this host") as refused:
        run_transaction.run_transaction(Console(False), lambda _: PREPARED, yes=True)
    assert refused.value.code == "KVN509"
    assert list((tmp_path / "state").iterdir()) == [tmp_path / "state" / "lock"]


@pytest.mark.guarantee("G09")
def test_ctrl_c_before_the_transaction_is_followed_is_kept_until_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_blocked: list[bool] = []

    def start(state: Path, identity: str) -> None:
        is_blocked.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    monkeypatch.setattr(run_transaction, "state_path", lambda: tmp_path / "state")
    monkeypatch.setattr(run_transaction, "print_plan", lambda *_: None)
    monkeypatch.setattr(safeguards, "try_rescue_program", lambda _: b"PK")
    monkeypatch.setattr(launch, "open_transaction", lambda *_: "T")
    monkeypatch.setattr(launch, "start", start)
    monkeypatch.setattr(run_transaction, "follow_to_end", lambda *_: 3)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    try:
        assert run_transaction.run_transaction(Console(False), lambda _: PREPARED, yes=True) == 3
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert is_blocked == [True]


@pytest.mark.guarantee("G90")
@pytest.mark.parametrize(("answer", "dry_run", "runs"), [(None, True, 0), (False, False, 0), (True, False, 1)])
def test_the_definitions_commands_run_only_after_the_user_agrees(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: Optional[bool],
    dry_run: bool,
    runs: int,
) -> None:
    command = Probe("command", command=("/bin/sh", "-c", f"echo x >> {tmp_path}/ran; exit 1"))
    plan: Any = SimpleNamespace(empty=False)
    assessment: Any = SimpleNamespace(plan=plan)
    prepared = Prepared(assessment, "", probes=Probes(commands=(command,)))
    opened: list[Prepared] = []
    monkeypatch.setattr(run_transaction, "state_path", lambda: tmp_path / "state")
    monkeypatch.setattr(run_transaction, "print_plan", lambda *_: None)
    monkeypatch.setattr(run_transaction, "follow_to_end", lambda *_: 0)
    monkeypatch.setattr(run_transaction, "defer_interrupt", lambda: None)
    monkeypatch.setattr(safeguards, "try_rescue_program", lambda _: b"PK")
    monkeypatch.setattr(launch, "open_transaction", lambda _, change, __: opened.append(change) or "T")
    monkeypatch.setattr(launch, "start", lambda *_: None)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda _: answer)
    console = Console(False)
    console.is_terminal = True
    monkeypatch.setattr(console, "show_progress", lambda _: None)
    run_transaction.run_transaction(console, lambda _: prepared, yes=False, dry_run=dry_run)
    log = tmp_path / "ran"
    assert (log.read_text().count("x") if log.exists() else 0) == runs
    assert ("fails now, so it will not run after the change" in capsys.readouterr().out) is bool(runs)
    assert [change.probes.commands for change in opened] == [()] * runs
