"""Tests of kvmnet/transaction/purge.py and of `find_needed`, with a history of several transactions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.rescue.closing import find_needed
from kvmnet.system.journal import Journal
from kvmnet.transaction import purge
from kvmnet.transaction.history import read_history
from kvmnet.transaction.original_host import find_original
from kvmnet.transaction.purge import carry_out, find_purge

SECRET = "hunter2"
KEYFILE = "/etc/NetworkManager/system-connections/eth0.nmconnection"
MAC = "00:14:4f:80:de:00"


def add(state: Path, name: str, outcome: str = "kept", *, adopts: bool = False, removes: bool = False) -> Path:
    """Add a closed transaction; each one has recorded the same keyfile."""
    folder = state / "history" / name
    folder.mkdir(parents=True)
    journal = Journal(folder)
    journal.append("begin", id=name)
    journal.append(*([outcome] if outcome == "kept" else ["undo"]))
    journal.append("end", outcome=outcome)
    data = {"id": name, "host": "h", "adopts": [MAC] if adopts else [], "removes": removes, "steps": []}
    (folder / "transaction.json").write_text(json.dumps(data))
    link = {"name": "eth0", "mac": MAC, "altnames": []}
    profile = {"uuid": "u", "device": "eth0", "file": KEYFILE}
    snapshot: dict[str, Any] = {"files": [{"path": KEYFILE, "data": SECRET}], "links": {"eth0": link}, "zones": {}}
    snapshot.update({"addresses": {}, "profiles": [profile], "names": []})
    (folder / "snapshot.json").write_text(json.dumps(snapshot))
    (folder / "original").mkdir()
    (folder / "original" / "snapshot.json").write_text(SECRET)
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A host with four kept changes, one of them rolled back; the first has adopted the NIC."""
    add(tmp_path, "20260101-000000-1", adopts=True)
    add(tmp_path, "20260102-000000-1")
    add(tmp_path, "20260103-000000-1", "rolled back")
    add(tmp_path, "20260104-000000-1")
    return tmp_path


def with_secrets(state: Path) -> list[str]:
    files = [path for path in (state / "history").rglob("*") if path.is_file() and SECRET in path.read_text()]
    return sorted({path.relative_to(state / "history").parts[0][:8] for path in files})


@pytest.mark.guarantee("G98")
def test_only_the_snapshots_that_remove_and_rollback_need_remain(state: Path) -> None:
    before, original = read_history(state), find_original(state)
    found = find_purge(state)
    assert [folder.name[:8] for folder in found.paths] == ["20260102", "20260103"]
    assert {folder.name[:8]: reason for folder, reason in found.kept.items()} == {
        "20260101": "kvmnet remove",
        "20260104": "kvmnet rollback",
    }
    assert len(with_secrets(state)) == 4 and found.size > 100
    carry_out(found)
    assert with_secrets(state) == ["20260101", "20260104"]
    assert read_history(state) == before
    assert find_original(state) == original
    again = find_purge(state)
    assert (again.paths, again.size, again.kept) == ({}, 0, found.kept)


@pytest.mark.guarantee("G98")
def test_files_that_a_rollback_moved_aside_remain(state: Path) -> None:
    [folder] = (state / "history").glob("20260103*")
    (folder / "aside" / "etc").mkdir(parents=True)
    found = find_purge(state)
    assert [one.name[:8] for one in found.paths] == ["20260102"]
    assert found.kept[folder] == "files that were moved aside"


@pytest.mark.guarantee("G98")
def test_everything_can_be_deleted_only_if_nothing_is_applied(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "read_applied", lambda _: object())
    with pytest.raises(Refused) as refused:
        find_purge(state, everything=True)
    assert refused.value.code == "KVN566"
    assert len(with_secrets(state)) == 4
    monkeypatch.setattr(purge, "read_applied", lambda _: None)
    found = find_purge(state, everything=True)
    assert (len(found.paths), found.kept) == (4, {})
    carry_out(found)
    assert with_secrets(state) == []
    assert len(read_history(state)) == 4, "the history remains"


def test_without_a_history_there_is_nothing_to_delete(tmp_path: Path) -> None:
    assert find_purge(tmp_path).to_json() == {"deleted": [], "bytes": 0, "kept": []}


def test_the_first_snapshot_of_the_loopback_interface_is_needed(state: Path) -> None:
    """It has the addresses that a removal restores."""
    path = state / "history" / "20260102-000000-1" / "snapshot.json"
    snapshot = json.loads(path.read_text())
    snapshot["links"]["lo"] = {"name": "lo", "mac": None, "altnames": []}
    path.write_text(json.dumps(snapshot))
    needed = find_needed(state / "history")
    assert needed[path.parent] == "kvmnet remove"
