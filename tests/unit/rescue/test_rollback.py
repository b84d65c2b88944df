"""The order of a rollback, and what stops it and what does not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import comparison, restore, rollback, snapshot, undo
from kvmnet.system import files, links, networkmanager, programs, units
from kvmnet.system.journal import Journal
from tests.unit.rescue.samples import (
    roll_back_noted,
    simulate_host,
)
from tests.unit.system.samples import GuestPorts


@pytest.mark.guarantee("G01")
def test_only_begun_steps_are_undone_last_first(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(opened / "open")
    for step in (0, 1):
        journal.append("do", step=step)
    assert roll_back_noted(opened, monkeypatch) == (3, [1, 0])
    assert not (opened / "open").exists()
    assert Journal(opened / "history" / "T").events()[-1]["outcome"] == "rolled back"


@pytest.mark.guarantee("G01")
def test_a_failed_undo_does_not_stop_the_others(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(opened / "open")
    for step in (0, 1, 2):
        journal.append("do", step=step)
    assert roll_back_noted(opened, monkeypatch, fail=2) == (3, [2, 1, 0])


@pytest.mark.guarantee("G07")
def test_a_failed_verification_keeps_the_transaction_open(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal(opened / "open").append("do", step=0)
    monkeypatch.setattr(
        restore, "restore_until_equal", lambda before, journal, patience: ["addresses eth0: was X, is absent"]
    )
    assert roll_back_noted(opened, monkeypatch) == (4, [0])
    last = Journal(opened / "open").events()[-1]
    assert (last["event"], last["differences"]) == ("not-verified", ["addresses eth0: was X, is absent"])


def test_a_kept_transaction_is_not_rolled_back(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(opened / "open")
    journal.append("do", step=0)
    journal.append("kept")
    assert roll_back_noted(opened, monkeypatch) == (0, [])
    assert not (opened / "open").exists()


def test_at_boot_files_and_names_are_restored_and_the_transaction_stays_open(
    opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NetworkManager does not run yet: what needs it, and the verification, are done later."""
    Journal(opened / "open").append("do", step=0)
    seen: list[str] = []
    specs = [{"op": op, "mac": "m"} for op in ("checkpoint", "profile", "zone", "files", "rename", "hostname")]
    transaction = {"id": "T", "boot": "an earlier one", "steps": [{"title": "x", "undo": specs}]}
    files.write_file(str(opened / "open" / "transaction.json"), json.dumps(transaction).encode())
    before: dict[str, Any] = {"files": [], "profiles": [], "macs": [], "uuids": [], "links": {}}
    files.write_file(str(opened / "open" / "snapshot.json"), json.dumps(before).encode())
    for op in undo.UNDO:
        monkeypatch.setitem(undo.UNDO, op, lambda folder, spec: seen.append(spec["op"]) or "")
    monkeypatch.setattr(networkmanager, "make_responsive", lambda: pytest.fail("it does not run yet"))
    monkeypatch.setattr(programs, "run", lambda *argv, **_: "")
    assert rollback.roll_back(opened, "power loss", booting=True) == 3
    assert seen == ["files", "rename", "hostname"]
    assert (opened / "open").is_dir()
    seen.clear()
    monkeypatch.setattr(networkmanager, "make_responsive", lambda: None)
    monkeypatch.setattr(links, "read_links", dict)
    monkeypatch.setattr(
        restore, "restore_until_equal", lambda before, journal, patience: ["addresses x: was 1, is absent"]
    )
    assert rollback.roll_back(opened, "power loss") == 4, "state that only the running host had is reported"
    assert seen[0] == "checkpoint"
    end = Journal(opened / "history" / "T").events()[-1]
    assert (end["verified"], end["differences"]) == (False, ["addresses x: was 1, is absent"]), (
        "but the transaction is closed"
    )


@pytest.mark.parametrize("names", [{"m1": "eth0"}, {"m1": "eth1", "m2": "eth0"}, {"m1": "peth0"}, {}])
def test_nics_that_the_boot_named_differently_are_renamed_back(
    opened: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, str]
) -> None:
    """A removal deletes the .link files before it renames NICs. NICs may have swapped names."""
    wanted = {"m1": "eth0", "m2": "eth1"} if len(names) > 1 else {"m1": "peth0"}
    rows = {**{name: {"mac": mac} for mac, name in wanted.items()}, "br0": {"mac": None}}
    before: dict[str, Any] = {"files": [], "profiles": [], "uuids": [], "links": rows}
    files.write_file(str(opened / "open" / "snapshot.json"), json.dumps(before).encode())
    current = dict(names)

    def rename(mac: str, to: str) -> str:
        assert to not in current.values(), f"{to} is in use"
        current[mac] = to
        return "up"

    monkeypatch.setattr(links, "find_nic", current.get)
    monkeypatch.setattr(links, "rename_nic", rename)
    monkeypatch.setattr(rollback, "_wait_for_nics", lambda _: None)
    Journal(opened / "open").append("begin")
    assert rollback.roll_back(opened, "power loss", booting=True) == 3
    assert current == {mac: wanted[mac] for mac in names}
    renamed = [e["nics"] for e in Journal(opened / "open").events() if e["event"] == "named"]
    assert renamed == ([] if names in ({}, wanted) else [sorted(wanted.values())])


def test_a_guest_that_started_during_the_change_and_lost_its_network_is_recorded(
    ports: GuestPorts, opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bridge or VLAN is removed by the rollback. A guest that keeps its network, or has ended, is not recorded."""
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
    assert rollback.roll_back(opened, "not confirmed") == 3
    (event,) = [e for e in Journal(opened / "history" / "T").events() if e["event"] == "lost"]
    assert event["devices"] == ["vnet1", "macvtap1"]


def test_an_error_in_one_part_does_not_stop_the_other_parts(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def broken(name: str, error: Exception) -> Any:
        def fail(*_: Any) -> Any:
            done.append(name)
            raise error

        return fail

    ticks = iter(range(0, 10_000, 5))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(comparison, "find_differences", lambda before: ["profiles: missing {}"])
    errors = (IndexError("x"), KeyError("x"), ValueError("x"), OSError("x"))
    for name, error in zip(("reactivate_profiles", "restore_macs", "restore_link_settings", "restore_zones"), errors):
        monkeypatch.setattr(restore, name, broken(name, error))
    for module, name in ((restore, "restore_guest_ports"), (links, "read_guest_ports"), (snapshot, "read_host_state")):
        monkeypatch.setattr(module, name, broken(name, LookupError("x")))
    before: dict[str, Any] = {"files": [], "profiles": [], "names": [], "macs": [], "uuids": [], "links": {}}
    files.write_file(str(opened / "open" / "snapshot.json"), json.dumps(before).encode())
    Journal(opened / "open").append("do", step=0)
    assert roll_back_noted(opened, monkeypatch) == (4, [0])
    assert set(done) == {
        "reactivate_profiles",
        *("restore_macs", "restore_link_settings", "restore_zones"),
        *("restore_guest_ports", "read_guest_ports", "read_host_state"),
    }
    last = Journal(opened / "open").events()[-1]
    assert (last["event"], last["mends"][0]) == ("not-verified", "systemctl restart NetworkManager")


def test_a_crash_of_a_rollback_is_in_the_journal(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(*_: Any) -> Any:
        raise TypeError("a bug")

    monkeypatch.setattr(restore, "restore_until_equal", settle)
    Journal(opened / "open").append("do", step=0)
    with (opened / "open" / "journal.jsonl").open("a") as journal:
        journal.write("12\n")  # an incomplete line may be valid JSON
    with pytest.raises(TypeError):
        roll_back_noted(opened, monkeypatch)
    last = Journal(opened / "open").events()[-1]
    assert (last["event"], last["error"]) == ("undo-broke", "a bug")


@pytest.mark.parametrize(
    ("boot", "differs", "stays_open"), [("another", True, True), ("another", False, False), (None, True, False)]
)
def test_after_a_boot_nothing_is_undone_when_a_file_cannot_be_restored(
    opened: Path, monkeypatch: pytest.MonkeyPatch, boot: Any, differs: bool, stays_open: bool
) -> None:
    """The files on disk belong together, and the host has booted from them."""
    file = opened / "eth0.nmconnection"
    file.write_text("was")
    before: dict[str, Any] = {"files": [files.record_file(str(file))], "profiles": [], "links": {}}
    file.write_text("is" if differs else "was")
    files.write_file(str(opened / "open" / "snapshot.json"), json.dumps(before).encode())
    steps = [{"title": "step", "undo": [{"op": "note", "n": 0}]}]
    transaction = {"id": "T", "steps": steps, "boot": boot}
    files.write_file(str(opened / "open" / "transaction.json"), json.dumps(transaction).encode())
    monkeypatch.setattr(files, "is_read_only", lambda folder: folder == opened)
    monkeypatch.setattr(snapshot, "adapt_snapshot_to_boot", lambda before, _: before)
    Journal(opened / "open").append("do", step=0)
    code, undone = roll_back_noted(opened, monkeypatch)
    assert (code, undone) == ((4, []) if stays_open else (3, [0]))


def test_a_transaction_that_cannot_be_closed_stops_the_watchdog(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(units, "stop_watchdog", stopped.append)
    monkeypatch.setattr(files, "is_read_only", lambda folder: folder == opened / "open")
    Journal(opened / "open").append("do", step=0)
    assert roll_back_noted(opened, monkeypatch) == (4, [0])
    assert stopped == ["T"]
    assert Journal(opened / "open").events()[-1]["event"] == "verified"


def test_a_restart_of_networkmanager_is_in_the_journal(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its other connections, such as a VPN, have ended."""
    monkeypatch.setattr(networkmanager, "make_responsive", lambda: True)
    for module, name in ((units, "stop_watchdog"), (comparison, "find_differences"), (rollback, "_undo_steps")):
        monkeypatch.setattr(module, name, lambda *_: [])
    assert rollback.roll_back(opened, "x") == 3
    assert "woken" in [e["event"] for e in Journal(opened / "history" / "T").events()]


@pytest.mark.guarantee("G18")
def test_a_guest_that_started_during_the_change_gets_its_bridge_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No snapshot has its port. The new bridge took it over, and the rollback removes that bridge."""
    host = simulate_host(tmp_path, monkeypatch)
    before = json.loads(json.dumps(snapshot.take_snapshot(["br0", "eth0"], ["02::0"], ["u-0"], [])))
    host.add("br1", 70, "bridge")
    host.add("vnet9", 71, "tun", master="br1", isolated=True)
    host.vlans["vnet9"] = {7: ["PVID"]}
    host.add("vnet0", 72, "tun", master="br1")  # its guest was restarted
    new_devices = rollback._find_new_guest_devices(before)
    for name in ("vnet0", "vnet9"):
        host.detach(name)
    del host.rows["br1"]
    (tmp_path / "open").mkdir()
    transaction = {"id": "T", "steps": [], "replaced": {"br0": "br1"}}
    monkeypatch.setattr(restore, "SETTLE_SECONDS", 2)
    assert rollback._restore_and_verify(tmp_path, transaction, before, new_devices) == []
    assert (host.rows["vnet9"]["master"], host.vlans["vnet9"]) == ("br0", {7: ["PVID"]})
    assert host.port_settings["vnet9"]["isolated"] and host.rows["vnet0"]["master"] == "br0"
    assert all(event["event"] != "lost" for event in Journal(tmp_path / "open").events())
