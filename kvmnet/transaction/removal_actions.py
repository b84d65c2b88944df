"""The actions of removal_steps: restore, activate and compare the host from before kvmnet."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Optional

from kvmnet.rescue import comparison, restore, undo
from kvmnet.system import clock, files, links, networkmanager, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json
from kvmnet.transaction.action_context import DOWN_UP, Context, StepFailed
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
    """Wait until links (names, alternative names, controllers, MTU and so on) and files are those from before kvmnet,
    and no keyfile of a profile that kvmnet created is left, because the next boot would activate it.

    Addresses are not compared: the profiles that set them are, byte for byte, and the probes show whether they
    work."""
    original = files.read_json(context.folder / "original" / "snapshot.json")

    def is_restored() -> bool:
        restore.restore_macs(original)
        restore.restore_link_settings(original)
        return not _find_differences(original, step["gone"])

    if not clock.wait_until(is_restored, restore.SETTLE_SECONDS, 0.5):
        differences = _find_differences(original, step["gone"])
        raise StepFailed("the host differs from its state before kvmnet: " + "; ".join(differences))
    return f"{len(original['links'])} NICs, {len(original['files'])} files as before"


def _find_differences(original: Json, removed_profiles: list[str]) -> list[str]:
    current_links = links.read_links()
    link_differences = [
        f"{name}: was {old}, is {current_links.get(name)}"
        for name, old in original["links"].items()
        if _differs(current_links.get(name), old)
    ]
    leftovers = networkmanager.find_keyfiles(removed_profiles)
    return [
        *comparison.find_file_differences(original),
        *link_differences,
        *(f"file {path}: kvmnet created it, and it still exists" for path in leftovers),
    ]


def _differs(link: Optional[Json], old: Json) -> bool:
    """Whether a link differs in a property that the snapshot contains: an older kvmnet recorded fewer."""
    return link is None or any(link.get(key) != value for key, value in old.items())
