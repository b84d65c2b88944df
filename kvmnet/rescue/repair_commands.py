"""Finds commands for the administrator when a rollback could not be verified."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from kvmnet.rescue import comparison, restore, snapshot
from kvmnet.system import links, networkmanager, state_folder
from kvmnet.system.errors import EXPECTED_ERRORS
from kvmnet.system.types import Json


def find_repair_commands(before: Json, state_dir: Path) -> list[str]:
    """Return commands that would make the host as the snapshot describes it, in the order to run them.

    Some were already tried by the rollback. Others it does not run, because another tool may have made the difference.
    """
    try:
        return _find_repair_commands(before, state_dir)
    except EXPECTED_ERRORS:
        return ["systemctl restart NetworkManager", shlex.join(state_folder.rescue_command(state_dir))]


def _find_repair_commands(before: Json, state_dir: Path) -> list[str]:
    now = snapshot.read_current_state(before)
    # the rescue program restores files and reloads them
    commands = [shlex.join(state_folder.rescue_command(state_dir))] if comparison.find_file_differences(before) else []
    names = {link["mac"]: name for name, link in now["links"].items() if link["mac"]}
    for name, was in before["links"].items():
        commands += _find_link_commands(name, was, names.get(was["mac"], name), now["links"])
    for profile in before["profiles"]:
        device = profile["device"]
        if device and restore.read_device_settings(before, device) != restore.read_device_settings(now, device):
            ifname = f" ifname {device}" if not before["links"].get(device, {}).get("kind") else ""
            commands.append(f"nmcli connection up uuid {profile['uuid']}{ifname}")
    for name, zone in (before.get("zones") or {}).items():
        bound = (now["zones"] or {}).get(name)
        if zone and bound != zone:
            commands.append(f"firewall-cmd --zone={zone} --change-interface={name}")
        elif bound and not zone:
            commands.append(f"firewall-cmd --zone={bound} --remove-interface={name}")
    if before.get("global dns", now["global dns"]) != now["global dns"]:
        commands.append(shlex.join(networkmanager.global_dns_command(before["global dns"])))
    guest_ports = links.read_guest_ports()
    for name, port in before.get("guests", {}).items():
        if port["kind"] == "tap" and name not in guest_ports and Path(f"/sys/class/net/{name}").exists():
            commands.append(f"ip link set dev {name} master {port['of']}")
    return commands


def _find_link_commands(name: str, was: Json, current_name: str, current_links: Json) -> Iterator[str]:
    """Yield the commands for one link that was called `name`."""
    now = current_links.get(current_name)
    if now is None:
        return  # a virtual link is created by its profile
    if current_name != name:
        if name in now["altnames"]:
            yield f"ip link property del dev {current_name} altname {name}"
        yield f"ip link set dev {current_name} name {name}"
    for altname in sorted({*was["altnames"], *now["altnames"]} - {name}):
        if (altname in was["altnames"]) != (altname in now["altnames"]):
            yield f"ip link property {'add' if altname in was['altnames'] else 'del'} dev {name} altname {altname}"
    if was["address"] != now["address"]:
        yield f"ip link set dev {name} address {was['address']}"
    if was["mtu"] != now["mtu"]:
        yield f"ip link set dev {name} mtu {was['mtu']}"
    if was["promiscuous"] != now["promiscuous"]:
        yield f"ip link set dev {name} promisc {'on' if was['promiscuous'] else 'off'}"
    if was["up"] and not now["up"]:
        yield f"ip link set dev {name} up"
