"""Tests of `kvmnet status`: the lines about an open transaction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvmnet.cli.status import _configuration_lines, format_open
from kvmnet.core.live.surroundings import HostConfiguration
from kvmnet.system import clock, units
from kvmnet.transaction.history import OpenTransaction, read_open_transaction
from tests.unit.cli.samples import event


@pytest.mark.guarantee("G07")
def test_a_rollback_that_could_not_be_verified_is_shown_with_what_to_do() -> None:
    lines = format_open(
        OpenTransaction("T", "h", 0.0, "x", None, False, True, ("routes: gone x",), ("ip route add x",))
    )
    assert lines[1:] == [
        "  rolling back: x",
        "  no process is working on it: run `kvmnet rollback`",
        "  differences from the state before the change:",
        "    routes: gone x",
        "  commands that may fix them:",
        "    ip route add x",
        "  to accept the host as it is: /usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz --accept",
    ]


def test_a_rollback_is_shown_with_its_reason() -> None:
    transaction = OpenTransaction("T", "h", 0.0, "x", None, True, True, (), why="no reply", likely=("no carrier",))
    assert format_open(transaction)[1:] == [
        "  rolling back: x",
        "  reason: no reply",
        "  likely reason: no carrier",
    ]


def test_a_running_step_is_shown_with_its_deadline() -> None:
    lines = format_open(OpenTransaction("T", "h", 0.0, "x", 12.4, True, False, ()))
    assert lines[1:] == [
        "  now: x",
        "  the watchdog starts the rollback in 12 s if the current step has not ended by then",
    ]


def test_the_time_left_for_the_confirmation_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shorter than the deadline of the watchdog."""
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: True)
    monkeypatch.setattr(clock, "uptime", lambda: 150.0)
    waiting = event(100, "do", step=0, op="confirm", title="wait for confirmation", seconds=120, until=250)
    events = [event(90, "begin", steps=["x"]), waiting]
    for later, confirm_left, left in (([], 70.0, 100.0), ([event(140, "done", step=0)], None, None)):
        journal = tmp_path / "open" / "journal.jsonl"
        journal.write_text("".join(json.dumps(one) + "\n" for one in [*events, *later]))
        transaction = read_open_transaction(tmp_path)
        assert transaction is not None and transaction.confirm_left == confirm_left
        assert left is None or transaction.left == left
        line = "  waiting for `kvmnet confirm` over a new SSH connection: 70 s left"
        assert (line in format_open(transaction)) is (confirm_left is not None)


def test_the_configuration_of_the_host_is_shown_when_it_is_not_the_default() -> None:
    assert _configuration_lines(HostConfiguration()) == []
    assert _configuration_lines(HostConfiguration(True)) == [
        "commands of definitions may run on this host (allow-commands)"
    ]
    assert _configuration_lines(HostConfiguration(problem="x")) == ["this host's configuration cannot be used: x"]
