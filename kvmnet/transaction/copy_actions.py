"""The actions of copy_steps: copies of connection profiles, in memory."""

from __future__ import annotations

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.host.networkmanager_dbus import Changes, Settings
from kvmnet.system import clock, links
from kvmnet.transaction.action_context import Context, StepFailed
from kvmnet.transaction.naming_actions import ACTIVATION_SECONDS, keep_text, parse_mac
from kvmnet.transaction.step import Step

#: Values of cloned-mac-address that NetworkManager replaces by an address of its own choice.
_GENERATED_MACS = ("stable", "random", "stable-ssid")


def copy_profile(context: Context, step: Step) -> str:
    """Create the copy in memory, bound to the NIC's MAC address, and keep its text for the disk. Returns the file of
    the copy."""
    source = context.manager.settings(context.manager.profile_path(step["source"]))
    context.manager.copy_in_memory(step["source"], step["uuid"], _find_changes(step, source))
    return keep_text(context, step["uuid"])


def _find_changes(step: Step, source: Settings) -> Changes:
    """The changes for the copy: those of the step, the binding to the NIC, no pattern, and the MAC address that the
    NIC has now, if NetworkManager generated it from the profile's UUID."""
    changes = {
        setting: {key: tuple(value) if value is not None else None for key, value in keys.items()}
        for setting, keys in step["settings"].items()
        if keys
    }
    wired = changes.setdefault(NM_ETHERNET, {})
    wired["mac-address"] = ("ay", parse_mac(step["mac"]))
    assigned = source.get(NM_ETHERNET, {}).get("assigned-mac-address", ("s", ""))[1]
    if assigned in _GENERATED_MACS:
        address = links.read_links()[step["interface"]]["address"]
        wired.update({"assigned-mac-address": ("s", address), "cloned-mac-address": None})
    if "match" in source:
        changes["match"] = dict.fromkeys(source["match"])
    return changes


def use_copy(context: Context, step: Step) -> str:
    """Activate the copy on its NIC, unless a rename has done so, and wait until it is active."""
    name, uuid = step["interface"], step["uuid"]

    def is_active() -> bool:
        return context.manager.active([name]).get(name) == uuid and context.manager.activated(name)

    if is_active():
        return "active already"
    context.manager.activate(uuid, name)
    if not clock.wait_until(is_active, ACTIVATION_SECONDS, 0.02):
        raise StepFailed(f"NetworkManager did not activate the copied profile on {name} within {ACTIVATION_SECONDS} s")
    return "activated"
