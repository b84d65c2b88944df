"""Commands for an administrator when a rollback could not be verified."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from kvmnet.rescue import comparison, restore, snapshot
from kvmnet.system import links, networkmanager, state_folder
from kvmnet.system.errors import EXPECTED_ERRORS
from kvmnet.system.types import Json


def repair_commands(before: Json, state_dir: Path) -> list[str]:
    """Commands that would make the machine as the snapshot has it, for a person, in the order in which they serve: what
    an undo has tried itself, and what it cannot know whether it may."""
    try:
        return _repair_commands(before, state_dir)
    except EXPECTED_ERRORS:
        return ["systemctl restart NetworkManager", shlex.join(state_folder.rescue_command(state_dir))]


def _repair_commands(before: Json, state_dir: Path) -> list[str]:
    now = snapshot.read_host_state(before["names"], before["macs"], before["uuids"])
    files = comparison.file_differences(before)
    found = (
        [shlex.join(state_folder.rescue_command(state_dir))] if files else []
    )  # it gives them back, and reloads them
    names = {link["mac"]: name for name, link in now["links"].items() if link["mac"]}
    for name, was in before["links"].items():
        found += _link_commands(name, was, names.get(was["mac"], name), now["links"])
    for profile in before["profiles"]:
        device = profile["device"]
        if device and restore._provided_by_profile(before, device) != restore._provided_by_profile(now, device):
            place = f" ifname {device}" if not before["links"].get(device, {}).get("kind") else ""
            found.append(f"nmcli connection up uuid {profile['uuid']}{place}")
    for name, zone in (before.get("zones") or {}).items():
        bound = (now["zones"] or {}).get(name)
        if zone and bound != zone:
            found.append(f"firewall-cmd --zone={zone} --change-interface={name}")
        elif bound and not zone:
            found.append(f"firewall-cmd --zone={bound} --remove-interface={name}")
    if before.get("global dns", now["global dns"]) != now["global dns"]:
        found.append(shlex.join(networkmanager.global_dns_command(before["global dns"])))
    here = links.read_guest_ports()
    for name, port in before.get("guests", {}).items():
        if port["kind"] == "tap" and name not in here and Path(f"/sys/class/net/{name}").exists():
            found.append(f"ip link set dev {name} master {port['of']}")
    return found


def _link_commands(name: str, was: Json, called: str, links_now: Json) -> Iterator[str]:
    """Of one link: `called` is its name now."""
    now = links_now.get(called)
    if now is None:
        return  # a virtual one comes with its profile
    if called != name:
        if name in now["altnames"]:
            yield f"ip link property del dev {called} altname {name}"
        yield f"ip link set dev {called} name {name}"
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
