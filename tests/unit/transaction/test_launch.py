"""Opening a transaction, starting its worker, following its journal."""

from __future__ import annotations

import errno
import io
import json
import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.assessment import assess
from kvmnet.core.base.errors import Refused
from kvmnet.rescue import closing, snapshot
from kvmnet.system import files, lock, programs, state_folder, units
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from kvmnet.transaction import (
    launch,
    safeguards,
)
from kvmnet.transaction.history import read_history
from kvmnet.transaction.prepare import Prepared
from tests.unit.core.samples import before
from tests.unit.transaction.samples import BUNDLE, PROGRAM, raising


def follow(*events: dict[str, Any], state: Path = Path("/nowhere")) -> tuple[Any, list[str]]:
    text = "".join(json.dumps(event) + "\n" for event in events)
    shown: list[str] = []
    return launch.follow(io.StringIO(text), state, "T", lambda e: shown.append(e["event"])), shown


def test_following_ends_with_the_transaction() -> None:
    assert follow({"event": "do"}, {"event": "end", "outcome": "kept"}) == (0, ["do", "end"])
    assert follow({"event": "end", "outcome": "rolled back"})[0] == 3
    assert follow({"event": "undo"}, {"event": "not-verified", "differences": []})[0] == 4


def test_following_notices_that_the_worker_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: False)
    clock = iter(float(n) for n in range(0, 1000, 3))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    assert follow({"event": "do"}, state=tmp_path) == (None, ["do"])


def test_systemctl_runs_only_if_no_process_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking starts a process, and NetworkManager needs the processor."""
    taken = iter([True, True, False])
    asked: list[str] = []
    monkeypatch.setattr(lock, "is_locked", lambda state: state == tmp_path and next(taken))
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: bool(asked.append(unit)))
    monkeypatch.setattr(launch, "WORKER_CHECK_SECONDS", 0)
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert follow({"event": "do"}, state=tmp_path) == (None, ["do"])
    assert asked == [launch.unit_name("T")] and next(taken, None) is None


def test_a_removal_has_ended_when_its_worker_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the units might still exist, and the lock be taken."""
    asked: list[str] = []
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: bool(asked.append(unit)) or len(asked) < 3)
    for identity, removes in (("T", True), ("U", False)):
        (tmp_path / "history" / identity).mkdir(parents=True)
        (tmp_path / "history" / identity / "transaction.json").write_text(json.dumps({"removes": removes}))
        launch.wait_until_closed(tmp_path, identity, launch.KEPT)
    launch.wait_until_closed(tmp_path, "T", launch.ROLLED_BACK)
    assert asked == [launch.unit_name("T")] * 3


@pytest.mark.guarantee("G07")
def test_an_open_transaction_refuses_the_next(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    with pytest.raises(Refused, match="a transaction is open") as refused, launch.lock_state_folder(tmp_path):
        pass
    assert refused.value.hint is not None and "rescue.pyz" in refused.value.hint


def test_two_commands_at_once_are_refused(tmp_path: Path) -> None:
    with (
        launch.lock_state_folder(tmp_path),
        pytest.raises(Refused, match="another kvmnet"),
        launch.lock_state_folder(tmp_path),
    ):
        pass
    with launch.lock_state_folder(tmp_path) as path:
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_worker_that_systemd_does_not_start_leaves_no_open_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").mkdir()

    def refuse(*words: str, **_: object) -> str:
        if "--on-active=5" in words or words[0] == "systemctl":
            return ""  # the watchdog starts
        assert words[0] == "systemd-run"
        assert words[words.index("-I") - 2] == "/usr/bin/env", "SELinux does not let systemd start a program of a venv"
        raise HostError("systemd-run: no")

    monkeypatch.setattr(programs, "run", refuse)
    with pytest.raises(Refused, match="cannot start the worker"):
        launch.start(tmp_path, "T")
    assert not (tmp_path / "open").exists()


def test_a_host_that_can_start_no_process_leaves_no_open_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(programs, "run", raising(OSError(errno.ENOMEM, "Cannot allocate memory")))
    with pytest.raises(Refused, match="Cannot allocate memory"):
        launch.start(tmp_path, "T")
    assert opened(tmp_path) == []
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(safeguards, "arm", lambda *_: None)
    with pytest.raises(Refused, match="cannot start the worker"):
        launch.start(tmp_path, "T")
    assert opened(tmp_path) == []


def opened(state: Path) -> list[str]:
    return [path.name for path in state.iterdir() if path.name.startswith("open")]


def test_a_transaction_is_written_completely(tmp_path: Path, prepared: Prepared) -> None:
    identity = launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert opened(tmp_path) == ["open"]
    assert files.read_json(tmp_path / "open" / "transaction.json")["id"] == identity
    assert (tmp_path / "open" / "ballast").stat().st_size == state_folder.BALLAST_SIZE
    assert [e["event"] for e in Journal(tmp_path / "open").events()] == ["begin"]


def test_the_snapshot_has_the_rules_of_the_definition_now_and_before(tmp_path: Path, prepared: Prepared) -> None:
    new, old = ({"family": "ipv4", "ip-from": f"192.0.2.{n}/32", "route-table": n, "priority": n} for n in (7, 8))
    bundle = replace(BUNDLE, state={**BUNDLE.state, "route-rules": {"config": [new]}})
    live = replace(before(), applied_state={"route-rules": {"config": [new, old]}})
    launch.open_transaction(tmp_path, replace(prepared, assessment=assess(bundle, live)), PROGRAM)
    assert files.read_json(tmp_path / "open" / "snapshot.json")["rules"] == [
        {"priority": 7, "from": "192.0.2.7/32", "to": None},
        {"priority": 8, "from": "192.0.2.8/32", "to": None},
    ]


def test_a_transaction_records_the_interfaces_for_the_confirmation(tmp_path: Path, prepared: Prepared) -> None:
    launch.open_transaction(tmp_path, replace(prepared, proving=("stor",)), PROGRAM)
    assert files.read_json(tmp_path / "open" / "transaction.json")["proving"] == ["stor"]


@pytest.mark.parametrize(
    ("before", "stamp"),
    [
        (["29990101-000000-99"], "29990101-000001"),  # the clock was set back; 1000 sorts before 99
        (["29991231-235959-7", "29991231-235958-8"], "30000101-000000"),
        (["29990101-000000-99", "29990101-000000-100", "20200101-000000-1"], "29990101-000001"),
    ],
)
def test_an_id_sorts_after_the_history_even_when_the_clock_was_set_back(
    tmp_path: Path, prepared: Prepared, before: list[str], stamp: str
) -> None:
    for name in before:
        (tmp_path / "history" / name).mkdir(parents=True)
    assert launch.open_transaction(tmp_path, prepared, PROGRAM) == f"{stamp}-{os.getpid()}"
    closing.close_transaction(tmp_path, "kept")
    assert [one.id for one in read_history(tmp_path)] == [f"{stamp}-{os.getpid()}"]
    assert max((tmp_path / "history").iterdir()).name.startswith(stamp)


def test_an_id_has_the_current_time(tmp_path: Path) -> None:
    for name in ("20200101-000000-1", "1790000000", "29990101-1", "lost+found"):  # the last three are no ids
        (tmp_path / "history" / name).mkdir(parents=True)
    begun = datetime.strptime(launch.next_id(tmp_path).rpartition("-")[0] + "+0000", f"{launch.ID_TIME_FORMAT}%z")
    assert abs((datetime.now(timezone.utc) - begun).total_seconds()) < 60


@pytest.mark.parametrize(
    "error", [HostError("nmcli: no answer within 30 s"), PermissionError(errno.EACCES, "no", "/etc/x")]
)
def test_a_host_that_cannot_be_read_for_the_snapshot_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared, error: Exception
) -> None:
    monkeypatch.setattr(snapshot, "take_snapshot", raising(error))
    with pytest.raises(Refused) as refused:
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert (refused.value.code, refused.value.exit_code) == ("KVN512", 5)
    assert opened(tmp_path) == []


@pytest.mark.guarantee("G60")
@pytest.mark.parametrize(
    "file", ["snapshot.json", "transaction.json", "ballast", "rescue.pyz", "kvmnet-boot-undo.service"]
)
@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "KVN510"), (errno.EDQUOT, "KVN510"), (errno.EROFS, "KVN509")]
)
def test_a_file_that_cannot_be_written_is_a_refusal_that_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared, file: str, number: int, code: str
) -> None:
    write = files.write_file

    def refuse(path: str, *rest: Any) -> None:
        if Path(path).name == file:
            raise OSError(number, "the disk is broken")
        write(path, *rest)

    monkeypatch.setattr(files, "write_file", refuse)
    with pytest.raises(Refused, match="the disk is broken") as refused:
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert refused.value.code == code
    assert opened(tmp_path) == []


@pytest.mark.parametrize("word", ["mkdir", "rename"])
def test_a_folder_that_cannot_be_created_is_a_refusal_that_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared, word: str
) -> None:
    safeguards.install(tmp_path, PROGRAM)
    monkeypatch.setattr(safeguards, "install", lambda *_: None)
    monkeypatch.setattr(Path, word, raising(OSError(errno.EIO, "broken")))
    with pytest.raises(Refused, match="broken") as refused:
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert refused.value.code == "KVN509"
    assert opened(tmp_path) == []


def test_a_transaction_that_cannot_be_synced_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared
) -> None:
    sync = files.sync_folder
    fail = raising(OSError(errno.EIO, "broken"))
    monkeypatch.setattr(files, "sync_folder", lambda path: fail() if (tmp_path / "open").exists() else sync(path))
    with pytest.raises(Refused, match="broken"):
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert opened(tmp_path) == []


def test_a_bug_is_not_hidden_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared
) -> None:
    monkeypatch.setattr(Journal, "append", raising(KeyError("x")))
    with pytest.raises(KeyError):
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert opened(tmp_path) == []


def test_a_state_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused) as refused, launch.lock_state_folder(tmp_path / "file" / "kvmnet"):
        pass
    assert refused.value.code == "KVN509"


def test_an_error_under_the_lock_is_not_reported_as_an_error_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), launch.lock_state_folder(tmp_path):
        raise BlockingIOError("another one's")
