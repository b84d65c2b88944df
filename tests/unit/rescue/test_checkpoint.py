"""The trial's checkpoint is found and rolled back; those of other tools are left alone."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import checkpoint, undo
from kvmnet.system import clock, files, networkmanager, programs
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from tests.unit.rescue.samples import (
    fake_checkpoints,
)


@pytest.mark.parametrize(
    ("log", "created", "rolled_back"),
    [
        ("Created checkpoint /C/1\n", {"/C/1": 50_000, "/C/2": 300_000}, ["/C/1"]),
        ("", {"/C/1": 50_000, "/C/2": 300_004}, ["/C/2"]),  # a full disk took no log; the other was there before
        ("Nmstate version\n", {"/C/1": 50_000}, []),
        ("", {"/C/gone": None}, []),
        ("", {"/C/others": 300_004}, []),  # came after the apply was announced, but lasts 60 s
    ],
)
def test_the_trials_checkpoint_is_found_with_and_without_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, created: dict[str, Any], rolled_back: list[str]
) -> None:
    """NetworkManager would roll back a checkpoint that is left alone after the host was restored."""
    calls = fake_checkpoints(monkeypatch, created)
    (tmp_path / "nmstate.log").write_text(log)
    steps = [{"op": "rename"}, {"op": "apply", "timeout": 120}]
    (tmp_path / "transaction.json").write_text(json.dumps({"steps": steps}))
    for number, (op, up) in enumerate((("rename", 40.0), ("apply", 300.0))):
        Journal(tmp_path).append("do", step=number, op=op, up=up)
    undo.UNDO["checkpoint"](tmp_path, {"log": "nmstate.log"})
    assert calls == rolled_back


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize(
    ("created", "rolled_back"),
    [
        ({"/C/1": 300_004}, ["/C/1"]),
        ({"/C/1": 350_000}, []),  # NetworkManager was restarted and counts from 1 again
        ({"/C/2": 350_000}, []),  # of an earlier try of nmstate's, which is gone
        ({"/C/1": None}, ["/C/1"]),  # no creation time is reported
    ],
)
def test_a_checkpoint_with_the_trials_path_but_another_creation_time_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, created: dict[str, Any], rolled_back: list[str]
) -> None:
    calls = fake_checkpoints(monkeypatch, created)
    log = tmp_path / "nmstate.log"
    log.write_text("Created checkpoint /C/2\nCreated checkpoint /C/1\n")
    checkpoint.checkpoint_note_file(log).write_text('{"path": "/C/1", "created": 300004}')
    undo.UNDO["checkpoint"](tmp_path, {"log": "nmstate.log"})
    assert calls == rolled_back


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("cut", [False, True])
def test_keyfiles_that_other_tools_wrote_during_a_trial_are_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """NetworkManager's rollback deletes every profile that is newer than the checkpoint, and resets the others."""
    disk = tmp_path / "system-connections"
    texts = {"guest": "uuid=u-guest\n", "eth0": "uuid=u-eth0\n", "ours": "uuid=u-ours\n", "old": "uuid=u-old\nnew=1\n"}
    for name, text in texts.items():
        files.write_file(str(disk / f"{name}.nmconnection"), text.encode(), 0o600)
    calls: list[str] = []

    def run(*argv: str, **_: Any) -> str:
        calls.append(" ".join(argv[:3]))
        if "CheckpointRollback" in argv:
            for name in ("guest", "eth0", "ours"):
                (disk / f"{name}.nmconnection").unlink(missing_ok=True)
            (disk / "old.nmconnection").write_text("uuid=u-old\n")
            if cut:
                raise HostError("killed")
        return "x 300004\n"

    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(networkmanager, "list_checkpoints", lambda: [] if calls and cut else ["/C/1"])
    monkeypatch.setattr(networkmanager, "is_running", lambda: True)
    monkeypatch.setattr(networkmanager, "PROFILE_FOLDERS", (str(disk), str(tmp_path / "run")))
    folder = tmp_path / "open"
    (disk / "before-the-move").mkdir()  # copies that an administrator made
    steps = [{"op": "seed", "undo": [{"op": "profiles", "profiles": {"u-ours": "br0"}}]}]
    files.write_file(str(folder / "transaction.json"), json.dumps({"steps": steps}).encode())
    files.write_file(str(folder / "snapshot.json"), json.dumps({"uuids": ["u-eth0"], "files": []}).encode())
    (folder / "nmstate.log").write_text("Created checkpoint /C/1\n")
    if cut:
        with pytest.raises(HostError):
            undo.UNDO["checkpoint"](folder, {"log": "nmstate.log"})
        assert (folder / "others.json").stat().st_mode & 0o777 == 0o600, "keyfiles may contain passwords"
        (disk / "old.nmconnection").write_text("uuid=u-old\n")
    result = undo.UNDO["checkpoint"](folder, {"log": "nmstate.log"})
    assert {p.stem: p.read_text() for p in disk.iterdir() if p.is_file()} == {k: texts[k] for k in ("guest", "old")}
    assert "guest.nmconnection" in result
    assert "old.nmconnection" in result
    assert calls[-1] == "nmcli connection reload"
    assert sorted(p.name for p in folder.iterdir()) == ["nmstate.log", "snapshot.json", "transaction.json"]


@pytest.mark.guarantee("G16")
def test_before_the_apply_is_announced_no_checkpoint_is_kvmnets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_checkpoints(monkeypatch, {"/C/1": 300_004})
    (tmp_path / "transaction.json").write_text(json.dumps({"steps": [{"op": "rename"}]}))
    Journal(tmp_path).append("do", step=0, op="rename", up=40.0)
    assert undo.UNDO["checkpoint"](tmp_path, {"log": "nmstate.log"}) == "no checkpoint of kvmnet exists"
    assert calls == []


@pytest.mark.parametrize(
    ("deleted", "running", "commands"),
    [
        (True, True, ["nmcli connection reload"]),
        (True, False, []),
        (False, True, []),
        (False, False, []),
    ],
)
def test_keyfiles_are_reloaded_only_if_one_was_restored_and_networkmanager_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deleted: bool, running: bool, commands: list[str]
) -> None:
    keyfile, records = tmp_path / "guest.nmconnection", tmp_path / "others.json"
    keyfile.write_text("uuid=u-guest\n")
    records.write_text(json.dumps([files.record_file(str(keyfile))]))
    if deleted:
        keyfile.unlink()
    calls: list[str] = []
    monkeypatch.setattr(programs, "run", lambda *argv: calls.append(" ".join(argv)) or "")
    monkeypatch.setattr(networkmanager, "is_running", lambda: running)
    assert checkpoint.restore_other_keyfiles(tmp_path) == ([str(keyfile)] if deleted else [])
    assert calls == commands
    assert keyfile.read_text() == "uuid=u-guest\n" and not records.exists()
    assert checkpoint.restore_other_keyfiles(tmp_path) == [], "done once"


def test_keyfiles_that_cannot_be_restored_are_listed_and_their_records_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next rollback tries again."""
    (tmp_path / "file").touch()
    paths = [str(tmp_path / "file" / "a.nmconnection"), str(tmp_path / "b.nmconnection")]
    record = files.record_file(str(tmp_path / "file"))
    (tmp_path / "others.json").write_text(json.dumps([{**record, "path": path} for path in paths]))
    monkeypatch.setattr(networkmanager, "is_running", lambda: False)
    with pytest.raises(HostError, match=r"a\.nmconnection: ") as error:
        checkpoint.restore_other_keyfiles(tmp_path)
    assert "b.nmconnection" not in str(error.value) and Path(paths[1]).exists()
    assert (tmp_path / "others.json").exists()


def test_keyfiles_that_cannot_be_recorded_do_not_stop_the_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_checkpoints(monkeypatch, {"/C/1": 300_004})
    (tmp_path / "nmstate.log").write_text("Created checkpoint /C/1\n")

    def raise_disk_full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(checkpoint, "_record_other_keyfiles", raise_disk_full)
    assert undo.UNDO["checkpoint"](tmp_path, {"log": "nmstate.log"}) == "rolled back /C/1"
    assert calls == ["/C/1"]


def test_checkpoints_are_read_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert checkpoint.read_checkpoints_from_log(log) == []
    log.write_text("[x INFO y] Created checkpoint /org/freedesktop/NetworkManager/Checkpoint/7\nNmstateError: no\n")
    assert checkpoint.read_checkpoints_from_log(log) == ["/org/freedesktop/NetworkManager/Checkpoint/7"]


@pytest.mark.guarantee("G16")
def test_a_checkpoint_of_another_boot_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator may repair the host with nmstatectl after a power loss: the numbers start again."""
    calls = fake_checkpoints(monkeypatch, {"/C/1": 300_004})
    (tmp_path / "nmstate.log").write_text("Created checkpoint /C/1\n")
    for boot, rolled_back in (("another", []), (clock.boot_id(), ["/C/1"])):
        (tmp_path / "transaction.json").write_text(json.dumps({"boot": boot, "steps": []}))
        undo.UNDO["checkpoint"](tmp_path, {"log": "nmstate.log"})
        assert calls == rolled_back
