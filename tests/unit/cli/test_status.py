"""Tests of `kvmnet status`: the lines about an open transaction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvmnet.cli import status
from kvmnet.cli.history import format_time
from kvmnet.cli.status import _configuration_lines, format_open, format_pull
from kvmnet.core.live.pull_settings import PullSettings
from kvmnet.core.live.surroundings import HostConfiguration
from kvmnet.host import host_configuration
from kvmnet.pull.record import PullRecord, write_record
from kvmnet.system import clock, units
from kvmnet.transaction.history import OpenTransaction, read_open_transaction
from tests.unit.cli.samples import event, run


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


def test_pull_mode_is_shown_with_what_the_host_is_behind() -> None:
    settings = PullSettings("ssh://git@h/n.git")
    assert format_pull(settings, PullRecord()) == ["pull: branch main of ssh://git@h/n.git; not run yet"]
    record = PullRecord("f" * 40, "a" * 40, "b" * 40, "refused", "it is not signed", "KVN571", 0.0)
    assert format_pull(settings, record)[1:] == [
        f"  {format_time(0.0)}: refused: KVN571: it is not signed",
        "  commit fetched: ffffffffffff; commit applied: bbbbbbbbbbbb",
    ]
    current = PullRecord("f" * 40, "f" * 40, "f" * 40, "up to date")
    assert format_pull(settings, current)[1:] == [f"  {format_time(0.0)}: up to date"]
    assert "not configured any more" in format_pull(PullSettings(), current)[0]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of a host on which nothing is applied."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(status, "state_path", lambda: tmp_path / "state")
    monkeypatch.setattr(
        host_configuration, "read_host_configuration", lambda: HostConfiguration(pull=PullSettings("git@h:n.git"))
    )
    return tmp_path / "state"


def test_json_has_the_state_of_pull_mode(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_record(host, PullRecord("f", "a", "b", "not reachable", "refused", "KVN575", 1.0))
    assert run("status", "--json") == 0
    report = json.loads(capsys.readouterr().out)["pull"]
    assert (report["fetched"], report["applied"], report["code"], report["behind"]) == ("f", "b", "KVN575", True)
    assert (report["repository"], report["branch"]) == ("git@h:n.git", "main")


def test_metrics_are_written_as_a_file_that_everyone_can_read(
    host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "kvmnet.prom"
    file.write_text("old")
    old = file.stat().st_ino
    assert run("status", "--prometheus", str(file)) == 0
    assert file.stat().st_mode & 0o777 == 0o644 and file.stat().st_ino != old, "it is replaced as a whole"
    assert "kvmnet_transaction_open 0\n" in file.read_text() and [p.name for p in tmp_path.iterdir()] == ["kvmnet.prom"]
    assert capsys.readouterr().out == ""
    assert run("status", "--prometheus", "-") == 0
    assert capsys.readouterr().out == file.read_text()
    assert run("status", "--prometheus", str(tmp_path / "none" / "kvmnet.prom")) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert run("status", "--prometheus", "-", "--json") == 2
