"""The actions of naming_steps: files, NICs' names in the kernel, profiles bound to MAC addresses, firewalld zones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from kvmnet.system import clock, files, firewalld, links, networkmanager, programs, state_folder
from kvmnet.transaction.action_context import DOWN_UP, Context, StepFailed
from kvmnet.transaction.step import Step

#: Seconds that NetworkManager has to activate a NIC after its rename.
ACTIVATION_SECONDS = 50


def write_files(context: Context, step: Step) -> str:
    """Write files, then remove files. Mode 0644: udev and readers of the bundle need that."""
    for path, text in step["files"].items():
        files.write_file(path, text.encode())
    for path in step.get("remove", []):
        files.remove_file(path)
    if step.get("reload") == "udev":
        programs.run("udevadm", "control", "--reload")
    if step.get("reload") == "NetworkManager":
        networkmanager.reload_settings()
    return f"{len(step['files'])} written"


def check_link_files(context: Context, step: Step) -> str:
    """Check that udev uses kvmnet's .link file for each NIC: it takes the first that matches (systemd.link(5))."""
    for mac, file in step["macs"].items():
        nic = links.find_nic(mac)
        output = programs.run("udevadm", "test-builtin", "net_setup_link", f"/sys/class/net/{nic}")
        used = [line.partition("=")[2] for line in output.splitlines() if line.startswith("ID_NET_LINK_FILE=")]
        if not used or Path(used[0]).name != file:
            raise StepFailed(f"udev uses {used[0] if used else 'no .link file'} for {nic}, not kvmnet's {file}")
    return "kvmnet's files"


def rebind_profile(context: Context, step: Step) -> str:
    """Bind a profile to its NIC's MAC address, in memory: it serves the NIC under either name then. A copy for the disk
    is kept in the transaction's folder. Returns the profile's file under /run."""
    changes: dict[str, dict[str, Optional[tuple[str, Any]]]] = {
        "connection": {"id": ("s", step["id"]), "interface-name": None},
        "802-3-ethernet": {"mac-address": ("ay", parse_mac(step["mac"]))},
    }
    if step.get("has_name_pattern"):
        changes["match"] = {"interface-name": None}
    context.manager.change_in_memory(step["uuid"], changes)
    return keep_text(context, step["uuid"])


def parse_mac(text: str) -> bytes:
    """A MAC address as D-Bus has it."""
    return bytes(int(part, 16) for part in text.split(":"))


def keep_text(context: Context, uuid: str) -> str:
    """Keep the text of a profile that is in memory in the transaction's folder, to write it to disk later. Returns the
    profile's file under /run, or "" if it has none."""
    file = context.manager.profile_file(uuid)
    if file:
        text = remove_meta_group(Path(file).read_text(encoding="utf-8", errors="surrogateescape"))
        copy = context.folder / f"{uuid}{state_folder.REBOUND_SUFFIX}"
        files.write_file(str(copy), text.encode(errors="surrogateescape"), 0o600)
    return file


def remove_meta_group(text: str) -> str:
    """A keyfile without the group in which NetworkManager notes which file a file under /run replaces."""
    lines, is_meta = [], False
    for line in text.splitlines(keepends=True):
        if line.startswith("["):
            is_meta = line.strip() == "[.nmmeta]"
        if not is_meta:
            lines.append(line)
    return "".join(lines).rstrip("\n") + "\n"


def bind_zone(context: Context, step: Step) -> str:
    """Bind an interface name to a zone in firewalld's running configuration. The name need not exist yet."""
    firewalld.call("changeZoneOfInterface", step["zone"], step["interface"])
    zone = firewalld.read_zone(step["interface"])
    if zone != step["zone"]:
        raise StepFailed(f"firewalld has {step['interface']} in zone {zone or 'none'}, not {step['zone']}")
    return str(step["zone"])


def unbind_zone(context: Context, step: Step) -> str:
    """Remove an interface name from its zone. Returns the zone."""
    zone = firewalld.read_zone(step["interface"])
    if zone:
        firewalld.call("removeInterface", zone, step["interface"])
    return zone or "none"


def rename_nic(context: Context, step: Step) -> str:
    """Rename a NIC; NetworkManager must activate it again under the new name. Returns how it was renamed."""
    method = links.rename_nic(step["mac"], step["to"], tuple(step["free"]))
    if links.find_nic(step["mac"]) != step["to"]:
        raise StepFailed(f"the NIC {step['mac']} still has the name {links.find_nic(step['mac'])}")
    if method == DOWN_UP:
        context.nics_taken_down.add(step["mac"])
    if step["active"]:
        name = step["to"]
        if not clock.wait_until(lambda: context.manager.activated(name), ACTIVATION_SECONDS, 0.02):
            raise StepFailed(
                f"NetworkManager did not activate {name} within {ACTIVATION_SECONDS} s after it was renamed"
            )
    return method
