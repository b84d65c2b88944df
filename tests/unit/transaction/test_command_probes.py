"""The definition's commands: after the user agrees, once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.core.effects.probe_choice import Probes
from kvmnet.transaction import verification_steps
from kvmnet.transaction.command_probes import run_commands
from kvmnet.transaction.prepare import Prepared

GATEWAY = Probe("gateway", "10.1.1.1")


def command(script: str) -> Probe:
    return Probe("command", command=(sys.executable, "-c", script))


def prepared_with(*commands: Probe, must: tuple[Probe, ...] = (GATEWAY,)) -> Prepared:
    assessment: Any = None
    probes = Probes(must, commands=commands)
    return Prepared(assessment, "", steps=verification_steps.probe((*must, *commands)), probes=probes)


@pytest.mark.guarantee("G90")
def test_each_command_runs_once_and_one_that_fails_is_not_asked_again(tmp_path: Path) -> None:
    log = f"open({str(tmp_path / 'log')!r}, 'a').write('x')"
    good, bad = command(log), command(f"{log}; raise SystemExit(1)")
    after, failed = run_commands(prepared_with(good, bad), lambda _: None)
    assert failed == (bad,) and after.probes.commands == (good,)
    assert (tmp_path / "log").read_text() == "xx", "each once"
    (step,) = after.steps
    assert step["targets"] == [GATEWAY.to_json(), good.to_json()]
    assert step["title"] == f"probe 10.1.1.1, {good.text}"


def test_without_targets_that_are_left_there_is_no_probe_step() -> None:
    after, _ = run_commands(prepared_with(command("raise SystemExit(1)"), must=()), lambda _: None)
    assert after.steps == []


def test_a_change_without_commands_is_not_altered() -> None:
    prepared = prepared_with()
    assert run_commands(prepared, pytest.fail) == (prepared, ())
