"""Rolls the open transaction back: undoes every step that has begun, the last one first, and verifies the host."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from kvmnet.rescue import (
    checkpoint,
    closing,
    comparison,
    difference_text,
    guest_profiles,
    handover,
    repair_commands,
    restore,
    snapshot,
    undo,
    whole_host,
)
from kvmnet.system import address_times, clock, files, links, networkmanager, operations, programs, state_folder, units
from kvmnet.system.errors import EXPECTED_ERRORS, HostError
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json


def roll_back(state_dir: Path, why: str, booting: bool = False, likely: Sequence[Json] = ()) -> int:
    """Roll the open transaction back; return the exit code (0, 3 or 4). The caller holds the lock.

    `why` is the reason, for the journal, and `likely` are reasons that may be behind it. With `booting`, before
    NetworkManager starts, only files and names are restored and the transaction stays open: it is rolled back again,
    and verified, when NetworkManager runs.
    """
    try:
        return _roll_back(state_dir, why, booting, likely)
    except Exception as error:  # a bug: recorded where the administrator looks
        Journal(state_dir / "open").try_append("undo-broke", error=str(error) or repr(error))
        raise


def _roll_back(state_dir: Path, why: str, booting: bool, likely: Sequence[Json]) -> int:
    folder = state_dir / "open"
    if not folder.is_dir():
        return 0
    journal = Journal(folder)
    transaction, before = files.read_json(folder / "transaction.json"), files.read_json(folder / "snapshot.json")
    if not (transaction and before) and not journal.begun():
        closing.close_transaction(state_dir, "nothing was begun", verified=True)
        return 3
    if any(e["event"] == "kept" for e in journal.events()):  # interrupted between the last step and the closing
        closing.close_transaction(state_dir, "kept")
        return 0
    with contextlib.suppress(OSError):
        (folder / state_folder.BALLAST_FILE).unlink(missing_ok=True)
    if corrupt := journal.count_corrupt():
        journal.try_append("corrupt", lines=corrupt)
    journal.try_append("undo", why=why, boot=clock.boot_id(), **({"likely": list(likely)} if likely else {}))
    if state_folder.has_rebooted(folder) and (stuck := comparison.read_only_differences(before)):
        # the host has booted from these files: a part of them restored might not work together with the rest
        journal.try_append("not-verified", differences=stuck)
        return 4
    if booting:
        _wait_for_nics(before.get("macs", []))
    elif networkmanager.make_responsive():
        journal.try_append("woken")
    new_devices = _find_new_guest_devices(before)
    _undo_steps(folder, transaction, journal, booting)
    if not before:  # a corrupt disk: only what needs no snapshot could be undone
        journal.try_append("not-verified", differences=["the snapshot cannot be read: the host cannot be verified"])
        return 4
    if booting:
        journal.try_append("restored", differences=comparison.find_file_differences(before))
        return 3
    with contextlib.suppress(*EXPECTED_ERRORS):  # the checkpoint may be rolled back although the call for it failed
        checkpoint.restore_other_keyfiles(folder)
    with contextlib.suppress(*EXPECTED_ERRORS):  # otherwise they are among the notes
        if paths := guest_profiles.keep_guest_profiles_in_memory(before):
            journal.try_append("profiles-in-memory", files=paths)
    differences = _restore_and_verify(state_dir, transaction, before, new_devices)
    if files.is_read_only(folder):  # the transaction cannot be closed: the watchdog would roll it back again and again
        units.stop_watchdog(str(transaction.get("id")))
        return 4
    if differences and not (
        state_folder.has_rebooted(folder) and all(difference_text.is_runtime_only(line) for line in differences)
    ):
        return 4
    closing.close_transaction(state_dir, "rolled back", verified=not differences, differences=differences)
    return 4 if differences else 3


def _restore_and_verify(state_dir: Path, transaction: Json, before: Json, new_devices: dict[str, Json]) -> list[str]:
    """Restore what still differs from the snapshot, and write the result into the journal; return the differences.

    `new_devices` are the guests' devices that are not in the snapshot.
    """
    journal = Journal(state_dir / "open")
    if state_folder.has_rebooted(state_dir / "open"):
        with contextlib.suppress(*EXPECTED_ERRORS):  # then the whole snapshot is compared
            specs = [spec for number in journal.begun() for spec in transaction["steps"][number]["undo"]]
            renamed_macs = {spec["mac"] for spec in specs if spec["op"] == operations.UNDO_RENAME.name}
            before = snapshot.adapt_snapshot_to_boot(before, renamed_macs)
    given_up = snapshot.select_given_up_macvtaps(before, transaction.get("lost", []))
    guests = {name: port for name, port in before.get("guests", {}).items() if name not in given_up}
    guests = {**guests, **handover.return_new_ports(new_devices, transaction.get("replaced", {}))}
    differences = restore.restore_until_equal({**before, "guests": guests}, journal, restore.SETTLE_SECONDS)
    with contextlib.suppress(*EXPECTED_ERRORS):
        guest_ports = links.read_guest_ports()
        lost = [n for n, port in given_up.items() if guest_ports.get(n, {}).get("index") != port["index"]]
        if lost := [*lost, *_find_disconnected(new_devices)]:
            journal.try_append("lost", devices=lost)
    with contextlib.suppress(*EXPECTED_ERRORS):
        if not state_folder.has_rebooted(state_dir / "open") and (notes := whole_host.find_notes(before)):
            journal.try_append("notes", lines=notes)
    if differences:
        commands = repair_commands.find_repair_commands(before, state_dir)
        journal.try_append("not-verified", differences=differences, mends=commands)
    else:
        since = address_times.find_last_creation(before.get("addresses", {}))
        journal.try_append("verified", differences=[], **({} if since is None else {"addresses_since": since}))
    return differences


def _find_new_guest_devices(before: Json) -> dict[str, Json]:
    """Return the guests' devices that are not in the snapshot: their guests started during the change, on a bridge or a
    VLAN that the rollback may remove."""
    with contextlib.suppress(*EXPECTED_ERRORS):
        saved = {name: port["index"] for name, port in before.get("guests", {}).items()}
        return {n: port for n, port in links.read_guest_ports().items() if saved.get(n) != port["index"]}
    return {}


def _find_disconnected(ports: dict[str, Json]) -> list[str]:
    """Return the guests' devices that have lost their network: a tap remains without its bridge, a macvtap is removed
    with its base interface."""
    rows = {row["ifname"]: row for row in links.read_ip_links()}
    lost = []
    for name, port in ports.items():
        row = rows.get(name, {})
        exists = row.get("ifindex") == port["index"]
        if (port["kind"] == "tap" and exists and not row.get("master")) or (port["kind"] == "macvtap" and not exists):
            lost.append(name)
    return lost


def _undo_steps(folder: Path, transaction: Json, journal: Journal, booting: bool) -> None:
    """Undo the steps that have begun, the last one first. A failure does not stop the others."""
    steps = transaction.get("steps", [])
    for number in sorted({n for n in journal.begun() if n < len(steps)}, reverse=True):
        step = steps[number] if isinstance(steps[number], dict) else {}
        for spec in step.get("undo", []):
            if not isinstance(spec, dict) or (booting and spec.get("op") not in undo.AT_BOOT):
                continue
            journal.try_append("undoing", step=number, title=step.get("title"), op=spec.get("op"))
            try:
                journal.try_append("undone", step=number, result=undo.UNDO[spec["op"]](folder, spec))
            except EXPECTED_ERRORS as error:
                journal.try_append("undo-failed", step=number, error=str(error) or repr(error))
    with contextlib.suppress(*EXPECTED_ERRORS):  # the verification finds what is not restored
        if names := restore.restore_nic_names(files.read_json(folder / "snapshot.json")):
            journal.try_append("named", nics=names)
    with contextlib.suppress(*EXPECTED_ERRORS):
        if paths := whole_host.move_new_keyfiles_aside(folder, files.read_json(folder / "snapshot.json")):
            journal.try_append("aside", files=paths)
            if not booting:
                programs.run("nmcli", "connection", "reload")


def _wait_for_nics(macs: list[str], seconds: float = 30.0) -> None:
    """Wait at boot until udev has named the NICs, and for NICs whose driver is slow."""
    with contextlib.suppress(HostError):
        programs.run("udevadm", "settle", f"--timeout={seconds:.0f}", timeout=seconds + 5)
    with contextlib.suppress(*EXPECTED_ERRORS):
        clock.wait_until(lambda: all(links.find_nic(mac) for mac in macs), seconds, 0.5)
