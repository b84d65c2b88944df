"""Rolls the open transaction back: every step that was begun, last first; then compares with the snapshot."""

from __future__ import annotations

import contextlib
from pathlib import Path

from kvmnet.rescue import checkpoint, closing, comparison, repair_commands, restore, snapshot, undo
from kvmnet.system import clock, files, links, networkmanager, operations, programs, state_folder, units
from kvmnet.system.errors import EXPECTED_ERRORS, HostError
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json


def roll_back(state_dir: Path, why: str, booting: bool = False) -> int:
    """Undo the open transaction; returns the exit code (0, 3 or 4). The caller holds the lock.

    While the machine boots, before NetworkManager, files and names are given back and nothing is closed:
    the same is done once more, and verified, when NetworkManager runs.
    """
    try:
        return _roll_back(state_dir, why, booting)
    except Exception as error:  # a bug of ours: told where a person looks
        Journal(state_dir / "open").try_append("undo-broke", error=str(error) or repr(error))
        raise


def _roll_back(state_dir: Path, why: str, booting: bool) -> int:
    folder = state_dir / "open"
    if not folder.is_dir():
        return 0
    journal = Journal(folder)
    transaction, before = files.read_json(folder / "transaction.json"), files.read_json(folder / "snapshot.json")
    if not (transaction and before) and not journal.begun():
        closing.close_transaction(state_dir, "nothing was begun", verified=True)
        return 3
    if any(e["event"] == "kept" for e in journal.events()):  # cut between the last step and the closing
        closing.close_transaction(state_dir, "kept")
        return 0
    with contextlib.suppress(OSError):
        (folder / state_folder.BALLAST_FILE).unlink(missing_ok=True)
    journal.try_append("undo", why=why, boot=clock.boot_id())
    if state_folder.has_rebooted(folder) and (stuck := comparison.read_only_differences(before)):
        # what is on disk then belongs together, and half of it given back might lead nowhere
        journal.try_append("not-verified", differences=stuck)
        return 4
    if booting:
        _wait_for_nics(before.get("macs", []))
    elif networkmanager.make_responsive():
        journal.try_append("woken")
    came = _new_guest_devices(before)
    _undo_steps(folder, transaction, journal, booting)
    if not before:  # a damaged disk: what needs no snapshot is undone, a person must see to the rest
        journal.try_append("not-verified", differences=["the snapshot cannot be read, so nothing can be compared"])
        return 4
    if booting:
        journal.try_append("restored", differences=comparison.file_differences(before))
        return 3
    with contextlib.suppress(
        *EXPECTED_ERRORS
    ):  # the call for the rollback may have failed, and done its work all the same
        checkpoint.restore_other_keyfiles(folder)
    left = _settle(state_dir, transaction, before, came)
    if files.is_read_only(folder):  # no try can be counted, and none can be closed: it would be undone again and again
        units.stop_watchdog(str(transaction.get("id")))
        return 4
    if left and not (state_folder.has_rebooted(folder) and all(comparison._is_runtime_only(line) for line in left)):
        return 4
    closing.close_transaction(state_dir, "rolled back", verified=not left, differences=left)
    return 4 if left else 3


def _settle(state_dir: Path, transaction: Json, before: Json, came: dict[str, Json]) -> list[str]:
    """Wait until the machine is as the snapshot has it, and tell whether it is; what still differs. `came` are the
    guests' devices that the snapshot does not know."""
    journal = Journal(state_dir / "open")
    if state_folder.has_rebooted(state_dir / "open"):
        with contextlib.suppress(*EXPECTED_ERRORS):  # then all of it is compared
            undone = [spec for number in journal.begun() for spec in transaction["steps"][number]["undo"]]
            before = snapshot.snapshot_after_boot(
                before, {spec["mac"] for spec in undone if spec["op"] == operations.UNDO_RENAME.name}
            )
    given_up = snapshot.disconnected_macvtaps(before, transaction.get("lost", []))
    guests = {name: port for name, port in before.get("guests", {}).items() if name not in given_up}
    left = restore.restore_until_equal({**before, "guests": guests}, journal, restore.SETTLE_SECONDS)
    with contextlib.suppress(*EXPECTED_ERRORS):
        if raised := restore.restore_upper_mtus(before):
            journal.try_append("mtus", given_back=raised)
    with contextlib.suppress(*EXPECTED_ERRORS):
        here = links.read_guest_ports()
        gone = [n for n, port in given_up.items() if here.get(n, {}).get("index") != port["index"]]
        if gone := [*gone, *_disconnected_devices(came)]:
            journal.try_append("lost", devices=gone)
    if left:
        journal.try_append("not-verified", differences=left, mends=repair_commands.repair_commands(before, state_dir))
    else:
        journal.try_append("verified", differences=[])
    return left


def _new_guest_devices(before: Json) -> dict[str, Json]:
    """Guests' devices that the snapshot does not know: started on a bridge or VLAN of the change, which goes now."""
    with contextlib.suppress(*EXPECTED_ERRORS):
        return {name: port for name, port in links.read_guest_ports().items() if name not in before.get("guests", {})}
    return {}


def _disconnected_devices(ports: dict[str, Json]) -> list[str]:
    """Those of them that have lost their network: a tap stays without its bridge, a macvtap goes with its base."""
    rows = {row["ifname"]: row for row in links.read_ip_links()}
    lost = []
    for name, port in ports.items():
        row = rows.get(name, {})
        there = row.get("ifindex") == port["index"]
        if (port["kind"] == "tap" and there and not row.get("master")) or (port["kind"] == "macvtap" and not there):
            lost.append(name)
    return lost


def _undo_steps(folder: Path, transaction: Json, journal: Journal, booting: bool) -> None:
    """Undo what was begun, last first; one that fails does not stop the others."""
    steps = transaction.get("steps", [])
    for number in sorted({n for n in journal.begun() if n < len(steps)}, reverse=True):
        step = steps[number]
        for spec in step["undo"]:
            if booting and spec["op"] not in undo.AT_BOOT:
                continue
            journal.try_append("undoing", step=number, title=step["title"], op=spec["op"])
            try:
                journal.try_append("undone", step=number, result=undo.UNDO[spec["op"]](folder, spec))
            except EXPECTED_ERRORS as error:
                journal.try_append("undo-failed", step=number, error=str(error) or repr(error))
    with contextlib.suppress(*EXPECTED_ERRORS):  # what is left the comparison finds
        if named := restore.restore_nic_names(files.read_json(folder / "snapshot.json")):
            journal.try_append("named", nics=named)


def _wait_for_nics(macs: list[str], seconds: float = 30.0) -> None:
    """At boot: udev must be done with naming, and some NICs come late."""
    with contextlib.suppress(HostError):
        programs.run("udevadm", "settle", f"--timeout={seconds:.0f}", timeout=seconds + 5)
    with contextlib.suppress(*EXPECTED_ERRORS):
        clock.wait_until(lambda: all(links.find_nic(mac) for mac in macs), seconds, 0.5)
