"""The actions of removal_steps: restore, activate and compare the host from before kvmnet."""

from __future__ import annotations

import contextlib
from functools import partial

from kvmnet.rescue import restore, undo, whole_host
from kvmnet.system import clock, files, links, programs
from kvmnet.system.errors import EXPECTED_ERRORS, HostError
from kvmnet.system.journal import Journal
from kvmnet.transaction.action_context import DOWN_UP, Context, StepFailed, read_guest_ports
from kvmnet.transaction.removal_check import RemovalCheck
from kvmnet.transaction.step import Step


def restore_original(context: Context, step: Step) -> str:
    """Do what an undo does, on the snapshot of the host before kvmnet, which is beside the journal."""
    original = context.folder / "original"
    results = [undo.UNDO[spec["op"]](original, spec) for spec in step["specs"]]
    context.nics_taken_down.update(spec["mac"] for spec, result in zip(step["specs"], results) if result == DOWN_UP)
    return "; ".join(results)


def activate_profiles(context: Context, step: Step) -> str:
    """Activate profiles that are not active, by device name -> UUID. A profile whose device needs another one, such as
    a VLAN over a bond, fails until that is active: failed ones are tried again as long as another one succeeds.

    Devices in `again` have been active all the time. Their profiles, which have been reloaded, are reapplied, unless
    the administrator has activated another profile since."""
    pending, again = dict(step["profiles"]), set(step["again"])

    def is_active(name: str, uuid: str) -> bool:
        return context.manager.activated(name) and context.manager.active([name]).get(name) == uuid

    for name in [name for name, uuid in pending.items() if name in again and is_active(name, uuid)]:
        with contextlib.suppress(HostError):  # a reapply may not be enough
            programs.run("nmcli", "-w", "30", "device", "reapply", name, timeout=40)
            del pending[name]
    while pending:
        failures = {}
        for name, uuid in pending.items():
            if name not in again and clock.wait_until(partial(is_active, name, uuid), 0.3):
                continue
            # a virtual device that does not exist is created with its profile, and cannot be named before
            place = ["ifname", name] if name in links.read_links() else []
            try:
                programs.run("nmcli", "-w", "60", "connection", "up", "uuid", uuid, *place, timeout=70)
            except HostError as error:
                failures[name] = error
        if len(failures) == len(pending):
            raise StepFailed("; ".join(str(error) for error in failures.values()))
        pending = {name: pending[name] for name in failures}
    return ", ".join(step["profiles"])


def compare_with_original(context: Context, step: Step) -> str:
    """Wait until the host is as it must be after the removal (removal_check), and restore meanwhile what no connection
    profile sets: MAC addresses, guests' ports, attributes of ports, MTUs of other tools' interfaces."""
    original = files.read_json(context.folder / "original" / "snapshot.json")
    before = files.read_json(context.folder / "snapshot.json")
    check = RemovalCheck(original, before, read_guest_ports(context.folder), step)

    def is_restored() -> bool:
        for restore_part in (restore.restore_macs, restore.restore_link_settings, restore.restore_own_ports):
            with contextlib.suppress(HostError):  # the comparison finds what is not restored
                restore_part({"names": [], **original})
        with contextlib.suppress(HostError):
            restore.restore_upper_mtus(before)
        with contextlib.suppress(HostError):  # a guest has just stopped
            restore.restore_guest_ports(check.guests_to_keep(links.read_kernel()))
        return not check.find_differences()

    if not clock.wait_until(is_restored, restore.SETTLE_SECONDS, 0.5):
        raise StepFailed("the host differs from its state before kvmnet: " + "; ".join(check.find_differences()))
    _note_other_changes(context, check)
    guests = len(check.guests["guests"])
    ports = f", {guests} guests' ports" if guests else ""
    return f"{len(original['links'])} interfaces, {len(original['files'])} files{ports} as before"


def _note_other_changes(context: Context, check: RemovalCheck) -> None:
    """Write into the journal what other tools changed meanwhile, and what cannot be restored."""
    with contextlib.suppress(*EXPECTED_ERRORS):
        lines = [*whole_host.find_notes(check.before), *check.find_other_rules()]
        unrestored = [*check.find_unrestored(), *check.find_lowered_mtus()]
        if lines or unrestored:
            Journal(context.folder).append("notes", lines=lines, unrestored=unrestored)
