"""Tests of `kvmnet pull`, with real git: its outcomes, exit codes and record. The change itself is replaced."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from kvmnet.cli import pull, this_host
from kvmnet.core.live.pull_settings import PullSettings
from kvmnet.core.live.surroundings import HostConfiguration
from kvmnet.host import host_configuration, pull_units, read_live
from kvmnet.pull import mirror as mirror_module
from kvmnet.transaction import prepare
from kvmnet.transaction.prepare import ChangeOptions
from tests.unit.cli.samples import run
from tests.unit.pull.repositories import DEFINITION, MAC, Origin, mirror_of

URL = "ssh://git@10.1.1.1/n.git"


class Host:
    """A host whose change ends with `exit_code`."""

    def __init__(self, origin: Origin, state_dir: Path) -> None:
        self.origin, self.state_dir = origin, state_dir
        self.settings, self.problem = PullSettings(URL), ""
        self.exit_code = 0
        self.wishes: list[ChangeOptions] = []
        self.hosts: list[str] = []

    @property
    def record(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.state_dir / "pull" / "record.json").read_text())
        return data

    def change(self, console: Any, prepare_change: Any, yes: bool, dry_run: bool) -> int:
        bundle, wishes = prepare_change(self.state_dir)
        self.wishes.append(wishes)
        self.hosts.append(bundle.host)
        assert yes
        return self.exit_code


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    origin = Origin(tmp_path / "origin")
    origin.commit(DEFINITION)
    made = Host(origin, tmp_path / "state")
    link = SimpleNamespace(mac=MAC.upper(), name="eth0")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(
        host_configuration, "read_host_configuration", lambda: HostConfiguration(False, made.problem, made.settings)
    )
    monkeypatch.setattr(mirror_module, "Mirror", lambda folder, remote, branch: mirror_of(origin, folder))
    for module in (pull, this_host):
        monkeypatch.setattr(module, "state_path", lambda: made.state_dir)
    monkeypatch.setattr(read_live, "read_links", lambda: {"eth0": link})
    monkeypatch.setattr(read_live, "read_hostname", lambda: "a")
    monkeypatch.setattr(prepare, "prepare", lambda bundle, state, wishes, progress: (bundle, wishes))
    monkeypatch.setattr(pull, "run_transaction", made.change)
    monkeypatch.setattr(this_host, "_require_unwritable", lambda paths, allow: None)
    return made


def test_the_bundle_of_this_host_is_applied_and_confirmed_by_a_fetch(host: Host, capsys: Any) -> None:
    host.settings = dataclasses.replace(host.settings, adopt=True, allow=("KVN535",), allow_guest_loss=("web1",))
    assert run("pull") == 0
    [wishes] = host.wishes
    assert host.hosts == ["a"]
    assert (wishes.adopt, wishes.allow, wishes.lose) == (True, frozenset({"KVN535"}), frozenset({"web1"}))
    assert wishes.fetch is not None and wishes.confirm == 0
    commit = host.origin.git("rev-parse", "HEAD")
    assert (host.record["result"], host.record["applied"], host.record["fetched"]) == ("applied", commit, commit)
    assert f"applied commit {commit[:12]}" in capsys.readouterr().out


def test_an_applied_bundle_is_up_to_date_without_reading_the_host(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(pull, "_is_applied", lambda bundle: True)
    assert run("pull") == 0
    assert host.wishes == [] and host.record["result"] == "up to date"
    assert "up to date: the bundle of a in this commit is applied already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("exit_code", "outcome", "result", "text"),
    [
        (3, "rolled back", "rolled back", "was rolled back and is not tried again until its bundle changes: no reply"),
        (4, None, "rolled back", "was rolled back, but the host was not verified (see `kvmnet status`): see"),
        (3, "nothing was begun", "failed", "was not applied: no reply"),
    ],
)
def test_a_change_that_was_not_kept_is_reported(
    host: Host,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
    exit_code: int,
    outcome: Optional[str],
    result: str,
    text: str,
) -> None:
    ended = [SimpleNamespace(outcome=outcome, why="no reply")] if outcome else []
    monkeypatch.setattr("kvmnet.transaction.history.read_history", lambda _: ended)
    host.exit_code = exit_code
    assert run("pull", "--retry") == exit_code
    assert (host.record["result"], host.record["applied"]) == (result, None)
    assert f"commit {host.origin.git('rev-parse', 'HEAD')[:12]} {text}" in capsys.readouterr().out


def test_a_digest_that_was_rolled_back_is_refused_unless_it_is_tried_again(host: Host, capsys: Any) -> None:
    run("pull")
    bundle = json.loads((host.state_dir / "pull/bundles/a/bundle.json").read_text())
    record = {**host.record, "rolled_back": {bundle["digest"]: {"at": 1.0, "why": "no reply"}}}
    (host.state_dir / "pull" / "record.json").write_text(json.dumps(record))
    assert run("pull") == 5
    assert "KVN573" in capsys.readouterr().err and (host.record["result"], host.record["code"]) == ("refused", "KVN573")
    assert len(host.wishes) == 1
    assert run("pull", "--retry") == 0
    assert len(host.wishes) == 2


def test_what_stops_a_run_is_recorded_with_its_exit_code(host: Host, tmp_path: Path, capsys: Any) -> None:
    host.origin.commit(DEFINITION.replace(MAC, "02:00:00:00:00:09").replace("  a:", "  c:"))
    host.origin.git("rm", "-r", "--quiet", "states/a")
    host.origin.commit()
    assert run("pull", "--json") == 5
    failed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (failed["event"], failed["code"], failed["exit"]) == ("failed", "KVN572", 5)
    host.origin.folder.rename(tmp_path / "gone")
    assert run("pull") == 1
    assert (host.record["result"], host.record["code"]) == ("not reachable", "KVN575")
    assert host.wishes == []


def test_pull_mode_must_be_configured(host: Host, capsys: Any) -> None:
    host.settings = PullSettings()
    assert run("pull") == run("pull", "--enable") == 5
    assert "pull-repository = URL" in capsys.readouterr().err
    host.problem = "/etc/kvmnet/kvmnet.conf, line 1: no"
    assert run("pull") == 5
    assert "KVN574: this host's configuration cannot be used" in capsys.readouterr().err


def test_a_dry_run_does_not_record_a_change(host: Host) -> None:
    assert run("pull", "--dry-run") == 0
    assert host.record["result"] is None and host.record["accepted"] is None


def test_the_timer_is_installed_with_the_interval_and_removed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(pull_units, "enable", lambda interval, print_line: calls.append(interval))
    monkeypatch.setattr(pull_units, "disable", lambda print_line: calls.append("off"))
    host.settings = dataclasses.replace(host.settings, interval=45)
    assert run("pull", "--enable") == run("pull", "--disable") == 0
    assert calls == [45, "off"]
    assert run("pull", "--enable", "--disable") == run("pull", "--enable", "--retry") == 2
