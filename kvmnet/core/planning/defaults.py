"""Keys that left the definition return to their defaults.

A plan compares only the keys of the desired state, so any other setting of the host is left alone. A key that the
applied bundle had and the new one lacks would therefore stay on the host forever. This module adds such keys to the
desired state, with their default values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from kvmnet.core.base.bridge_vlans import DEFAULT_VLAN
from kvmnet.core.base.nmstate import FAMILIES, State, dns_of, interfaces_of

ETHERNET_MTU = 1500
#: The kernel's defaults of a bridge (net/bridge/br_device.c), which are also NetworkManager's.
DEFAULT_STP_PRIORITY = 32768
_BRIDGE_DEFAULTS = {
    "mac-ageing-time": 300,
    "group-forward-mask": 0,
    "multicast-snooping": True,
    "vlan-default-pvid": DEFAULT_VLAN,
    "multicast-last-member-count": 2,
    "multicast-last-member-interval": 100,
    "multicast-membership-interval": 26000,
    "multicast-querier": False,
    "multicast-querier-interval": 25500,
    "multicast-query-interval": 12500,
    "multicast-query-response-interval": 1000,
    "multicast-query-use-ifaddr": False,
    "multicast-router": "auto",
    "multicast-startup-query-count": 2,
    "multicast-startup-query-interval": 3125,
}
_STP_TIMERS = {"forward-delay": 15, "hello-time": 2, "max-age": 20}
#: The kernel's and NetworkManager's defaults of what only nmstate has keys for, by the section.
_PASSED_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "lldp": {"enabled": False},
    "mptcp": {"address-flags": []},
    "ethernet": {"auto-negotiation": True, "sr-iov": {"total-vfs": 0}},
    "vlan": {
        "protocol": "802.1q",
        "registration-protocol": "none",
        "reorder-headers": True,
        "loose-binding": False,
    },
}
#: A port that is a member of the bridge's default VLAN only. With an empty mapping instead, nmstate would turn VLAN
#: filtering of the bridge off.
_NO_VLANS = {"mode": "trunk", "trunk-tags": []}
Interface = dict[str, Any]


def complete_with_defaults(desired: State, applied: State) -> State:
    """Return the desired state with a default for each key that only the applied state has.

    Most bond options are not among them: nmstate cannot express the default of every option (`primary` has none), so
    they are removed from the connection profile (see `find_dropped_options`). The exceptions are the two options that
    exclude each other. The hostname has no default and stays. The ID of a VLAN is always rendered, so it cannot leave.
    """
    applied_by_name = {i["name"]: i for i in interfaces_of(applied)}
    result: State = {**desired}
    if "interfaces" in desired:
        mtus = {i["name"]: i.get("mtu") for i in desired["interfaces"]}
        result["interfaces"] = [
            _complete_interface(i, applied_by_name.get(i["name"], {}), mtus) for i in desired["interfaces"]
        ]
    config = dns_of(desired)
    if dropped := [key for key in dns_of(applied) if key not in config]:
        result["dns-resolver"] = {"config": {**config, **{key: [] for key in dropped}}}
    return result


def _complete_interface(desired: Interface, applied: Interface, mtus: Mapping[str, Any]) -> Interface:
    if desired.get("state") != "up" or applied.get("state") != "up" or applied.get("type") != desired["type"]:
        return desired
    result = {**desired}
    if "mtu" in applied and "mtu" not in desired:
        result["mtu"] = mtus.get(desired.get("vlan", {}).get("base-iface")) or ETHERNET_MTU
    if "accept-all-mac-addresses" in applied and "accept-all-mac-addresses" not in desired:
        result["accept-all-mac-addresses"] = False
    for family in FAMILIES:
        settings = desired.get(family, {})
        if settings.get("enabled") and "address" in applied.get(family, {}) and "address" not in settings:
            result[family] = {**settings, "address": []}
    result.update(_find_passed_defaults(desired, applied))
    if desired["type"] == "linux-bridge":
        result["bridge"] = _complete_bridge(desired["bridge"], applied.get("bridge", {}))
    bond, old_bond = desired.get("link-aggregation"), applied.get("link-aggregation", {})
    if bond is not None and bond["mode"] == old_bond.get("mode"):
        off = {
            option: 0
            for option in ("miimon", "arp_interval")
            if old_bond["options"].get(option) and option not in bond["options"]
        }
        result["link-aggregation"] = {**bond, "options": {**bond["options"], **off}} if off else bond
    return result


def _find_passed_defaults(desired: Interface, applied: Interface) -> Interface:
    """Return the sections of an interface with a default for each key that was passed through to nmstate and left the
    definition. An empty section of ethtool removes its settings from the connection profile (nmstate replaces each
    section), and the driver's own values return."""
    sections: Interface = {}
    for key, defaults in _PASSED_DEFAULTS.items():
        wanted, old = desired.get(key, {}), applied.get(key, {})
        if missing := {name: value for name, value in defaults.items() if name in old and name not in wanted}:
            sections[key] = {**wanted, **missing}
    if find_left_ethtool(desired, applied):
        empty: Interface = {section: {} for section in applied["ethtool"]}
        sections["ethtool"] = {**empty, **desired.get("ethtool", {})}
    return sections


def find_left_ethtool(desired: Interface, applied: Optional[Interface]) -> list[str]:
    """Return the settings of ethtool, as `ring.rx`, that left an interface."""
    old, wanted = (applied or {}).get("ethtool", {}), desired.get("ethtool", {})
    return [f"{section}.{key}" for section in old for key in old[section] if key not in wanted.get(section, {})]


def _complete_bridge(desired: Interface, applied: Interface) -> Interface:
    """Return the settings of a bridge with a default for each option that left the definition."""
    options, old_options = desired["options"], applied.get("options", {})
    defaults: Interface = {
        key: value for key, value in _BRIDGE_DEFAULTS.items() if key in old_options and key not in options
    }
    stp, old_stp = options["stp"], old_options.get("stp", {})
    timers = {key: value for key, value in _STP_TIMERS.items() if key in old_stp and key not in stp}
    if timers:
        defaults["stp"] = {**stp, **timers}
    if "priority" in old_stp and "priority" not in stp and stp["enabled"]:
        defaults["stp"] = {**stp, **timers, "priority": DEFAULT_STP_PRIORITY}
    old_vlans = {port["name"] for port in applied.get("port", []) if "vlan" in port}
    ports = [
        {**port, "vlan": _NO_VLANS} if port["name"] in old_vlans and "vlan" not in port else port
        for port in desired["port"]
    ]
    return {**desired, "options": {**options, **defaults}, "port": ports}


def find_dropped_options(desired: State, applied: State) -> dict[str, tuple[str, ...]]:
    """Return the options that left each bond, by the bond's name. nmstate 2.2 drops all options when the mode
    changes, so such a bond is not included."""
    applied_bonds = {i["name"]: i.get("link-aggregation") for i in interfaces_of(applied)}
    dropped = {}
    for interface in interfaces_of(desired):
        bond, old_bond = interface.get("link-aggregation"), applied_bonds.get(interface["name"])
        if bond is not None and old_bond is not None and bond["mode"] == old_bond["mode"]:
            options = tuple(sorted(set(old_bond["options"]) - set(bond["options"])))
            if options:
                dropped[interface["name"]] = options
    return dropped
