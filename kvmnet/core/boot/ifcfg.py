"""Profiles in ifcfg files (EL 9), as far as they decide which one a NIC gets. kvmnet changes none of them."""

from __future__ import annotations

import shlex
from typing import Optional

from kvmnet.core.boot.stored_profile import StoredProfile

_TYPES = {"Ethernet": "ethernet", "Bridge": "bridge", "Bond": "bond", "Vlan": "vlan", "Team": "team"}
_METHODS = {"dhcp": "auto", "bootp": "auto", "none": "manual", "static": "manual"}


def read_ifcfg(file: str, text: str, *, mtime: int = 0) -> Optional[StoredProfile]:
    """Return the profile of an ifcfg file, or None when NetworkManager does not control it (NM_CONTROLLED=no)."""
    keys = _parse(text)
    if _is_no(keys.get("NM_CONTROLLED", "yes")):
        return None
    name = file.rpartition("/ifcfg-")[2]
    controller = next((keys[k] for k in ("MASTER_UUID", "MASTER", "BRIDGE_UUID", "BRIDGE") if keys.get(k)), "")
    connection = {
        "id": keys.get("NAME", f"System {name}"),
        "uuid": keys.get("UUID", ""),
        "type": _type_of(keys),
        "interface-name": keys.get("DEVICE", ""),
        "autoconnect": "false" if _is_no(keys.get("ONBOOT", "yes")) else "true",
        "autoconnect-priority": keys.get("AUTOCONNECT_PRIORITY", ""),
        "controller": controller,
        "master": controller,
        "port-type": "bridge" if "BRIDGE" in keys or "BRIDGE_UUID" in keys else "bond",
        "slave-type": "bridge" if "BRIDGE" in keys or "BRIDGE_UUID" in keys else "bond",
    }
    if not controller:
        del connection["port-type"], connection["slave-type"]
    address = f"{keys['IPADDR']}/{keys.get('PREFIX', keys.get('NETMASK', '32'))}" if keys.get("IPADDR") else ""
    method = _METHODS.get(keys.get("BOOTPROTO", "none"), "auto")
    groups = {
        "connection": {key: value for key, value in connection.items() if value},
        "ethernet": {"mac-address": keys["HWADDR"]} if keys.get("HWADDR") else {},
        "ipv4": {"method": method if address or method != "manual" else "disabled"},
    }
    if address:
        groups["ipv4"]["address1"] = address
    if keys.get("VLAN_ID") or keys.get("PHYSDEV"):
        groups["vlan"] = {"parent": keys.get("PHYSDEV", ""), "id": keys.get("VLAN_ID", "")}
    return StoredProfile(file, groups, mtime)


def _type_of(keys: dict[str, str]) -> str:
    if keys.get("TYPE") in _TYPES:
        return _TYPES[keys["TYPE"]]
    return "vlan" if keys.get("VLAN") == "yes" else "bond" if keys.get("BONDING_MASTER") == "yes" else "ethernet"


def _is_no(value: str) -> bool:
    return value.strip().lower() in ("no", "n", "false", "f", "0")


def _parse(text: str) -> dict[str, str]:
    """Return the variables of a file in shell syntax; a line that is not an assignment is left out."""
    keys = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and name.replace("_", "").isalnum():
            try:
                words = shlex.split(value, comments=True)
            except ValueError:
                continue
            keys[name] = words[0] if words else ""
    return keys
