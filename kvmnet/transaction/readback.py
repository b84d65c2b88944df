"""Comparing the kernel, NetworkManager and firewalld with what was applied.

nmstate's own verification is used only before a renaming (trial_steps.clear_names): for each look it reads the whole
host through NetworkManager, two or three times in an apply (7 s each on a host of 64 interfaces in the lab), and finds
the same.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from kvmnet.core.base.bridge_vlans import format_tags
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.system import bridge_ports, firewalld, links
from kvmnet.system.types import Json

Expected = Mapping[str, Any]
BONDING = "/sys/class/net/{bond}/bonding"
#: NMDeviceState: from NM_DEVICE_STATE_IP_CONFIG to NM_DEVICE_STATE_ACTIVATED. A device that still requests an address
#: has everything else.
_ACTIVE_STATES = range(70, 101)
#: The keys of core/planning/expected_readback that iproute2 shows under another name in a link's `info_data`.
_INFO_DATA_KEYS = {
    **{"tag": "id", "mode": "mode", "stp": "stp_state"},
    **{key: key for key in ("priority", "ageing_time", "group_fwd_mask", "mcast_snooping")},
}
_LINK_KEYS = ("kind", "master", "promiscuous", "address", "mtu", "base", *_INFO_DATA_KEYS)


@dataclass(frozen=True)
class _KernelState:
    """One reading of the kernel: links by name, addresses by link name, and routes (destination, gateway, device)."""

    links: Mapping[str, Json]
    addresses: Mapping[str, Sequence[str]]
    routes: Collection[tuple[str, str, str]]


def _read_kernel() -> _KernelState:
    shown = links.read_ip_links()
    rows = {row["ifname"]: row for row in shown}
    current = {
        name: {**link, **_properties_of_kind(rows.get(name, {}))} for name, link in links.read_links(shown).items()
    }
    addresses = links.read_addresses()
    routes = {(route["to"], route["via"], route["dev"]) for route in links.read_routes()}
    return _KernelState(current, addresses, routes)


def _properties_of_kind(row: Json) -> Json:
    data = row.get("linkinfo", {}).get("info_data", {})
    return {"base": row.get("link"), **{key: data.get(shown_key) for key, shown_key in _INFO_DATA_KEYS.items()}}


def find_kernel_differences(expected: Iterable[Expected]) -> list[str]:
    """Where the kernel differs from what is expected (core/planning/expected_readback), one line each."""
    kernel = _read_kernel()
    return [line for want in expected for line in _interface_differences(want, kernel)]


def _interface_differences(want: Expected, kernel: _KernelState) -> list[str]:
    name = want["name"]
    link = kernel.links.get(name)
    virtual = want.get("virtual", ())
    addresses = kernel.addresses.get(name, [])
    others = [a for a in addresses if str(_interface(a).ip) not in virtual and not _interface(a).is_link_local]
    if want.get("absent"):
        return [f"{name} still exists"] if link is not None else []
    if link is None:
        return [f"{name} is missing"]
    if want.get("down"):
        return [f"{name}: still has the address {a}" for a in others]
    differences = [
        f"{name}: {key} is {link.get(key)}, not {want[key]}"
        for key in _LINK_KEYS
        if key in want and link.get(key) != want[key]
    ]
    differences += [
        f"{name}: {option} is {link['options'].get(option)}, not {value}"
        for option, value in want.get("options", {}).items()
        if link["options"].get(option) != value
    ]
    differences += _bond_differences(name, want.get("bond", {}))
    differences += _vlan_differences(want.get("port_vlans", {}))
    differences += [f"{name}: the address {a} is missing" for a in want["addresses"] if a not in addresses]
    differences += [
        f"{name}: still has the address {a}" for a in others if _interface(a).version in want.get("without", ())
    ]
    for route in want["routes"]:
        if (_shown_destination(route["to"]), route["via"], name) not in kernel.routes:
            via = f" via {route['via']}" if route["via"] else ""
            differences.append(f"{name}: the route to {route['to']}{via} is missing")
    if not link["up"]:
        differences.append(f"{name} is down")
    return differences


def _shown_destination(subnet: str) -> str:
    """Return a destination as `ip route` prints it: a single address has no prefix length."""
    if subnet in ("0.0.0.0/0", "::/0"):
        return "default"
    net = ipaddress.ip_network(subnet)
    return str(net.network_address) if net.prefixlen == net.max_prefixlen else subnet


def find_wrong_rules(expected: Sequence[Mapping[str, Any]]) -> list[str]:
    """The routing rules that are missing, or still there (`absent`), one line each. Raises HostError."""
    families = {rule["family"] for rule in expected}
    current = {family: [_rule_of(row) for row in links.read_rule_rows(family)] for family in families}
    wrong = []
    for rule in expected:
        wanted = (rule["priority"], rule["from"], rule["to"], rule["table"])
        is_there = any(_is_same_rule(wanted, row) for row in current[rule["family"]])
        if is_there == bool(rule.get("absent")):
            selectors = [f"{key} {rule[key]}" for key in ("from", "to", "table") if rule[key]]
            text = " ".join([f"priority {rule['priority']}", *selectors])
            wrong.append(f"the routing rule {text} {'still exists' if is_there else 'is missing'}")
    return wrong


def _rule_of(row: Json) -> tuple[Any, ...]:
    table = str(row.get("table", ""))
    return (row.get("priority"), _selector(row, "src"), _selector(row, "dst"), int(table) if table.isdigit() else table)


def _selector(row: Json, key: str) -> Optional[str]:
    """Return the source or destination of a rule as a subnet; None for all addresses."""
    if row.get(key, "all") == "all":
        return None
    size = row.get(f"{key}len")
    return str(ipaddress.ip_network(row[key] if size is None else f"{row[key]}/{size}", strict=False))


def _is_same_rule(wanted: tuple[Any, ...], row: tuple[Any, ...]) -> bool:
    """Whether a rule of the kernel is the wanted one. A rule with an action has no table."""
    return wanted[:3] == row[:3] and wanted[3] in (None, row[3])


def _interface(address: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    return ipaddress.ip_interface(address)


def _bond_differences(name: str, options: Mapping[str, Any]) -> list[str]:
    """Where a bond's mode and options differ (Documentation/networking/bonding.rst). The kernel shows an option's name
    and number, and all values of an option that has several. An option without a file is NetworkManager's own
    (balance_slb)."""
    differences = []
    for option, value in options.items():
        with contextlib.suppress(OSError):
            shown = Path(BONDING.format(bond=name), option).read_text(encoding="ascii").split()
            wanted = {str(int(value))} if isinstance(value, bool) else set(str(value).lower().split(","))
            if not wanted <= {word.lower() for word in shown}:
                differences.append(f"{name}: {option} is {' '.join(shown) or 'not set'}, not {value}")
    return differences


def _vlan_differences(wanted: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Where the VLANs of bridge ports differ: a guest would be in another network, or in none."""
    differences = []
    for port, vlans in read_vlans_of(wanted).items():
        tagged = sorted(vid for vid, flags in vlans.items() if "Egress Untagged" not in flags)
        pvid = next((vid for vid, flags in vlans.items() if "PVID" in flags), 0)
        if pvid != wanted[port]["untagged"]:
            differences.append(f"{port}: untagged frames are in VLAN {pvid}, not {wanted[port]['untagged']}")
        if tagged != wanted[port]["tagged"]:
            words = [format_tags(tags) or "none" for tags in (tagged, wanted[port]["tagged"])]
            differences.append(f"{port}: the VLANs with tags are {words[0]}, not {words[1]}")
    return differences


def read_vlans_of(ports: Collection[str]) -> dict[str, dict[int, tuple[str, ...]]]:
    """Return the VLAN IDs of bridge ports with their flags, by the port's name. Raises HostError."""
    shown = bridge_ports.read_vlans() if ports else {}
    return {port: bridge_ports.expand_vlans(shown.get(port, [])) for port in ports}


def find_unused_servers(manager: NetworkManager, wanted: Mapping[str, Any]) -> list[str]:
    """The name servers and search domains that NetworkManager does not use, one line each."""
    if not wanted:
        return []
    try:
        used = manager.name_servers()
    except NMError as error:
        return [str(error)]
    if used is None:
        return []
    unused = [f"name server {s}" for s in wanted.get("server", []) if s not in used.servers]
    if used.servers:  # without name servers it shows no domains (1.42 to 1.54)
        unused += [f"search domain {s}" for s in wanted.get("search", []) if s not in used.domains]
    return [f"NetworkManager does not use the {entry}" for entry in unused]


def find_wrong_zones(wanted: Mapping[str, str]) -> list[str]:
    """The interfaces that are in another firewalld zone, because an existing connection profile sets another one or
    none. Probes do not find this: they go out."""
    if not wanted or not firewalld.is_running():
        return []
    zones = firewalld.read_zones()
    return [
        f"{name} is in {f'zone {zones[name]}' if zones.get(name) else 'no zone'}, not {zone}: an older connection "
        "profile with this name sets the zone; delete the profile, or set its connection.zone"
        for name, zone in wanted.items()
        if zones.get(name) != zone
    ]


def find_inactive_devices(manager: NetworkManager, names: Sequence[str]) -> list[str]:
    """The devices that NetworkManager has not activated. Raises NMError."""
    states = manager.states(names) if names else {}
    return [name for name in names if states.get(name, 0) not in _ACTIVE_STATES]
