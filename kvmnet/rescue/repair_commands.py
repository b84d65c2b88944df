"""Finds commands for the administrator when a rollback could not be verified."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from kvmnet.rescue import comparison, restore, snapshot, whole_host
from kvmnet.system import bridge_ports, links, networkmanager, state_folder
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
        if device and not restore.has_device_settings(before, now, device):
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
    if "host" in before:
        missing, new = whole_host.find_own_rules(before)
        changes = [("add", *rule) for rule in missing] + [("del", *rule) for rule in new]
        commands += [f"ip -{family} rule {verb} priority {rule.replace(':', '', 1)}" for verb, family, rule in changes]
    return [*commands, *_find_port_commands(before)]


def _find_port_commands(before: Json) -> Iterator[str]:
    """Yield the commands for the ports of bridges: those of guests, and the transaction's own."""
    ports = links.read_guest_ports()
    for name, was in before.get("guests", {}).items():
        if was["kind"] != "macvtap" and name not in ports and Path(f"/sys/class/net/{name}").exists():
            yield f"ip link set dev {name} master {was['of']}"
    for name, was in {**whole_host.own_ports(before), **before.get("guests", {})}.items():
        now = ports.get(name, {})
        if was.get("of") and now.get("of") == was["of"]:
            vlans = bridge_ports.vlan_commands(name, was["vlans"], now.get("vlans", [])) if "vlans" in was else []
            settings = bridge_ports.compare_settings(was.get("settings", {}), now.get("settings", {}))
            for command in [["bridge", *words] for words in vlans] + bridge_ports.attribute_commands(name, settings):
                yield shlex.join(command)


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
