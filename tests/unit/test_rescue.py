"""The rescue program: files given back to the byte, a journal that may be torn, undo in the right order."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import checkpoint, closing, comparison, repair_commands, restore, rollback, snapshot, undo, watchdog
from kvmnet.system import clock, files, firewalld, links, lock, networkmanager, programs, units
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from kvmnet.system.networkmanager import BUS_NAME, GLOBAL_DNS_PROPERTY, OBJECT_PATH
from kvmnet.system.types import Json


@pytest.mark.guarantee("G02")
def test_a_file_comes_back_with_bytes_and_mode(tmp_path: Path) -> None:
    file = tmp_path / "eth0.nmconnection"
    file.write_bytes(b"[connection]\r\nid=\xff\n")
    file.chmod(0o600)
    record = json.loads(json.dumps(files.record_file(str(file))))
    assert files.restore_file(record) is False
    files.write_file(str(file), b"other", 0o644)
    assert files.restore_file(record) is True
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"[connection]\r\nid=\xff\n", 0o600)
    file.chmod(0o640)
    assert files.restore_file(record) is True
    assert files.record_file(str(file)) == record
    assert [p.name for p in tmp_path.iterdir()] == ["eth0.nmconnection"], "no temporary file is left"


def test_absence_and_links_come_back(tmp_path: Path) -> None:
    absent = files.record_file(str(tmp_path / "new.link"))
    (tmp_path / "new.link").write_text("x")
    assert files.restore_file(absent) is True
    assert not (tmp_path / "new.link").exists()
    (tmp_path / "masked.link").symlink_to("/dev/null")
    record = files.record_file(str(tmp_path / "masked.link"))
    files.write_file(str(tmp_path / "masked.link"), b"x")
    assert files.restore_file(record) is True
    assert (tmp_path / "masked.link").readlink() == Path("/dev/null")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_text("old")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.write_file(str(file), b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert file.read_text() == "old"


def test_a_torn_line_announces_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("do", step=0)
    journal.append("do", step=1)
    with journal.path.open("a") as file:
        file.write('{"at": 1, "event": "do", "st')
    assert journal.begun() == [0, 1]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An open transaction of three steps on a machine that is as its snapshot says."""
    folder = tmp_path / "open"
    folder.mkdir()
    steps = [{"title": f"step {n}", "undo": [{"op": "note", "n": n}]} for n in range(3)]
    files.write_file(str(folder / "transaction.json"), json.dumps({"id": "T", "steps": steps}).encode())
    files.write_file(str(folder / "snapshot.json"), json.dumps({"files": [], "profiles": []}).encode())
    monkeypatch.setattr(networkmanager, "make_responsive", lambda: None)
    monkeypatch.setattr(units, "stop_watchdog", lambda identity: None)
    monkeypatch.setattr(comparison, "find_differences", lambda before: [])
    return tmp_path


def undone(state: Path, monkeypatch: pytest.MonkeyPatch, fail: int = -1) -> tuple[int, list[int]]:
    seen: list[int] = []

    def note(folder: Path, spec: dict[str, Any]) -> str:
        seen.append(spec["n"])
        if spec["n"] == fail:
            raise HostError("not now")
        return "noted"

    monkeypatch.setitem(undo.UNDO, "note", note)
    return rollback.roll_back(state, "test"), seen


@pytest.mark.guarantee("G01")
def test_only_what_was_begun_is_undone_last_first(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(opened / "open")
    for step in (0, 1):
        journal.append("do", step=step)
    assert undone(opened, monkeypatch) == (3, [1, 0])
    assert not (opened / "open").exists()
    assert Journal(opened / "history" / "T").events()[-1]["outcome"] == "rolled back"


@pytest.mark.guarantee("G01")
def test_one_undo_that_fails_does_not_stop_the_others(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(opened / "open")
    for step in (0, 1, 2):
        journal.append("do", step=step)
    assert undone(opened, monkeypatch, fail=2) == (3, [2, 1, 0])


@pytest.mark.guarantee("G07")
def test_what_is_not_as_before_stays_open_and_is_told(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal(opened / "open").append("do", step=0)
    monkeypatch.setattr(
        restore, "restore_until_equal", lambda before, journal, patience: ["addresses eth0: was X, is nothing"]
    )
    assert undone(opened, monkeypatch) == (4, [0])
    last = Journal(opened / "open").events()[-1]
    assert (last["event"], last["differences"]) == ("not-verified", ["addresses eth0: was X, is nothing"])


def test_what_was_kept_is_not_undone(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(opened / "open")
    journal.append("do", step=0)
    journal.append("kept")
    assert undone(opened, monkeypatch) == (0, [])
    assert not (opened / "open").exists()


@pytest.mark.guarantee("G03")
def test_what_is_closed_has_no_copy_of_a_keyfile_any_more(opened: Path) -> None:
    """It may have a password in it, and the history is kept for long."""
    (opened / "open" / "u-1.rebound").write_text("password=secret")
    closing.close_transaction(opened, "kept")
    assert sorted(path.name for path in (opened / "history" / "T").iterdir()) == [
        "journal.jsonl",
        "snapshot.json",
        "transaction.json",
    ]


def test_at_boot_files_and_names_come_first_and_nothing_is_closed(
    opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NetworkManager does not run yet: what needs it waits, and so does the word that it is verified."""
    Journal(opened / "open").append("do", step=0)
    seen: list[str] = []
    specs = [{"op": op, "mac": "m"} for op in ("checkpoint", "profile", "zone", "files", "rename", "hostname")]
    transaction = {"id": "T", "boot": "an earlier one", "steps": [{"title": "x", "undo": specs}]}
    files.write_file(str(opened / "open" / "transaction.json"), json.dumps(transaction).encode())
    before: dict[str, Any] = {"files": [], "profiles": [], "macs": [], "uuids": [], "links": {}}
    files.write_file(str(opened / "open" / "snapshot.json"), json.dumps(before).encode())
    for op in undo.UNDO:
        monkeypatch.setitem(undo.UNDO, op, lambda folder, spec: seen.append(spec["op"]) or "")
    monkeypatch.setattr(networkmanager, "make_responsive", lambda: pytest.fail("it would wait for us"))
    monkeypatch.setattr(programs, "run", lambda *argv, **_: "")
    assert rollback.roll_back(opened, "cut off", booting=True) == 3
    assert seen == ["files", "rename", "hostname"]
    assert (opened / "open").is_dir()
    seen.clear()
    monkeypatch.setattr(networkmanager, "make_responsive", lambda: None)
    monkeypatch.setattr(links, "read_links", dict)
    monkeypatch.setattr(restore, "restore_until_equal", lambda before, journal, patience: ["addresses x: gone"])
    assert rollback.roll_back(opened, "cut off") == 4, "what only the running machine had is told"
    assert seen[0] == "checkpoint"
    end = Journal(opened / "history" / "T").events()[-1]
    assert (end["verified"], end["differences"]) == (False, ["addresses x: gone"]), "but nothing more can be done"


@pytest.fixture
def watched(opened: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the watchdog does to the open transaction T, whose unit lives and whose clock says 100; it is closed while
    the watchdog sleeps for the third time."""
    done: list[str] = []

    def sleep(seconds: float) -> None:
        done.append("sleep")
        if done.count("sleep") == 3:
            (opened / "open").rename(opened / "closed")

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(signal, "signal", lambda number, how: None)
    transaction = {"id": "T", "unit": "T.service", "steps": [{"title": "x", "undo": []}]}
    files.write_file(str(opened / "open" / "transaction.json"), json.dumps(transaction).encode())
    monkeypatch.setattr(programs, "run", lambda *argv, **_: done.append(" ".join(argv)) or "")
    monkeypatch.setattr(rollback, "roll_back", lambda state, why, booting=False: done.append(why) or 3)
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: True)
    monkeypatch.setattr(units, "stop_watchdog", lambda identity: done.append(f"disarm {identity}"))
    monkeypatch.setattr(clock, "uptime", lambda: 100.0)
    return done


def test_the_watchdog_leaves_good_hands_alone(opened: Path, watched: list[str]) -> None:
    Journal(opened / "open").append("do", step=0, until=110.0)
    assert (watchdog.watch_over(opened, "T"), watched) == (0, [*["sleep"] * 3, "disarm T"])


def test_the_watchdog_asks_no_program_while_somebody_has_the_lock(
    opened: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal(opened / "open").append("do", step=0, until=110.0)
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: pytest.fail("a process each time"))
    with lock.hold_lock(opened):
        assert (watchdog.watch_over(opened, "T"), watched) == (0, [*["sleep"] * 3, "disarm T"])


@pytest.mark.guarantee("G20")
def test_the_watchdog_kills_what_takes_too_long(opened: Path, watched: list[str]) -> None:
    journal = Journal(opened / "open")
    journal.append("begin", until=90.0)
    journal.append("do", step=0, until=99.0)
    assert watchdog.watch_over(opened, "T") == 3
    assert watched == [
        "systemctl kill --kill-who=all --signal=KILL T.service",
        "the watchdog: a step took too long",
    ]


def test_the_watchdog_lets_an_undo_take_its_time(opened: Path, watched: list[str]) -> None:
    journal = Journal(opened / "open")
    journal.append("do", step=0, until=50.0)
    journal.append("undo", why="failed")
    assert (watchdog.watch_over(opened, "T"), watched) == (0, [*["sleep"] * 3, "disarm T"])


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize(("now", "killed"), [(330.0, False), (370.0, True)])
def test_the_watchdog_kills_an_undo_that_stands_still(
    opened: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch, now: float, killed: bool
) -> None:
    """A stopped one has the lock for ever."""
    journal = Journal(opened / "open")
    journal.append("do", step=0, until=50.0)
    journal.append("undo", why="failed", up=20.0)
    journal.append("undoing", step=0, op="files", up=60.0)
    holder = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(60)"
    )
    monkeypatch.setattr(clock, "uptime", lambda: now)
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(opened / "lock")], stdout=subprocess.PIPE, text=True
    ) as stopped:
        try:
            assert stopped.stdout is not None
            stopped.stdout.readline()
            stopped.send_signal(signal.SIGSTOP)
            monkeypatch.setattr(time, "sleep", lambda _: select.select([], [], [], 0.2))
            if killed:
                assert watchdog.watch_over(opened, "T") == 3
                assert watched[-1] == "the watchdog: the undo stood still"
                assert stopped.wait() == -signal.SIGKILL
            else:
                assert not watchdog.is_stalled(journal.events(), opened / "open")
        finally:
            stopped.kill()


def test_an_undo_that_has_ended_does_not_stand_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "uptime", lambda: 9000.0)
    begun = [{"event": "undo", "up": 20.0}]
    assert watchdog.is_stalled(begun, tmp_path)
    assert not watchdog.is_stalled([{"event": "do", "up": 1.0}], tmp_path)
    assert not watchdog.is_stalled([*begun, {"event": "not-verified"}], tmp_path)
    assert not watchdog.is_stalled([*begun, {"event": "settling", "up": 8800.0}], tmp_path)
    many = {"steps": [{"undo": [{"op": "profiles", "profiles": dict.fromkeys(map(str, range(9000)), "x")}]}]}
    (tmp_path / "transaction.json").write_text(json.dumps(many))
    assert not watchdog.is_stalled(begun, tmp_path), "to delete them may take long"
    (tmp_path / "transaction.json").unlink()
    (tmp_path / "snapshot.json").write_text(json.dumps({"profiles": [{}] * 300}))
    assert not watchdog.is_stalled(begun, tmp_path), "to activate them may take long"


@pytest.mark.guarantee("G20")
def test_the_watchdog_takes_up_what_nobody_works_on(
    opened: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(opened / "open")
    journal.append("do", step=0, until=110.0)
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: False)
    assert (watchdog.watch_over(opened, "T"), watched) == (3, ["the watchdog: nobody worked on it any more"])
    for _ in range(watchdog.MAX_TRIES):
        journal.append("not-verified", differences=["x"])
    watched.clear()
    assert (watchdog.watch_over(opened, "T"), watched) == (4, ["disarm T"]), "a person is needed"


def test_the_watchdog_of_a_closed_transaction_ends_itself(opened: Path, watched: list[str]) -> None:
    assert (watchdog.watch_over(opened, "an older one"), watched) == (0, ["disarm an older one"])


@pytest.mark.guarantee("G07")
def test_what_could_not_be_verified_is_closed_by_a_person_alone(opened: Path) -> None:
    assert closing.accept_host_state(opened, tried=False) == 1
    assert (opened / "open").is_dir()
    Journal(opened / "open").append("not-verified", differences=["x"])
    disarm, units.stop_watchdog = units.stop_watchdog, lambda identity: None
    try:
        assert closing.accept_host_state(opened, tried=True) == 0
    finally:
        units.stop_watchdog = disarm
    assert not (opened / "open").exists()


@pytest.mark.parametrize("names", [{"m1": "eth0"}, {"m1": "eth1", "m2": "eth0"}, {"m1": "peth0"}, {}])
def test_nics_that_the_boot_named_otherwise_have_their_names_again(
    opened: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, str]
) -> None:
    """Without the .link files that a removal had taken away before it renamed any. One may have another's name."""
    wanted = {"m1": "eth0", "m2": "eth1"} if len(names) > 1 else {"m1": "peth0"}
    rows = {**{name: {"mac": mac} for mac, name in wanted.items()}, "br0": {"mac": None}}
    before: dict[str, Any] = {"files": [], "profiles": [], "uuids": [], "links": rows}
    files.write_file(str(opened / "open" / "snapshot.json"), json.dumps(before).encode())
    here = dict(names)

    def rename(mac: str, to: str) -> str:
        assert to not in here.values(), f"{to} is taken"
        here[mac] = to
        return "up"

    monkeypatch.setattr(links, "find_nic", here.get)
    monkeypatch.setattr(links, "rename_nic", rename)
    monkeypatch.setattr(rollback, "_wait_for_nics", lambda _: None)
    Journal(opened / "open").append("begin")
    assert rollback.roll_back(opened, "cut off", booting=True) == 3
    assert here == {mac: wanted[mac] for mac in names}
    told = [e["nics"] for e in Journal(opened / "open").events() if e["event"] == "named"]
    assert told == ([] if names in ({}, wanted) else [sorted(wanted.values())])


def test_what_was_in_memory_alone_is_not_looked_for_after_a_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what somebody had taken down the boot has brought up: both are no change's doing."""
    rows = [{"uuid": u, "device": d, "file": f} for u, d, f in (("a", "eth0", "/etc/a"), ("b", None, "/etc/b"))]
    monkeypatch.setattr(
        networkmanager, "list_profiles", lambda: [{**row, "device": row["device"] or "br5"} for row in rows]
    )
    monkeypatch.setattr(links, "read_links", lambda: {"eth0": {"altnames": ["now"]}, "eth1": {"altnames": ["now"]}})
    before = {
        "links": {name: {"mac": mac, "altnames": ["was"]} for name, mac in (("eth0", "m0"), ("eth1", "m1"))},
        "files": [{"path": "/etc/a"}, {"path": "/run/c"}],
        "profiles": [*rows, {"uuid": "c", "device": "eth1", "file": "/run/c"}],
    }
    now = snapshot.snapshot_after_boot(before, renamed={"m1"})
    monkeypatch.setattr(links, "read_guest_ports", dict)
    wired = [{"uuid": "w", "device": "eth1", "file": "/run/w"}]  # NetworkManager's own, made anew
    seen = {"links": now["links"], "profiles": [*networkmanager.list_profiles(), *wired]}
    monkeypatch.setattr(
        comparison, "file_differences", lambda _: ["file /run/c: was not there", "file /etc/a: is gone"]
    )
    monkeypatch.setattr(
        snapshot, "read_host_state", lambda *_: {**dict.fromkeys(("addresses", "routes", "zones", "dns")), **seen}
    )
    asked: dict[str, Any] = {"names": [], "macs": [], "uuids": [], "global dns": None}
    monkeypatch.setattr(networkmanager, "read_global_dns", lambda: None)
    seen["global dns"] = None
    assert comparison.find_differences({**now, **asked}) == ["file /etc/a: is gone"]
    assert [(p["uuid"], p["device"]) for p in now["profiles"]] == [("a", "eth0"), ("b", "br5")]
    assert now["files"] == [{"path": "/etc/a"}]
    assert [link["altnames"] for link in now["links"].values()] == [["now"], ["was"]]


def test_a_nic_whose_name_a_stranger_has_keeps_no_other_from_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"m1": "eth0", "m2": "eth1", "new": "peth0"}

    def rename(mac: str, to: str) -> None:
        if to in here.values():
            raise HostError("taken")
        here[mac] = to

    monkeypatch.setattr(links, "find_nic", here.get)
    monkeypatch.setattr(links, "rename_nic", rename)
    assert restore.restore_nic_names({"links": {"peth0": {"mac": "m1"}, "peth1": {"mac": "m2"}}}) == ["peth1"]
    assert here == {"m1": "eth0", "m2": "peth1", "new": "peth0"}, "and no name in between is left"


def test_a_networkmanager_that_is_killed_is_told_of(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else it kept up went with it."""
    ran: list[str] = []

    def run(*words: str, **_: Any) -> str:
        ran.append(" ".join(words[:2]))
        if words[0] == "busctl" and "systemctl kill" not in ran:
            raise HostError("busctl: no answer")
        return ""

    monkeypatch.undo()
    monkeypatch.setattr(programs, "run", run)
    assert networkmanager.make_responsive()
    assert ran[2:] == ["systemctl kill", "systemctl restart"]
    assert not networkmanager.make_responsive()
    monkeypatch.setattr(networkmanager, "make_responsive", lambda: True)
    for module, name in ((units, "stop_watchdog"), (comparison, "find_differences"), (rollback, "_undo_steps")):
        monkeypatch.setattr(module, name, lambda *_: [])
    assert rollback.roll_back(opened, "x") == 3
    assert "woken" in [e["event"] for e in Journal(opened / "history" / "T").events()]


def test_what_rollback_and_remove_need_is_never_forgotten(tmp_path: Path) -> None:
    def ended(name: str, *paths: str, kept: bool = True, **about: Any) -> None:
        files.write_file(str(tmp_path / name / "transaction.json"), json.dumps({"id": name, **about}).encode())
        snapshot = {"files": [{"path": path, "absent": True} for path in paths]}
        files.write_file(str(tmp_path / name / "snapshot.json"), json.dumps(snapshot).encode())
        Journal(tmp_path / name).append("kept" if kept else "verified")

    ended("T01", "/etc/a", kept=False, adopts=["00:14:4f:80:de:00"])  # undone: the machine is as it was
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


def hold_checkpoints(monkeypatch: pytest.MonkeyPatch, created: dict[str, Any]) -> list[str]:
    """NetworkManager has these checkpoints (path -> when it was made, ms; None: it does not say); those that are rolled
    back are noted in what is returned. They last as long as a trial, but for one."""
    calls: list[str] = []

    def run(*words: str, **_: Any) -> str:
        if "CheckpointRollback" in words:
            calls.append(words[-1])
        elif created[words[3]] is None:
            raise HostError("no such object")
        return f"x {created.get(words[3])}\nu {60 if words[3] == '/C/others' else 125}\n"

    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(networkmanager, "list_checkpoints", lambda: list(created))
    return calls


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
def test_the_trials_checkpoint_is_known_without_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, created: dict[str, Any], rolled_back: list[str]
) -> None:
    """Left alone NetworkManager would roll it back after the undo."""
    calls = hold_checkpoints(monkeypatch, created)
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
        ({"/C/1": 350_000}, []),  # NetworkManager was started anew, and counts from 1 again
        ({"/C/2": 350_000}, []),  # of an earlier try of nmstate's, which is gone
        ({"/C/1": None}, ["/C/1"]),  # nobody says
    ],
)
def test_a_checkpoint_of_our_trials_path_may_be_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, created: dict[str, Any], rolled_back: list[str]
) -> None:
    calls = hold_checkpoints(monkeypatch, created)
    log = tmp_path / "nmstate.log"
    log.write_text("Created checkpoint /C/2\nCreated checkpoint /C/1\n")
    checkpoint.checkpoint_note_file(log).write_text('{"path": "/C/1", "created": 300004}')
    undo.UNDO["checkpoint"](tmp_path, {"log": "nmstate.log"})
    assert calls == rolled_back


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("cut", [False, True])
def test_what_others_wrote_during_a_trial_outlives_networkmanagers_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """It deletes every profile that came since the checkpoint, and gives every other its old words."""
    disk = tmp_path / "system-connections"
    texts = {"guest": "uuid=u-guest\n", "eth0": "uuid=u-eth0\n", "ours": "uuid=u-ours\n", "old": "uuid=u-old\nnew=1\n"}
    for name, text in texts.items():
        files.write_file(str(disk / f"{name}.nmconnection"), text.encode(), 0o600)
    calls: list[str] = []

    def run(*words: str, **_: Any) -> str:
        calls.append(" ".join(words[:3]))
        if "CheckpointRollback" in words:
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
    (disk / "before-the-move").mkdir()  # a person's own copies
    steps = [{"op": "seed", "undo": [{"op": "profiles", "profiles": {"u-ours": "br0"}}]}]
    files.write_file(str(folder / "transaction.json"), json.dumps({"steps": steps}).encode())
    files.write_file(str(folder / "snapshot.json"), json.dumps({"uuids": ["u-eth0"], "files": []}).encode())
    (folder / "nmstate.log").write_text("Created checkpoint /C/1\n")
    if cut:
        with pytest.raises(HostError):
            undo.UNDO["checkpoint"](folder, {"log": "nmstate.log"})
        (disk / "old.nmconnection").write_text("uuid=u-old\n")
    told = undo.UNDO["checkpoint"](folder, {"log": "nmstate.log"})
    assert {p.stem: p.read_text() for p in disk.iterdir() if p.is_file()} == {k: texts[k] for k in ("guest", "old")}
    assert "guest.nmconnection" in told
    assert "old.nmconnection" in told
    assert calls[-1] == "nmcli connection reload"
    assert sorted(p.name for p in folder.iterdir()) == ["nmstate.log", "snapshot.json", "transaction.json"]


def test_keyfiles_that_cannot_be_noted_keep_no_rollback_from_happening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = hold_checkpoints(monkeypatch, {"/C/1": 300_004})
    (tmp_path / "nmstate.log").write_text("Created checkpoint /C/1\n")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(checkpoint, "_record_other_keyfiles", full)
    assert undo.UNDO["checkpoint"](tmp_path, {"log": "nmstate.log"}) == "rolled back /C/1"
    assert calls == ["/C/1"]


class Busy:
    """A NIC that the kernel renames only while it is down, and that somebody takes up again `times` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.name, self.up, self.times, self.downs = "eth0", True, times, 0
        monkeypatch.setattr(programs, "run", self.run)
        monkeypatch.setattr(links, "read_links", lambda: {self.name: {"altnames": []}})
        monkeypatch.setattr(links, "find_nic", lambda _: self.name)
        monkeypatch.setattr(time, "sleep", lambda _: None)

    def run(self, *words: str, **_: Any) -> str:
        if words[-1] == "down":
            self.downs += 1
            self.up = self.downs <= self.times
        elif words[-1] == "up":
            self.up = True
        elif self.up:
            raise HostError("ip: RTNETLINK answers: Device or resource busy")
        else:
            self.name = words[-1]
        return ""


def test_a_nic_that_somebody_takes_up_again_is_renamed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    nic = Busy(monkeypatch, times=3)
    assert links.rename_nic("m", "peth0") == "down-up"
    assert (nic.name, nic.up, nic.downs) == ("peth0", True, 4)


def test_a_nic_that_is_never_free_is_left_up_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    nic = Busy(monkeypatch, times=99)
    with pytest.raises(HostError, match="busy"):
        links.rename_nic("m", "peth0")
    assert (nic.name, nic.up, nic.downs) == ("eth0", True, 5)


GLOBAL = {
    "searches": {"type": "as", "data": ["a.org"]},
    "domains": {
        "type": "a{sv}",
        "data": {"*": {"type": "a{sv}", "data": {"servers": {"type": "as", "data": ["10.1.1.1", "10.1.1.2"]}}}},
    },
}


class GlobalDns:
    """NetworkManager's property, and its file while it does not run."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: Json, takes: bool = True) -> None:
        self.held, self.takes, self.set = held, takes, [""]
        file = tmp_path / "intern.conf"
        file.write_text("# NetworkManager's\n[.intern.global-dns-domain-*]\nservers=10.1.1.1\n")
        monkeypatch.setattr(networkmanager, "INTERN_FILE", str(file))
        monkeypatch.setattr(networkmanager, "is_running", lambda: True)
        monkeypatch.setattr(programs, "run_json", lambda *_: {"type": "a{sv}", "data": self.held})
        monkeypatch.setattr(programs, "run", self.run)

    def run(self, *words: str, **_: Any) -> str:
        self.set = list(words[words.index("GlobalDnsConfiguration") + 1 :])
        if self.takes:
            self.held = {} if self.set == ["a{sv}", "0"] else GLOBAL
        return ""


@pytest.mark.guarantee("G13")
@pytest.mark.parametrize(
    ("was", "now", "told", "words"),
    [
        ({}, GLOBAL, "given back", "a{sv} 0"),
        (
            GLOBAL,
            {},
            "given back",
            "a{sv} 2 searches as 1 a.org domains a{sv} 1 * a{sv} 1 servers as 2 10.1.1.1 10.1.1.2",
        ),
        (GLOBAL, GLOBAL, "as before", ""),
    ],
)
def test_global_name_servers_are_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was: Json, now: Json, told: str, words: str
) -> None:
    manager = GlobalDns(tmp_path, monkeypatch, now)
    (tmp_path / "snapshot.json").write_text(json.dumps({"global dns": was}))
    assert undo.UNDO["global dns"](tmp_path, {}) == told
    assert " ".join(manager.set) == words
    assert manager.held == was


def test_global_name_servers_that_stay_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    GlobalDns(tmp_path, monkeypatch, GLOBAL, takes=False)
    (tmp_path / "snapshot.json").write_text(json.dumps({"global dns": {}}))
    with pytest.raises(HostError, match="global name servers are"):
        undo.UNDO["global dns"](tmp_path, {})
    (tmp_path / "snapshot.json").write_text("{}")
    assert undo.UNDO["global dns"](tmp_path, {}) == "not known", "a snapshot of an earlier kvmnet"


@pytest.mark.guarantee("G13")
def test_a_persons_global_name_servers_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NetworkManager tells those of its configuration by the same property, and lets nobody set it then."""
    manager = GlobalDns(tmp_path, monkeypatch, GLOBAL)
    for text in ("[.intern.other]\nglobal-dns=1\n", ""):
        Path(networkmanager.INTERN_FILE).write_text(text)
        assert networkmanager.read_global_dns() == {}
    Path(networkmanager.INTERN_FILE).unlink()
    assert restore.restore_global_dns({"global dns": {}}) == "as before"
    assert manager.set == [""]


@pytest.mark.guarantee("G13")
def test_before_networkmanager_starts_its_file_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "NetworkManager-intern.conf"
    monkeypatch.setattr(networkmanager, "is_running", lambda: False)
    before = {"global dns": {}, "intern": files.record_file(str(file))}
    (tmp_path / "snapshot.json").write_text(json.dumps(before))
    file.write_text("[global-dns-domain-*]\nservers=10.1.1.1\n")
    assert undo.UNDO["global dns"](tmp_path, {}) == "given back"
    assert not file.exists()
    assert "global dns" in undo.AT_BOOT


def test_zones_that_nobody_gives_back_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = {"eth0": "trusted", "br0": "trusted", "eth1": "public", "vnet0": "drop"}
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(firewalld, "is_running", lambda: True)
    monkeypatch.setattr(firewalld, "read_zones", lambda: bound)
    monkeypatch.setattr(firewalld, "call", lambda *words: calls.append(words) or "")
    restore.restore_zones({"zones": {"eth0": "trusted", "br0": None, "eth1": "internal", "eth2": "work", "eth3": None}})
    assert calls == [
        ("removeInterface", "trusted", "br0"),
        ("changeZoneOfInterface", "internal", "eth1"),
        ("changeZoneOfInterface", "work", "eth2"),
    ]
    restore.restore_zones({"zones": None})
    assert len(calls) == 3


def test_many_zones_are_looked_at_once_and_only_what_differs_is_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    calls: list[tuple[str, ...]] = []
    bound = {"eth0": "trusted", "br0": "drop", "br1": "drop"}
    monkeypatch.setattr(firewalld, "is_running", lambda: True)
    monkeypatch.setattr(links, "read_links", lambda: {"eth0": {}, "br3": {}})
    monkeypatch.setattr(firewalld, "read_zones", lambda: looks.append("zones") or bound)
    monkeypatch.setattr(firewalld, "call", lambda *words, **_: calls.append(words) or "drop")
    wanted = {"eth0": "trusted", "br0": None, "br1": "drop", "br2": "drop", "br3": "drop", "br4": "work", "br5": None}
    assert undo.UNDO["zones"](tmp_path, {"zones": wanted}) == "br0 to none, br3 to drop, br4 to work"
    assert calls == [
        ("getDefaultZone",),
        ("removeInterface", "drop", "br0"),
        ("changeZoneOfInterface", "drop", "br3"),
        ("changeZoneOfInterface", "work", "br4"),
    ]
    assert looks == ["zones"]
    assert undo.UNDO["zones"](tmp_path, {"zones": {"eth0": "trusted"}}) == "all as before"
    monkeypatch.setattr(firewalld, "is_running", lambda: False)
    assert undo.UNDO["zones"](tmp_path, {"zones": wanted}) == "firewalld does not run"


def test_checkpoints_are_read_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert checkpoint.checkpoints_in_log(log) == []
    log.write_text("[x INFO y] Created checkpoint /org/freedesktop/NetworkManager/Checkpoint/7\nNmstateError: no\n")
    assert checkpoint.checkpoints_in_log(log) == ["/org/freedesktop/NetworkManager/Checkpoint/7"]


def test_routes_are_compared_by_preference() -> None:
    def route(dev: str, metric: int, to: str = "default") -> dict[str, Any]:
        return {"family": "4", "table": "main", "to": to, "via": "x", "dev": dev, "metric": metric, "source": None}

    before = links.rank_routes([route("eth0", 100), route("eth1", 101), route("eth0", 100, "10.1.0.0/16")])
    assert links.rank_routes([route("eth0", 103, "10.1.0.0/16"), route("eth1", 104), route("eth0", 103)]) == before
    assert links.rank_routes([route("eth0", 102), route("eth1", 101), route("eth0", 102, "10.1.0.0/16")]) != before
    assert links.rank_routes([route("eth0", 100), route("eth0", 100, "10.1.0.0/16")]) != before


class Network:
    """Links, and the programs that were run over them: a bond whose MAC cannot change while its ports are up."""

    def __init__(self, address: str, busy: bool) -> None:
        self.address, self.busy, self.ran = address, busy, list[str]()

    def links(self) -> dict[str, Any]:
        ports = {
            f"eth{n}": {"kind": None, "master": "bond0", "mac": f"02::{n}", "address": self.address} for n in (0, 1)
        }
        return {"bond0": {"kind": "bond", "master": None, "mac": None, "address": self.address}, **ports}

    def run(self, *argv: str) -> str:
        self.ran.append(" ".join(argv))
        self.busy = self.busy and "down" not in argv
        if self.busy and "set" in argv:
            raise HostError("RTNETLINK answers: Device or resource busy")
        return ""


@pytest.mark.guarantee("G35")
@pytest.mark.parametrize("busy", [False, True])
def test_a_bond_gets_its_mac_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    """Its neighbours hear of it, and of no other change of the kernel's settings."""
    was, now = Network("02::1", busy), Network("06::99", busy)
    settings = [tmp_path / "ipv4/conf/bond0/arp_notify", tmp_path / "ipv6/conf/bond0/ndisc_notify"]
    for path in settings:
        files.write_file(str(path), b"0\n")
    told: list[list[str]] = []

    def run(*argv: str) -> str:
        if argv[:2] == ("ip", "link"):
            told.append([path.read_text() for path in settings])
        return now.run(*argv)

    profiles = [{"uuid": f"u-{name}", "device": name} for name in ("bond0", "eth0", "eth1")]
    monkeypatch.setattr(links, "read_links", now.links)
    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(links, "SYSCTL", str(tmp_path))
    restore.restore_macs({"links": was.links(), "profiles": profiles})
    assert told == [["1", "1"]] * (2 if busy else 1)
    assert [path.read_text() for path in settings] == ["0\n", "0\n"]
    assert now.ran[0] == "ip link set dev bond0 address 02::1"
    assert now.ran[1:] == (
        [
            *(f"nmcli -w 20 connection down uuid u-eth{n}" for n in (0, 1)),
            "ip link set dev bond0 address 02::1",
            *(f"nmcli -w 20 connection up uuid u-eth{n} ifname eth{n}" for n in (0, 1)),
        ]
        if busy
        else []
    )


def test_what_has_its_mac_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Network("02::1", False)
    monkeypatch.setattr(links, "read_links", now.links)
    monkeypatch.setattr(programs, "run", now.run)
    restore.restore_macs({"links": now.links(), "profiles": []})
    assert now.ran == []


@pytest.mark.guarantee("G16")
def test_a_checkpoint_of_another_boot_is_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person mends the machine that was cut off, with nmstatectl: the numbers have begun anew."""
    calls = hold_checkpoints(monkeypatch, {"/C/1": 300_004})
    (tmp_path / "nmstate.log").write_text("Created checkpoint /C/1\n")
    for boot, rolled_back in (("another", []), (clock.boot_id(), ["/C/1"])):
        (tmp_path / "transaction.json").write_text(json.dumps({"boot": boot, "steps": []}))
        undo.UNDO["checkpoint"](tmp_path, {"log": "nmstate.log"})
        assert calls == rolled_back


def test_of_a_nic_that_is_gone_no_other_gets_the_profile(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be bound to none, and NetworkManager would choose one for it."""
    before, ran = taken(machine), list[str]()
    del machine["links"]["eth0"]
    machine["profiles"] = []
    monkeypatch.setattr(links, "read_links", lambda: machine["links"])
    monkeypatch.setattr(programs, "run", lambda *words: ran.append(" ".join(words)) or "")
    restore.reactivate_profiles(before)
    assert ran == ["nmcli -w 20 connection up uuid u-b ifname bond0"]


def test_a_bond_that_went_with_its_bridge_comes_back_before_its_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be named as a device, since it is gone; that one fails does not keep the others down. A port that is
    active but waits for its bond for ever is activated again."""
    ran: list[str] = []

    def run(*argv: str) -> str:
        ran.append(" ".join(argv[3:]))
        raise HostError("no")

    profiles = [{"uuid": f"u-{name}", "device": name} for name in ("eth0", "bond0", "eth1", "eth9")]
    before: dict[str, Any] = {"names": [], "macs": [], "uuids": [], "routes": []}
    before |= {"links": Network("02::1", False).links(), "profiles": profiles, "addresses": {"eth9": ["10.0.0.9/24"]}}
    here = {"profiles": profiles[2:], "addresses": {"eth9": ["10.0.0.9/24"]}, "routes": [], "links": {"eth1": {}}}
    monkeypatch.setattr(snapshot, "read_host_state", lambda *_: here)
    monkeypatch.setattr(links, "read_links", lambda: {"eth0": {}, "eth1": {}, "eth9": {}})
    monkeypatch.setattr(programs, "run", run)
    restore.reactivate_profiles(before)
    ports = [f"connection up uuid u-eth{n} ifname eth{n}" for n in (0, 1)]
    assert ran == ["connection up uuid u-bond0", *ports]


@pytest.mark.guarantee("G11")
def test_the_way_to_the_gateway_comes_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixty profiles the last comes up minutes later."""
    over = {"eth0.2": "eth0", "eth0.3": "eth0", "eth0.4": "eth0", "eth0": None, "eth1": None}
    master = {"eth0.2": "br2", "eth0.3": "br3", "eth0.4": "br4", "eth0": None, "eth1": None}
    bridges = dict.fromkeys(("br2", "br3", "br4"))
    rows = {name: {"master": master.get(name), "over": over.get(name)} for name in {**over, **bridges}}
    before: dict[str, Any] = {"links": rows, "names": [], "macs": [], "uuids": []}
    before["profiles"] = [{"uuid": f"u-{name}", "device": name} for name in (None, *bridges, *over)]
    before["addresses"] = {"br2": [], "br4": ["10.4.0.1/24"], "eth1": ["10.9.0.1/24"]}
    before["routes"] = [{"to": "default", "dev": "br3", "via": "10.3.0.254"}, {"to": "10.9.0.0/24", "dev": "eth1"}]
    before["routes"].append({"to": "default", "dev": None, "via": None})
    ran: list[str] = []
    monkeypatch.setattr(
        snapshot, "read_host_state", lambda *_: {"profiles": [], "links": {}, "addresses": {}, "routes": []}
    )
    monkeypatch.setattr(links, "read_links", lambda: rows)
    monkeypatch.setattr(programs, "run", lambda *argv: ran.append(argv[-1]) or "")
    restore.reactivate_profiles(before)
    assert ran == ["br3", "eth0", "eth0.3", "br4", "eth1", "eth0.4", "br2", "eth0.2"]


# ---- guests' ports


class Ports:
    """A kernel with a bridge and guests' devices, as far as `ip` tells of it and changes it."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.done: list[str] = []
        self.add("br0", 3, "bridge")
        self.add("vnet0", 7, "tun", master="br0", isolated=True, learning=False)
        self.add("bond0.2", 4, "vlan")
        self.add("macvtap0", 8, "macvtap", link="bond0.2")

    def add(self, name: str, index: int, kind: str, *, master: str = "", link: str = "", **settings: Any) -> None:
        row: dict[str, Any] = {"ifname": name, "ifindex": index, "linkinfo": {"info_kind": kind}}
        self.rows[name] = {**row, **({"link": link} if link else {})}
        if master:
            self.attach(name, master, settings)

    def attach(self, name: str, master: str, settings: dict[str, Any]) -> None:
        told = {"isolated": False, "learning": True, "flood": True, "state": "forwarding", **settings}
        about = {"info_slave_kind": "bridge", "info_slave_data": told}
        self.rows[name].update({"master": master, "linkinfo": {**self.rows[name]["linkinfo"], **about}})

    def detach(self, name: str) -> None:
        del self.rows[name]["master"]
        self.rows[name]["linkinfo"] = {"info_kind": "tun"}

    def run_json(self, *argv: str) -> Any:
        return [row for row in self.rows.values() if "dev" not in argv or row["ifname"] == argv[-1]]

    def run(self, *argv: str) -> str:
        assert argv[:4] == ("ip", "link", "set", "dev")
        if argv[5] == "master":
            self.attach(argv[4], argv[6], {})
        self.done.append(" ".join(argv[4:]))
        return ""


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    kernel = Ports()
    monkeypatch.setattr(programs, "run_json", kernel.run_json)
    monkeypatch.setattr(programs, "run", kernel.run)
    return kernel


def test_a_tap_that_lost_its_bridge_gets_it_back_with_the_bridges_settings(ports: Ports) -> None:
    before = {"guests": links.read_guest_ports()}
    assert set(before["guests"]) == {"vnet0", "macvtap0"}
    assert (comparison.guest_differences(before), restore.restore_guest_ports(before), ports.done) == ([], [], [])
    ports.detach("vnet0")
    assert comparison.guest_differences(before) == ["guests vnet0: was a port of br0, is of nothing"]
    bridge = ports.rows.pop("br0")
    assert restore.restore_guest_ports(before) == [], "the bridge is not back yet"
    ports.rows["br0"] = {**bridge, "ifindex": 99}
    assert restore.restore_guest_ports(before) == ["vnet0"]
    assert ports.done == [
        "vnet0 master br0",
        "vnet0 type bridge_slave learning off",
        "vnet0 type bridge_slave isolated on",
    ]
    assert comparison.guest_differences(before) == []


def test_what_libvirt_does_to_guests_meanwhile_is_no_difference(ports: Ports) -> None:
    """A guest that stopped, another one that got the name, one that libvirt plugged in elsewhere."""
    before = {"guests": links.read_guest_ports()}
    gone = ports.rows.pop("vnet0")
    del ports.rows["macvtap0"]
    assert (comparison.guest_differences(before), restore.restore_guest_ports(before)) == ([], [])
    ports.rows["vnet0"] = {"ifname": "vnet0", "ifindex": 30, "linkinfo": {"info_kind": "tun"}}
    assert (comparison.guest_differences(before), restore.restore_guest_ports(before)) == ([], [])
    ports.rows["vnet0"] = {**gone, "master": "br1"}
    assert (comparison.guest_differences(before), restore.restore_guest_ports(before)) == ([], [])
    assert ports.done == []


def test_a_macvtap_that_went_with_its_base_cannot_be_given_back(ports: Ports) -> None:
    before = {"guests": links.read_guest_ports()}
    del ports.rows["macvtap0"]
    ports.rows["bond0.2"]["ifindex"] = 40
    assert comparison.guest_differences(before) == [
        "guests macvtap0: went with bond0.2, which was made anew: start its guest anew"
    ]
    assert set(snapshot.disconnected_macvtaps(before, ["macvtap0", "vnet0"])) == {"macvtap0"}
    ports.add("macvtap0", 41, "macvtap", link="bond0.2")
    assert comparison.guest_differences(before) == [], "its guest was started anew"


def test_what_stands_on_a_link_gets_its_mtu_back(ports: Ports) -> None:
    """The kernel has lowered it with the link's: of a person's VLAN, and of the guest's macvtap on that."""
    ports.add("eth0.7", 20, "vlan", link="eth0", mtu=9000)
    for name, mtu in (("bond0.2", 9000), ("macvtap0", 9000), ("eth0.7", 9000)):
        ports.rows[name]["mtu"] = mtu
    ports.rows["bond0.2"]["link"] = "bond0"
    above = links.read_upper_devices(["eth0", "bond0"])
    assert above == {n: {"index": i, "mtu": 9000} for n, i in (("eth0.7", 20), ("bond0.2", 4), ("macvtap0", 8))}
    assert set(links.read_upper_devices(["bond0", "bond0.2"])) == {"macvtap0"}, "of what is ours all is compared"
    before = {"above": above}
    assert restore.restore_upper_mtus(before) == []
    for name, mtu in (("bond0.2", 1500), ("macvtap0", 1500), ("eth0.7", 9200)):
        ports.rows[name]["mtu"] = mtu
    ports.rows["macvtap0"]["ifindex"] = 30  # its guest was started anew
    assert restore.restore_upper_mtus(before) == ["bond0.2"]
    assert ports.done == ["bond0.2 mtu 9000"]
    assert restore.restore_upper_mtus({}) == []


def test_a_snapshot_without_guests_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "run_json", lambda *_: pytest.fail("ip was asked"))
    without: list[dict[str, Any]] = [{}, {"guests": {}}]
    for before in without:
        assert (comparison.guest_differences(before), restore.restore_guest_ports(before)) == ([], [])


class Profiles:
    """A machine's profiles and links; a virtual link goes with its profile where NetworkManager runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, brings: dict[str, str], running: bool = True) -> None:
        self.brings, self.running = dict(brings), running
        self.links = {"eth0": {"kind": None}, **{name: {"kind": "bridge"} for name in brings.values()}}
        self.calls: list[str] = []
        monkeypatch.setattr(programs, "run", self.run)
        monkeypatch.setattr(networkmanager, "list_profiles", self.profiles)
        monkeypatch.setattr(links, "read_links", lambda: dict(self.links))
        monkeypatch.setattr(clock, "wait_until", lambda what, *_: what())

    def profiles(self) -> list[dict[str, Any]]:
        if not self.running:
            raise HostError("nmcli: NetworkManager is not running")
        return [{"uuid": uuid} for uuid in self.brings]

    def run(self, *words: str, timeout: float = 30) -> str:
        self.calls.append(" ".join(words))
        if words[0] == "nmcli":
            for uuid in words[words.index("uuid") + 1 :: 2]:
                del self.links[self.brings.pop(uuid)]
        else:
            del self.links[words[-1]]
        return ""


def test_the_profiles_that_were_made_go_at_once_with_their_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Profiles(monkeypatch, {"u-1": "br1", "u-2": "br2", "u-3": "mine"})
    files.write_file(str(tmp_path / "snapshot.json"), json.dumps({"links": {}}).encode())
    spec = {"op": "profiles", "profiles": {"u-1": "br1", "u-2": "br2", "u-9": "never-made"}}
    assert undo.UNDO["profiles"](tmp_path, spec) == "3 deleted"
    assert machine.calls == ["nmcli -w 17 connection delete uuid u-2 uuid u-1"]
    assert set(machine.links) == {"eth0", "mine"}


def test_a_profile_loses_the_name_that_it_got_in_memory_before_its_nic_is_renamed_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(networkmanager, "list_profiles", lambda: [{"uuid": "u-1"}])
    monkeypatch.setattr(programs, "run", lambda *words, **_: calls.append(words) or "")
    assert undo.UNDO["unbind name"](tmp_path, {"uuid": "u-1"}) == "unbound"
    assert calls == [("nmcli", "connection", "modify", "--temporary", "uuid", "u-1", "connection.interface-name", "")]
    assert undo.UNDO["unbind name"](tmp_path, {"uuid": "u-9"}) == "the profile is gone"
    assert len(calls) == 1


def test_a_profile_that_was_there_before_is_not_ours_to_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whatever it has the UUID that ours was to have."""
    machine = Profiles(monkeypatch, {"u-1": "br1", "u-2": "br2"})
    before: dict[str, Any] = {"links": {"br2": {"kind": "bridge"}}, "profiles": [{"uuid": "u-2"}]}
    files.write_file(str(tmp_path / "snapshot.json"), json.dumps(before).encode())
    undo.UNDO["profiles"](tmp_path, {"profiles": {"u-1": "br1", "u-2": "br2"}})
    assert machine.calls == ["nmcli -w 16 connection delete uuid u-1"]


def test_without_networkmanager_their_links_go_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Profiles(monkeypatch, {"u-1": "br1", "u-2": "br2"}, running=False)
    files.write_file(str(tmp_path / "snapshot.json"), json.dumps({"links": {"br2": {"kind": "bridge"}}}).encode())
    undo.UNDO["profiles"](tmp_path, {"profiles": {"u-1": "br1", "u-2": "br2"}})
    assert machine.calls == ["ip link delete dev br1"], "br2 was there before"


def test_a_link_that_does_not_go_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Profiles(monkeypatch, {"u-1": "br1", "u-2": "br2"}, running=False)

    def refuse(*words: str, **_: object) -> str:
        raise HostError("busy")

    monkeypatch.setattr(programs, "run", refuse)
    with pytest.raises(HostError, match="still there: br1, br2"):
        undo.UNDO["profiles"](tmp_path, {"profiles": {"u-1": "br1", "u-2": "br2"}})
    assert "br1" in machine.links


def test_all_zones_are_told_by_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [
        {"trusted": {"interfaces": ["eth0", "peth0"]}, "drop": {"sources": ["10.0.0.0/8"]}, "dmz": {"interfaces": []}}
    ]
    monkeypatch.setattr(programs, "run", lambda *words: json.dumps({"type": "a{sa{sas}}", "data": data}))
    assert firewalld.read_zones() == {"eth0": "trusted", "peth0": "trusted"}


SHOWN: list[dict[str, Any]] = [
    {"ifname": "eth0", "address": "02:00:00:00:00:01", "link_type": "ether", "mtu": 1500, "flags": ["UP"]},
    {
        "ifname": "bond0",
        "address": "02:00:00:00:00:01",
        "linkinfo": {
            "info_kind": "bond",
            "info_data": {"mode": "active-backup", "miimon": 100, "active_slave": "eth0"},
        },
    },
    {
        "ifname": "eth0.5",
        "link": "eth0",
        "linkinfo": {"info_kind": "vlan", "info_data": {"protocol": "802.1Q", "id": 5, "flags": ["REORDER_HDR"]}},
    },
    {"ifname": "br0", "linkinfo": {"info_kind": "bridge", "info_data": {"stp_state": 0, "gc_timer": 7.1}}},
]


def test_of_a_link_counts_what_is_set_and_not_what_it_does() -> None:
    found = links.read_links(SHOWN)
    assert {name: link["options"] for name, link in found.items()} == {
        "eth0": {},
        "bond0": {"mode": "active-backup", "miimon": 100},
        "eth0.5": {"protocol": "802.1Q", "id": 5},
        "br0": {"stp_state": 0},
    }
    assert found["eth0.5"]["over"] == "eth0"
    for interval, told in ((0, {}), (500, {"arp_ip_target": ["10.0.0.1"]})):
        data = {"arp_interval": interval, "arp_ip_target": ["10.0.0.1"]}
        bond = {"ifname": "bond1", "linkinfo": {"info_kind": "bond", "info_data": data}}
        assert links.read_links([bond])["bond1"]["options"] == {"arp_interval": interval, **told}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the machine shows, to be altered."""
    seen: dict[str, Any] = {
        "links": links.read_links(json.loads(json.dumps(SHOWN))),
        "addresses": {"eth0": ["10.0.0.1/8"]},
        "routes": [],
        "zones": {"eth0": "trusted", "br0": None},
        "profiles": [
            {"uuid": "u-0", "device": "eth0", "file": "/etc/x", "id": "eth0"},
            {"uuid": "u-b", "device": "bond0", "file": "/etc/b", "id": "bond0"},
        ],
        "dns": {"eth0": {"nameservers": ["10.0.0.53"]}},
        "global dns": {},
    }
    monkeypatch.setattr(snapshot, "read_host_state", lambda *_: json.loads(json.dumps(seen)))
    monkeypatch.setattr(links, "read_guest_ports", dict)
    return seen


def taken(seen: dict[str, Any]) -> dict[str, Any]:
    return {"names": [], "macs": [], "uuids": [], "files": [], **json.loads(json.dumps(seen))}


@pytest.mark.guarantee("G10")
def test_what_a_link_is_set_to_and_who_resolves_names_is_compared(machine: dict[str, Any]) -> None:
    before = taken(machine)
    assert comparison.find_differences(before) == []
    machine["links"]["bond0"]["options"]["miimon"] = 0
    machine["links"]["br0"]["options"]["stp_state"] = 1
    machine["links"]["eth0.5"]["over"] = "eth1"
    machine["dns"] = {}
    machine["global dns"] = GLOBAL
    assert [line.partition(":")[0] for line in comparison.find_differences(before)] == [
        "links bond0",
        "links br0",
        "links eth0.5",
        "dns eth0",
        "global dns domains",
        "global dns searches",
    ]


@pytest.mark.guarantee("G10")
def test_a_device_that_is_set_otherwise_is_activated_again(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, ran = taken(machine), list[str]()
    monkeypatch.setattr(links, "read_links", lambda: machine["links"])
    monkeypatch.setattr(programs, "run", lambda *words: ran.append(" ".join(words)) or "")
    restore.reactivate_profiles(before)
    assert ran == []
    machine["links"]["bond0"]["options"]["miimon"] = 0
    machine["dns"] = {}
    restore.reactivate_profiles(before)
    assert ran == [f"nmcli -w 20 connection up uuid {u} ifname {d}" for u, d in (("u-0", "eth0"), ("u-b", "bond0"))]


@pytest.mark.guarantee("G10")
def test_a_person_is_told_the_commands_that_would_mend_it(
    machine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {**taken(machine), "guests": {"vnet0": {"kind": "tap", "of": "br0", "index": 7}}}
    assert repair_commands.repair_commands({**before, "guests": {}}, tmp_path) == []
    nic = machine["links"].pop("eth0")
    machine["links"]["peth0"] = {**nic, "name": "peth0", "altnames": ["eth0", "new"], "mtu": 9000, "promiscuous": True}
    machine["addresses"], machine["zones"] = {}, {"eth0": "drop", "br0": "trusted"}
    machine["global dns"] = GLOBAL
    file = tmp_path / "a.nmconnection"
    file.write_text("x")
    before["files"] = [files.record_file(str(file))]
    file.write_text("y")
    assert repair_commands.repair_commands({**before, "guests": {}}, tmp_path) == [
        f"/usr/bin/python3 -I {tmp_path}/rescue.pyz --state {tmp_path}",
        "ip link property del dev peth0 altname eth0",
        "ip link set dev peth0 name eth0",
        "ip link property del dev eth0 altname new",
        "ip link set dev eth0 mtu 1500",
        "ip link set dev eth0 promisc off",
        "nmcli connection up uuid u-0 ifname eth0",
        "firewall-cmd --zone=trusted --change-interface=eth0",
        "firewall-cmd --zone=trusted --remove-interface=br0",
        f"busctl set-property {BUS_NAME} {OBJECT_PATH} {BUS_NAME} {GLOBAL_DNS_PROPERTY} 'a{{sv}}' 0",
    ]
    monkeypatch.setattr(snapshot, "read_host_state", lambda *_: (_ for _ in ()).throw(HostError("no bus")))
    assert repair_commands.repair_commands(before, tmp_path)[0] == "systemctl restart NetworkManager"


def test_name_servers_are_told_by_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"interface": {"type": "s", "data": "eth0"}, "nameservers": {"type": "as", "data": ["10.0.0.53"]}},
        {"nameservers": {"type": "as", "data": ["10.9.9.9"]}},
        {"interface": {"type": "s", "data": "eth1"}, "nameservers": {"type": "as", "data": []}},
    ]
    monkeypatch.setattr(programs, "run_json", lambda *_: {"type": "aa{sv}", "data": rows})
    assert networkmanager.read_name_servers() == {"eth0": {"nameservers": ["10.0.0.53"]}}


def test_a_guest_that_was_started_during_the_change_is_told_of(
    ports: Ports, opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On what goes with the undo. Nothing can give it its network back; one that stays, or that has ended, is none."""
    before: dict[str, Any] = {"files": [], "profiles": [], "guests": links.read_guest_ports()}
    files.write_file(str(opened / "open" / "snapshot.json"), json.dumps(before).encode())
    for number, name in enumerate(("vnet1", "vnet2", "vnet3")):
        ports.add(name, 20 + number, "tun", master="br6")
    ports.add("macvtap1", 30, "macvtap", link="bond0.2")

    def undo_steps(*_: Any) -> None:
        ports.detach("vnet1")
        for name in ("vnet3", "macvtap1"):
            del ports.rows[name]

    monkeypatch.setattr(rollback, "_undo_steps", undo_steps)
    assert rollback.roll_back(opened, "nobody confirmed") == 3
    (told,) = [e for e in Journal(opened / "history" / "T").events() if e["event"] == "lost"]
    assert told["devices"] == ["vnet1", "macvtap1"]


def test_a_containers_port_is_given_back_too(ports: Ports) -> None:
    ports.rows["veth1"] = {**ports.rows["vnet0"], "ifname": "veth1", "ifindex": 77}
    ports.rows["veth1"]["linkinfo"] = {**ports.rows["vnet0"]["linkinfo"], "info_kind": "veth"}
    before = {"guests": links.read_guest_ports()}
    ports.detach("veth1")
    assert comparison.guest_differences(before) == ["guests veth1: was a port of br0, is of nothing"]
    assert restore.restore_guest_ports(before) == ["veth1"]


@pytest.mark.guarantee("G05")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("old.local", ["--static --transient old.local"]),
        ("", ["--static --transient ", "--transient from-dhcp"]),
    ],
)
def test_a_name_that_is_not_from_a_file_is_given_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: list[str]
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(programs, "run", lambda *words: ran.append(" ".join(words[2:])) or "")
    monkeypatch.setattr(snapshot, "KERNEL_HOSTNAME_FILE", str(tmp_path / "hostname"))
    (tmp_path / "hostname").write_text("new.local\n")  # whatever hostnamed answers: the kernel is asked
    undo.UNDO["hostname"](tmp_path, {"op": "hostname", "name": name, "running": "from-dhcp"})
    assert ran == said
    assert (tmp_path / "hostname").read_text() == (name or "from-dhcp")


# ---- keyfiles of a person's


@pytest.fixture
def keyfiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of keyfiles on a machine where NetworkManager runs; the open transaction's is beside it."""
    folder = tmp_path / "system-connections"
    folder.mkdir()
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(networkmanager, "PROFILE_FOLDERS", (str(folder),))
    monkeypatch.setattr(links, "read_guest_ports", dict)
    monkeypatch.setattr(networkmanager, "is_running", lambda: True)
    monkeypatch.setattr(programs, "run", lambda *words, **_: "")
    return folder


def shot(keyfiles: Path, monkeypatch: pytest.MonkeyPatch, **stems: str) -> dict[str, Any]:
    """The snapshot of a machine where each of these files (stem -> UUID) is NetworkManager's profile."""
    rows = [{"uuid": u, "device": None, "file": str(keyfiles / f"{f}.nmconnection"), "id": f} for f, u in stems.items()]
    monkeypatch.setattr(snapshot, "read_host_state", lambda *_: {"profiles": rows})
    before = snapshot.take_snapshot([], [], sorted(stems.values()), [])
    files.write_file(str(keyfiles.parent / "open" / "snapshot.json"), json.dumps(before).encode())
    return before


@pytest.mark.parametrize(
    ("line", "is_it"),
    [
        ("uuid=ab-1", True),
        ("uuid = AB-1", True),
        ("  uuid\t=ab-1  ", True),
        ("uuid=ab-1\r", True),
        ("uuid=ab-12", False),
        ("#uuid=ab-1", False),
        ("secondaries=ab-1", False),
    ],
)
def test_a_keyfile_names_its_profile_in_any_way(line: str, is_it: bool) -> None:
    text = f"[connection]\nid=\xff\n{line}\ntype=ethernet\n".encode("latin-1")
    assert networkmanager.has_uuid(text, ["cd-2", "ab-1"]) is is_it


@pytest.mark.guarantee("G12")
def test_a_keyfile_that_does_not_name_its_profile_is_given_back(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = keyfiles / "office.nmconnection"
    file.write_text("[connection]\nid=office\n")
    before = shot(keyfiles, monkeypatch, office="ab-1")
    file.write_text("[connection]\nid=office\nuuid=ab-1\ncontroller=br0\n")
    assert comparison.file_differences(before) == [f"file {file}: differs in data"]
    assert undo.UNDO["files"](keyfiles.parent / "open", {"uuids": ["ab-1"]}) == "1 given back"
    assert file.read_text() == "[connection]\nid=office\n"
    assert comparison.file_differences(before) == []


@pytest.mark.guarantee("G12")
def test_a_keyfile_that_the_snapshot_does_not_know_is_kept_beside_the_journal(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, folder = shot(keyfiles, monkeypatch), keyfiles.parent / "open"
    file = keyfiles / "office.nmconnection"
    place = folder / "aside" / str(file).lstrip("/")
    before["uuids"] = ["ab-1"]
    for text in ("uuid=AB-1\n", "uuid=ab-1\nother\n", "uuid=ab-1\nother\n"):
        file.write_text(text)
        file.chmod(0o600)
        assert comparison.file_differences(before) == [f"file {file}: was not there"]
        told = undo.UNDO["files"](folder, {"uuids": ["ab-1"]})
        assert told.startswith(f"0 given back; {file} was not there before, and is kept as aside/")
        assert (comparison.file_differences(before), list(keyfiles.iterdir())) == ([], [])
    assert (place.read_text(), place.stat().st_mode & 0o777) == ("uuid=AB-1\n", 0o600)
    assert sorted(p.name for p in place.parent.iterdir()) == [place.name, f"{place.name}.1"]


def test_a_disk_without_room_for_it_does_not_keep_the_rest_from_being_undone(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = keyfiles / "eth0.nmconnection"
    was.write_text("uuid=ab-1\n")
    before, folder = shot(keyfiles, monkeypatch, eth0="ab-1"), keyfiles.parent / "open"
    was.write_text("uuid=ab-1\nother\n")
    (keyfiles / "office.nmconnection").write_text("uuid=ab-1\nmine\n")
    write_file = files.write_file

    def full(path: str, *rest: Any) -> None:
        if "/aside/" in path:
            raise OSError("no space left on device")
        write_file(path, *rest)

    monkeypatch.setattr(files, "write_file", full)
    undo.UNDO["files"](folder, {"uuids": ["ab-1"]})
    assert (was.read_text(), comparison.file_differences(before)) == ("uuid=ab-1\n", [])
    assert (keyfiles / ".office.nmconnection.kvmnet-aside").read_text() == "uuid=ab-1\nmine\n"


@pytest.mark.guarantee("G12")
def test_what_an_undo_set_aside_is_never_forgotten(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"T{number}").mkdir()
    files.write_file(str(tmp_path / "T0" / "aside" / "etc" / "office.nmconnection"), b"mine")
    files.write_file(str(tmp_path / "T1" / "aside" / "run" / "eth0.nmconnection"), b"NetworkManager's, in memory")
    closing.prune_history(tmp_path, keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["T0", "T2"]


def test_links_of_profiles_that_stay_are_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a NIC that has its name back, nor what was there before."""
    here = {"br0": {"kind": "bridge"}, "br1": {"kind": "bridge"}, "eth0": {"kind": None}, "was": {"kind": "vlan"}}
    ran: list[str] = []

    def run(*words: str) -> str:
        ran.append(" ".join(words))
        for name in ("br0", "br1"):
            if (f"u-{name}" in words and name == "br0") or words[-1] == name:
                here.pop(name)
        return ""

    monkeypatch.setattr(links, "read_links", lambda: dict(here))
    monkeypatch.setattr(networkmanager, "list_profiles", lambda: [{"uuid": f"u-{n}", "device": n} for n in here])
    monkeypatch.setattr(programs, "run", run)
    (tmp_path / "snapshot.json").write_text(json.dumps({"links": {"was": {"kind": "vlan"}, "eth0": {"kind": None}}}))
    undo.UNDO["links"](tmp_path, {"names": ["br0", "br1", "eth0", "was", "none"]})
    assert ran == [
        "nmcli -w 20 connection down uuid u-br0",
        "nmcli -w 20 connection down uuid u-br1",
        "ip link delete dev br1",
    ]


# ---- text that others made


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, prints: bytes) -> None:
    """A program of this name that prints these bytes."""
    (folder / "printed").write_bytes(prints)
    (folder / name).write_text(f"#!/bin/sh\nexec cat {folder}/printed\n")
    (folder / name).chmod(0o755)
    monkeypatch.setattr(programs, "PROGRAM_PATH", f"{folder}:{programs.PROGRAM_PATH}")


@pytest.mark.guarantee("G12")
def test_bytes_that_are_no_text_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b'[{"ifname": "eth0", "ifalias": "B\xf6b\\\'s \x01 C:\\\\\'", "altnames": ["n\xff"]}]'
    program(tmp_path, monkeypatch, "ip", rows)
    found = links.read_links()["eth0"]
    assert found["altnames"] == ["n\udcff"]
    assert programs.run_json("ip")[0]["ifalias"] == "B\udcf6b's \x01 C:\\'"
    journal = Journal(tmp_path)
    journal.append("settling", links=found)
    assert journal.events()[0]["links"]["altnames"] == ["n\udcff"]
    assert programs.run("printf", "%s", "n\udcff") == "n\udcff"


@pytest.mark.parametrize("prints", [b"[", b"Object does not exist"])
def test_what_is_no_answer_is_a_failure_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prints: bytes
) -> None:
    program(tmp_path, monkeypatch, "ip", prints)
    with pytest.raises(HostError, match=r"^ip -j: "):
        programs.run_json("ip", "-j")
    with pytest.raises(HostError, match="null byte"):
        programs.run("ip", "\0")


def test_such_text_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    Journal(tmp_path / "open").append("not-verified", differences=["n\udcff"])
    script = (
        f"import sys; from kvmnet.rescue import __main__ as rescue\n"
        "rescue._print_result = lambda state, code: print('n\\udcff')\n"
        "rescue.rollback.roll_back = lambda *_, **__: 4\n"
        "rescue.os.geteuid = lambda: 0\n"
        f"sys.argv[1:] = ['--state', {str(tmp_path)!r}]; sys.exit(rescue.main())"
    )
    env = {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (4, b"n\\udcff\n", b"")


def test_what_one_part_of_an_undo_meets_does_not_end_the_others(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def broken(name: str, error: Exception) -> Any:
        def fail(*_: Any) -> Any:
            done.append(name)
            raise error

        return fail

    ticks = iter(range(0, 10_000, 5))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(comparison, "find_differences", lambda before: ["profiles: gone"])
    errors = (IndexError("x"), KeyError("x"), ValueError("x"), OSError("x"))
    for name, error in zip(("reactivate_profiles", "restore_macs", "restore_link_settings", "restore_zones"), errors):
        monkeypatch.setattr(restore, name, broken(name, error))
    for module, name in ((restore, "restore_guest_ports"), (links, "read_guest_ports"), (snapshot, "read_host_state")):
        monkeypatch.setattr(module, name, broken(name, LookupError("x")))
    before: dict[str, Any] = {"files": [], "profiles": [], "names": [], "macs": [], "uuids": [], "links": {}}
    files.write_file(str(opened / "open" / "snapshot.json"), json.dumps(before).encode())
    Journal(opened / "open").append("do", step=0)
    assert undone(opened, monkeypatch) == (4, [0])
    assert set(done) == {
        "reactivate_profiles",
        *("restore_macs", "restore_link_settings", "restore_zones"),
        *("restore_guest_ports", "read_guest_ports", "read_host_state"),
    }
    last = Journal(opened / "open").events()[-1]
    assert (last["event"], last["mends"][0]) == ("not-verified", "systemctl restart NetworkManager")


def test_a_machine_that_cannot_be_read_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def observe(*_: Any) -> Any:
        raise IndexError

    monkeypatch.setattr(snapshot, "read_host_state", observe)
    before: dict[str, Any] = {"names": [], "macs": [], "uuids": [], "files": [{"path": str(tmp_path), "absent": True}]}
    file, machine = comparison.find_differences(before)
    assert file.startswith(f"file {tmp_path}: cannot be read: ")
    assert machine.startswith("the machine cannot be read: ")


def test_an_undo_that_broke_off_is_told_and_does_not_spend_a_try(
    opened: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the machine answers again it must be undone, however often it did not."""
    journal = Journal(opened / "open")
    journal.append("do", step=0, until=110.0)
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: False)
    for number in range(20):
        journal.append("undo", up=float(number))
        journal.append("undo-broke", error="x")
    assert (watchdog.watch_over(opened, "T"), watched) == (0, [*["sleep"] * 3, "disarm T"]), "81 s ago: not yet"
    (opened / "closed").rename(opened / "open")
    monkeypatch.setattr(clock, "uptime", lambda: 700.0)
    watched.clear()
    assert (watchdog.watch_over(opened, "T"), watched) == (3, ["the watchdog: nobody worked on it any more"])


@pytest.mark.guarantee("G12")
@pytest.mark.parametrize(
    ("undos", "now", "time_for_it"),
    [([], 0, True), ([100], 103, False), ([100], 105, True), ([50, 100], 105, False), ([50, 100], 109, True),
     ([100] * 5000, 699, False), ([100] * 5000, 701, True), ([100], 20, True)],
)  # fmt: skip
def test_an_undo_that_breaks_off_again_is_begun_anew_later_each_time(
    monkeypatch: pytest.MonkeyPatch, undos: list[float], now: float, time_for_it: bool
) -> None:
    monkeypatch.setattr(clock, "uptime", lambda: now)
    events: list[dict[str, Any]] = [{"event": "do"}, {"event": "undo", "up": 1}, {"event": "not-verified"}]
    assert watchdog.is_retry_due([*events, *({"event": "undo", "up": up} for up in undos)]) is time_for_it


def test_a_crash_of_an_undo_is_in_the_journal(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(*_: Any) -> Any:
        raise TypeError("a bug")

    monkeypatch.setattr(restore, "restore_until_equal", settle)
    Journal(opened / "open").append("do", step=0)
    with (opened / "open" / "journal.jsonl").open("a") as journal:
        journal.write("12\n")  # what half a line may be
    with pytest.raises(TypeError):
        undone(opened, monkeypatch)
    last = Journal(opened / "open").events()[-1]
    assert (last["event"], last["error"]) == ("undo-broke", "a bug")


# ---- a disk that has become read-only


def read_only(*_: Any) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.guarantee("G04")
def test_the_lock_is_held_also_where_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lock.hold_lock(tmp_path):
        pass
    opens = os.open
    refused: list[Any] = []

    def refuse(path: Any, flags: int, *more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refused.append(path)
            read_only()
        return opens(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    with lock.hold_lock(tmp_path):
        assert lock.is_locked(tmp_path)
    assert refused and not lock.is_locked(tmp_path)


@pytest.mark.guarantee("G04")
def test_networkmanager_gets_a_keyfile_in_memory_that_the_disk_does_not_take(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = keyfiles.parent / "memory"
    file = keyfiles / "eth0.nmconnection"
    file.write_text("was")
    monkeypatch.setattr(networkmanager, "PROFILE_FOLDERS", (str(keyfiles), str(memory)))
    shot(keyfiles, monkeypatch, eth0="u-0")
    file.write_text("is")
    write_file = files.write_file
    at_disk = str(keyfiles) + "/"
    monkeypatch.setattr(
        files, "write_file", lambda path, *more: (read_only if path.startswith(at_disk) else write_file)(path, *more)
    )
    with pytest.raises(HostError, match="Read-only"):
        undo.UNDO["files"](keyfiles.parent / "open", {"uuids": ["u-0"]})
    assert (file.read_text(), (memory / file.name).read_text()) == ("is", "was")


@pytest.mark.parametrize(
    ("boot", "differs", "left"), [("another", True, True), ("another", False, False), (None, True, False)]
)
def test_after_a_boot_half_of_it_is_not_given_back(
    opened: Path, monkeypatch: pytest.MonkeyPatch, boot: Any, differs: bool, left: bool
) -> None:
    """What is on the disk belongs together, and the machine has started by it."""
    file = opened / "eth0.nmconnection"
    file.write_text("was")
    before: dict[str, Any] = {"files": [files.record_file(str(file))], "profiles": [], "links": {}}
    file.write_text("is" if differs else "was")
    files.write_file(str(opened / "open" / "snapshot.json"), json.dumps(before).encode())
    steps = [{"title": "step", "undo": [{"op": "note", "n": 0}]}]
    transaction = {"id": "T", "steps": steps, "boot": boot}
    files.write_file(str(opened / "open" / "transaction.json"), json.dumps(transaction).encode())
    monkeypatch.setattr(files, "is_read_only", lambda folder: folder == opened)
    monkeypatch.setattr(snapshot, "snapshot_after_boot", lambda before, _: before)
    Journal(opened / "open").append("do", step=0)
    code, seen = undone(opened, monkeypatch)
    assert (code, seen) == ((4, []) if left else (3, [0]))


def test_what_cannot_be_closed_is_not_undone_again_and_again(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    off: list[str] = []
    monkeypatch.setattr(units, "stop_watchdog", off.append)
    monkeypatch.setattr(files, "is_read_only", lambda folder: folder == opened / "open")
    Journal(opened / "open").append("do", step=0)
    assert undone(opened, monkeypatch) == (4, [0])
    assert off == ["T"]
    assert Journal(opened / "open").events()[-1]["event"] == "verified"


# ---- a full disk


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.guarantee("G12")
def test_one_file_that_cannot_be_given_back_keeps_no_other_from_it(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where / is full and /var is another file system; what is given back is read again all the same."""
    ran: list[str] = []
    names = ("a", "b", "c")
    paths = {name: keyfiles / f"{name}.nmconnection" for name in names}
    for file in paths.values():
        file.write_text("was")
    shot(keyfiles, monkeypatch, **{name: f"u-{name}" for name in names})
    paths["a"].unlink()
    paths["c"].write_text("is")
    write_file = files.write_file
    monkeypatch.setattr(files, "write_file", lambda path, *more: (full if "/a." in path else write_file)(path, *more))
    monkeypatch.setattr(programs, "run", lambda *words, **_: ran.append(" ".join(words)) or "")
    spec = {"uuids": ["u-a"], "paths": ["/etc/never-seen", str(paths["a"])]}
    with pytest.raises(HostError) as told:
        undo.UNDO["files"](keyfiles.parent / "open", spec)
    assert str(told.value).split("; ") == [
        "/etc/never-seen: '/etc/never-seen'",
        f"{paths['a']}: [Errno 28] No space left on device",
        "1 given back",
    ]
    assert (paths["c"].read_text(), ran) == ("was", ["nmcli connection reload"])


def test_keyfiles_are_read_again_also_when_a_try_before_has_given_them_back(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    shot(keyfiles, monkeypatch)
    monkeypatch.setattr(programs, "run", lambda *words, **_: ran.append(" ".join(words)) or "")
    assert undo.UNDO["files"](keyfiles.parent / "open", {"uuids": ["u-a"]}) == "0 given back"
    assert ran == ["nmcli connection reload"]


@pytest.mark.guarantee("G02")
@pytest.mark.parametrize("room", [True, False])
def test_a_file_gets_its_label_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: bool) -> None:
    """By another attribute, which needs neither root nor SELinux; tests/lab/test_undo.py has the real one."""
    monkeypatch.setattr(files, "SELINUX_LABEL", "user.label")
    file = tmp_path / "eth0.nmconnection"
    file.write_text("was")
    try:
        os.setxattr(file, "user.label", b"as it was")
    except OSError as error:
        pytest.skip(f"this file system has no attributes: {error}")
    record = files.record_file(str(file))
    file.unlink()
    file.write_text("is")
    if not room:
        monkeypatch.setattr(files, "write_file", full)
    assert files.restore_file(record) is True
    assert files.record_file(str(file)) == record
    assert os.getxattr(file, "user.label") == b"as it was"


@pytest.mark.guarantee("G02")
@pytest.mark.parametrize("now", ["", "is longer than what was", "is"])
def test_on_a_full_disk_a_file_is_given_back_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    file = tmp_path / "eth0.nmconnection"
    file.write_text("what was")
    file.chmod(0o600)
    record = files.record_file(str(file))
    file.write_text(now)
    file.chmod(0o644)
    monkeypatch.setattr(files, "write_file", full)
    assert files.restore_file(record) is True
    assert files.record_file(str(file)) == record


def test_where_there_is_no_room_at_all_a_file_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "eth0.nmconnection"
    file.write_text("what was")
    record = files.record_file(str(file))
    file.write_text("is")
    monkeypatch.setattr(files, "write_file", full)
    monkeypatch.setattr(os, "posix_fallocate", full)
    for _ in ("there", "gone"):
        with pytest.raises(OSError, match="No space"):
            files.restore_file(record)
        if file.exists():
            assert file.read_text() == "is"
            file.unlink()


# ---- a person's terminal


@pytest.mark.parametrize("key", ["TSTP", "TTIN", "TTOU", "HUP", "INT", "TERM", "PIPE"])
def test_no_key_of_a_terminal_stops_an_undo(opened: Path, key: str) -> None:
    """Ctrl-Z would stop it for ever, with the lock held."""
    script = (
        f"import os, signal, sys; from kvmnet.rescue import __main__ as rescue\n"
        "os.setpgid(0, 0)  # with a parent in another group of the session: else nothing would stop it\n"
        f"rescue.rollback.roll_back = lambda *_, **__: os.kill(os.getpid(), signal.SIG{key}) or 3\n"
        "rescue.os.geteuid = lambda: 0\n"
        f"sys.argv[1:] = ['--state', {str(opened)!r}]; sys.exit(rescue.main())"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL) as process:
        try:
            assert process.wait(20) == 3
        finally:
            process.kill()


@contextlib.contextmanager
def by_hand(opened: Path) -> Iterator[tuple[subprocess.Popen[str], contextlib.ExitStack]]:
    """The rescue program, started by hand while this process works: it has said what it waits for. And the lock."""
    script = (
        f"import sys; from kvmnet.rescue import __main__ as rescue\n"
        "rescue.os.geteuid = lambda: 0\n"
        "rescue.rollback.roll_back = lambda *_, **__: 3\n"
        f"sys.argv[1:] = ['--state', {str(opened)!r}]; sys.exit(rescue.main())"
    )
    command = [sys.executable, "-u", "-c", script]
    with contextlib.ExitStack() as held:
        held.enter_context(lock.hold_lock(opened))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert "works on it, and is waited for" in process.stdout.readline()
                assert "kvmnet rollback" in process.stdout.readline()
                yield process, held
            finally:
                process.kill()


def test_who_waits_for_another_may_be_interrupted(opened: Path) -> None:
    with by_hand(opened) as (process, _):
        process.send_signal(signal.SIGTERM)  # SIGINT is ignored where these tests run in the background of a shell
        assert process.wait(20) == -signal.SIGTERM


@pytest.mark.parametrize(("identity", "code"), [("T", 3), ("the next", 0)])
def test_who_waited_for_one_transaction_undoes_no_other(opened: Path, identity: str, code: int) -> None:
    with by_hand(opened) as (process, lock):
        text = json.dumps({"id": identity, "steps": []})
        files.write_file(str(opened / "open" / "transaction.json"), text.encode())
        lock.close()
        assert process.wait(20) == code
