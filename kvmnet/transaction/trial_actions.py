"""The actions of trial_steps, and the end of the trial. All of them work in memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from kvmnet.core.base.nmstate import INFINIBAND, NM_ETHERNET
from kvmnet.core.base.profile_settings import CLONED_MAC, PROFILE_SETTINGS
from kvmnet.host.networkmanager_dbus import Settings
from kvmnet.rescue import checkpoint, restore
from kvmnet.system import clock, files, links
from kvmnet.system.errors import HostError
from kvmnet.transaction.action_context import Context, StepFailed, read_guest_ports
from kvmnet.transaction.adoption_actions import moving_ports
from kvmnet.transaction.readback import find_kernel_differences
from kvmnet.transaction.step import Step

#: NetworkManager's numbers (NMSettingMacvlanMode) of nmstate's macvtap modes.
MACVLAN_MODES = {"vepa": 1, "bridge": 2, "private": 3, "passthru": 4}

#: By how many seconds the worker gives nmstate up before the watchdog does: the worker can report the likely reasons.
WATCHDOG_RESERVE = 10

#: Seconds that NetworkManager has to remove a device.
REMOVAL_SECONDS = 15


def clear_names(context: Context, step: Step) -> str:
    """Remove interfaces in a trial of its own, wait until they are gone, and end its checkpoint: the next one is over
    the same devices."""
    apply_state(context, step)
    if not clock.wait_until(lambda: not find_kernel_differences(step["expect"]), REMOVAL_SECONDS):
        differences = find_kernel_differences(step["expect"])
        raise StepFailed("interfaces that use the new names of NICs could not be removed: " + "; ".join(differences))
    return commit_trial(context, step)


def bind_name(context: Context, step: Step) -> str:
    """Bind a profile to an interface's name in addition to its MAC address, in memory."""
    context.manager.change_in_memory(step["uuid"], {"connection": {"interface-name": ("s", step["interface"])}})
    return str(step["interface"])


def create_profiles(context: Context, step: Step) -> str:
    """Create connection profiles for nmstate to merge into, in memory (see trial_steps.prepare_profiles)."""
    context.manager.add_in_memory([_profile_settings(row) for row in step["profiles"]])
    return f"{len(step['profiles'])} created"


def _profile_settings(row: Step) -> Settings:
    """The least settings of a profile: nmstate adds the rest."""
    settings: Settings = {
        "connection": {
            "id": ("s", row["interface"]),
            "uuid": ("s", row["uuid"]),
            "type": ("s", row["type"]),
            "interface-name": ("s", row["interface"]),
            "autoconnect": ("b", False),
            "zone": ("s", row["zone"]),
        },
        "ipv4": {"method": ("s", "disabled")},
        "ipv6": {"method": ("s", "disabled")},
    }
    if row["type"] == "bridge":
        settings["bridge"] = {"stp": ("b", False)}
    if row["type"] == "vlan":
        settings["vlan"] = {"id": ("u", row["over"]["id"]), "parent": ("s", row["over"]["base-iface"])}
    if row["type"] == "macvlan":
        mode = MACVLAN_MODES[row["over"]["mode"]]
        parent = row["over"]["base-iface"]
        settings["macvlan"] = {"parent": ("s", parent), "mode": ("u", mode), "tap": ("b", row["over"].get("tap", True))}
    if row["type"] == "vxlan":
        settings["vxlan"] = {"id": ("u", row["over"]["id"])}
        if "base-iface" in row["over"]:
            settings["vxlan"]["parent"] = ("s", row["over"]["base-iface"])
    if row["type"] == "vrf":
        settings["vrf"] = {"table": ("u", row["over"]["route-table-id"])}
    if row["type"] == INFINIBAND:
        settings[INFINIBAND] = {"transport-mode": ("s", "datagram")}
    if row["type"] in (NM_ETHERNET, "bond", "dummy"):
        settings[row["type"]] = {}
    for setting, keys in row.get("carried", {}).items():
        settings.setdefault(setting, {}).update({key: (value[0], value[1]) for key, value in keys.items()})
    for name, value in row.get("settings", {}).items():
        keys = PROFILE_SETTINGS[name].to_dbus(value)
        settings.setdefault(PROFILE_SETTINGS[name].setting, {}).update({k: v for k, v in keys.items() if v})
    return settings


def set_profile_settings(context: Context, step: Step) -> str:
    """Change settings of profiles in memory. Devices are not touched. `as_applied` are the profiles that get the MAC
    address with which their devices were activated, also if that is none."""
    changed = 0
    for uuid, settings in step["profiles"].items():
        wanted = dict(settings)
        if uuid in step["as_applied"]:
            applied = context.manager.applied_value(step["as_applied"][uuid], CLONED_MAC.setting, CLONED_MAC.key)
            wanted[CLONED_MAC.name] = CLONED_MAC.from_dbus(applied)
        changed += _change_settings(context, uuid, wanted)
    return f"{changed} changed"


def check_profile_settings(context: Context, step: Step) -> str:
    """Set the settings that nmstate has overwritten again, in memory, and reapply the profiles of their devices. MAC
    addresses come last: NetworkManager cannot reapply a profile with another one, and a bond whose profile nmstate has
    activated again has that of its first port."""
    profiles = context.manager.active(step["interfaces"])
    changed = []
    for name, wanted in step["interfaces"].items():
        if name not in profiles:
            raise StepFailed(f"{name} has no active connection profile")
        mac = {key: value for key, value in wanted.items() if key == CLONED_MAC.name}
        if _change_settings(context, profiles[name], {k: v for k, v in wanted.items() if k not in mac}):
            context.manager.reapply(name)
            changed.append(name)
        _change_settings(context, profiles[name], mac)
    changed += _correct_macs(
        {name: s[CLONED_MAC.name] for name, s in step["interfaces"].items() if CLONED_MAC.name in s}
    )
    if changed:
        with contextlib.suppress(HostError):  # a guest may stop in this moment; the readback reports it
            restore.restore_guest_ports(read_guest_ports(context.folder))
    return f"set again for {', '.join(dict.fromkeys(changed))}" if changed else "no change needed"


def set_macs(context: Context, step: Step) -> str:
    """Set the MAC addresses of bridges and bonds that nmstate has not set."""
    wrong = _correct_macs(step["macs"])
    return f"set for {', '.join(wrong)}" if wrong else "no change needed"


def _correct_macs(macs: Mapping[str, str]) -> list[str]:
    """Set the MAC addresses of links that have another one; return their names."""
    current = links.read_links() if macs else {}
    wrong = [name for name, mac in macs.items() if name in current and current[name]["address"] != mac]
    for name in wrong:
        restore.change_mac(name, macs[name])
    return wrong


def _change_settings(context: Context, uuid: str, wanted: Mapping[str, Any]) -> bool:
    """Change those settings of a profile that differ, in memory; return whether any did."""
    changes: dict[str, dict[str, Any]] = {}
    for name, value in wanted.items():
        row = PROFILE_SETTINGS[name]
        if row.from_dbus(context.manager.value(uuid, row.setting, row.key)) != value:
            changes.setdefault(row.setting, {}).update(row.to_dbus(value))
    if changes:
        context.manager.change_in_memory(uuid, changes)
    return bool(changes)


def drop_bond_options(context: Context, step: Step) -> str:
    """Remove options from a bond's profile, in memory."""
    context.manager.drop_in_memory(step["uuid"], "bond", "options", step["options"])
    return ", ".join(step["options"])


def set_bond_option(context: Context, step: Step) -> str:
    """Set an option of a running bond."""
    return links.set_bond_option(step["interface"], step["option"], step["value"])


def apply_state(context: Context, step: Step) -> str:
    """Apply a state with nmstate, in memory, with an open checkpoint: NetworkManager rolls it back by itself when
    nobody commits it. Returns the checkpoint's path."""
    log = context.folder / step["log"]
    log.touch(mode=0o600)
    limit = step["limit"] - WATCHDOG_RESERVE
    with moving_ports(context, step):
        context.backend.apply(step["state"], step["timeout"], log, verify=step.get("verify", False), limit=limit)
    with contextlib.suppress(HostError):  # a guest may stop in this moment; the readback reports it
        restore.restore_guest_ports(read_guest_ports(context.folder))
    path = _find_checkpoint(context, log)
    if path is None:
        raise StepFailed("NetworkManager has no checkpoint of the trial")
    note = {"path": path, "created": context.manager.created(path)}
    files.write_file(str(checkpoint.checkpoint_note_file(log)), json.dumps(note).encode(), 0o600)
    return path


def commit_trial(context: Context, step: Step) -> str:
    """Destroy the trial's checkpoint. It must still exist, otherwise NetworkManager has rolled the trial back."""
    path = _find_checkpoint(context, context.folder / step["log"])
    if path is None:
        raise StepFailed(
            "the trial's checkpoint is gone: its timeout has passed and NetworkManager has rolled it back, or "
            "NetworkManager was restarted"
        )
    context.manager.destroy_checkpoint(path)
    return path


def _find_checkpoint(context: Context, log: Path) -> Optional[str]:
    """The path of the trial's checkpoint, if NetworkManager still has it. A restarted NetworkManager numbers
    checkpoints from 1 again, so one of the same path may belong to another tool."""
    paths = checkpoint.read_checkpoints_from_log(log)[-1:]
    if not paths or paths[0] not in context.manager.checkpoints():
        return None
    note = files.read_json(checkpoint.checkpoint_note_file(log))
    return paths[0] if not note or context.manager.created(paths[0]) == note["created"] else None


def keep_dhcp_iaids(context: Context, step: Step) -> str:
    """Set the DHCPv6 IAIDs of profiles that nmstate has set to the MAC address, in memory, and reapply their
    devices."""
    profiles = context.manager.active(step["interfaces"])
    changed = []
    for name, iaid in step["interfaces"].items():
        if name not in profiles:
            raise StepFailed(f"{name} has no active connection profile")
        if context.manager.value(profiles[name], "ipv6", "dhcp-iaid") == "mac":
            context.manager.change_in_memory(profiles[name], {"ipv6": {"dhcp-iaid": ("s", iaid)}})
            context.manager.reapply(name)
            changed.append(f"{name} {iaid}")
    return ", ".join(changed) or "no change needed"
