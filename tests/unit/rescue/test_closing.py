"""Transactions are closed, accepted, and deleted from the history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import closing
from kvmnet.system import files, units
from kvmnet.system.journal import Journal


@pytest.mark.guarantee("G03")
def test_a_closed_transaction_has_no_copy_of_a_keyfile(opened: Path) -> None:
    """A keyfile may contain a password, and the history is kept for long."""
    (opened / "open" / "u-1.rebound").write_text("password=secret")
    closing.close_transaction(opened, "kept")
    assert sorted(path.name for path in (opened / "history" / "T").iterdir()) == [
        "journal.jsonl",
        "snapshot.json",
        "transaction.json",
    ]


@pytest.mark.guarantee("G07")
def test_only_accept_closes_an_unverified_rollback(opened: Path) -> None:
    assert closing.accept_host_state(opened, was_tried=False) == 1
    assert (opened / "open").is_dir()
    Journal(opened / "open").append("not-verified", differences=["x"])
    disarm, units.stop_watchdog = units.stop_watchdog, lambda identity: None
    try:
        assert closing.accept_host_state(opened, was_tried=True) == 0
    finally:
        units.stop_watchdog = disarm
    assert not (opened / "open").exists()


def test_transactions_that_rollback_and_remove_need_are_not_deleted(tmp_path: Path) -> None:
    def ended(name: str, *paths: str, kept: bool = True, **about: Any) -> None:
        files.write_file(str(tmp_path / name / "transaction.json"), json.dumps({"id": name, **about}).encode())
        snapshot = {"files": [{"path": path, "absent": True} for path in paths]}
        files.write_file(str(tmp_path / name / "snapshot.json"), json.dumps(snapshot).encode())
        Journal(tmp_path / name).append("kept" if kept else "verified")

    ended("T01", "/etc/a", kept=False, adopts=["00:14:4f:80:de:00"])  # rolled back: the host is as it was
    ended("T02", "/etc/a")
    ended("T03", "/etc/a", "/var/lib/kvmnet/applied/bundle.json", adopts=["00:14:4f:80:de:00"])
    ended("T04", "/etc/a")
    ended("T05", "/etc/a", "/etc/b")
    ended("T06", "/etc/b", removes=True)
    ended("T07", "/etc/b", kept=False, removes=True)
    ended("T08", "/etc/b")  # the first again, after the removal
    ended("T09", "/etc/b")
    ended("T10", "/etc/b")  # the last that was kept, however many follow
    for number in range(11, 14):
        ended(f"T{number:02}", "/etc/a", "/etc/c", kept=False, adopts=["00:14:4f:80:de:00"])
    closing.prune_history(tmp_path, keep=2)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["T02", "T03", "T05", "T06", "T08", "T10", "T12", "T13"]


@pytest.mark.guarantee("G12")
def test_a_transaction_with_files_moved_aside_is_not_deleted(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"T{number}").mkdir()
    files.write_file(str(tmp_path / "T0" / "aside" / "etc" / "office.nmconnection"), b"mine")
    files.write_file(str(tmp_path / "T1" / "aside" / "run" / "eth0.nmconnection"), b"NetworkManager's, in memory")
    closing.prune_history(tmp_path, keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["T0", "T2"]


def test_the_history_has_the_last_50_transactions(tmp_path: Path) -> None:
    """All of these were rolled back, so `rollback` and `remove` need none of them."""
    for number in range(52):
        (tmp_path / f"T{number:02}").mkdir()
    closing.prune_history(tmp_path)
    assert [p.name for p in sorted(tmp_path.iterdir())] == [f"T{number:02}" for number in range(2, 52)]


def test_a_transaction_without_an_id_is_moved_under_the_time_of_its_closing(opened: Path) -> None:
    (opened / "open" / "transaction.json").unlink()
    closing.close_transaction(opened, "nothing was begun")
    (folder,) = (opened / "history").iterdir()
    assert folder.name.isdigit() and Journal(folder).events()[-1]["outcome"] == "nothing was begun"
