"""The mode and the options of a bond of nmstate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvmnet.importers._draft import Origin
from kvmnet.importers._numbers import is_number
from kvmnet.importers._report import Report
from kvmnet.importers._state.values import section_of

#: The kernel's defaults (bonding.rst), as `nmstatectl show` prints them for every bond; None: any value, because the
#: kernel chooses it.
_DEFAULTS: Mapping[str, Any] = {
    "ad_actor_sys_prio": 65535,
    "ad_actor_system": "00:00:00:00:00:00",
    "ad_select": "stable",
    "ad_user_port_key": 0,
    "all_slaves_active": "dropped",
    "arp_all_targets": "any",
    "arp_interval": 0,
    "arp_ip_target": "",
    "arp_missed_max": 2,
    "arp_validate": "none",
    "balance_slb": False,
    "downdelay": 0,
    "fail_over_mac": "none",
    "lacp_active": "on",
    "lacp_rate": "slow",
    "lp_interval": 1,
    "miimon": None,
    "min_links": 0,
    "num_grat_arp": 1,
    "num_unsol_na": 1,
    "packets_per_slave": 1,
    "peer_notif_delay": 0,
    "primary": "",
    "primary_reselect": "always",
    "resend_igmp": 1,
    "tlb_dynamic_lb": True,
    "updelay": 0,
    "use_carrier": True,
    "xmit_hash_policy": "layer2",
}
_MODES = ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
#: Options whose values have names: the name of each number (bond_options.c of the kernel).
_NAMES: Mapping[str, tuple[str, ...]] = {
    "ad_select": ("stable", "bandwidth", "count"),
    "all_slaves_active": ("dropped", "delivered"),
    "arp_all_targets": ("any", "all"),
    "arp_validate": ("none", "active", "backup", "all", "filter", "filter_active", "filter_backup"),
    "fail_over_mac": ("none", "active", "follow"),
    "lacp_rate": ("slow", "fast"),
    "primary_reselect": ("always", "better", "failure"),
    "xmit_hash_policy": ("layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"),
}
_SWITCHES = {"0": False, "1": True, "off": False, "on": True, "false": False, "true": True}
#: Options that the definition has no key for.
_WITHOUT_KEY = ("lacp_active", "peer_notif_delay")


def read_bond(interface: Mapping[str, Any], origin: Origin, report: Report) -> dict[str, Any]:
    """Return the keys `ports`, `mode` and `options` of a bond. Options that have their defaults are left out."""
    bond, name = section_of(interface, "link-aggregation"), interface["name"]
    ports = bond.get("port") or bond.get("slaves") or []
    values: dict[str, Any] = {"ports": [str(port) for port in ports] if isinstance(ports, list) else []}
    mode = str(bond.get("mode") or "active-backup")
    if mode != "active-backup":
        values["mode"] = mode
    options = {}
    given = bond.get("options")
    for key, value in given.items() if isinstance(given, Mapping) else ():
        if value is None or _is_default(key, value):
            continue
        if key not in _DEFAULTS or key in _WITHOUT_KEY:
            report.lose(f"{name} has the bond option {key}: {value}, for which the definition has no key", origin)
        elif not (key == "miimon" and value in (0, 100)):  # kvmnet sets 100 unless arp_interval is set
            options[key] = value.split(",") if key == "arp_ip_target" and isinstance(value, str) else value
    if options.get("num_unsol_na") == options.get("num_grat_arp"):
        options.pop("num_unsol_na", None)  # one setting of the kernel
    if options:
        values["options"] = options
    for key in sorted(set(bond) - {"port", "slaves", "mode", "options", "ports-config"}):
        report.lose(f"{name} has link-aggregation.{key}, for which the definition has no key", origin)
    return values


def parse_mode(text: str) -> str:
    """Return the mode of a bond by name; the kernel accepts its number too."""
    return _MODES[int(text)] if is_number(text) and int(text) < len(_MODES) else text


def parse_option(key: str, text: str) -> Any:
    """Return the value of an option of the kernel as nmstate has it. Many options may be written as a number or by
    name."""
    names = _NAMES.get(key)
    if names is not None:
        return names[int(text)] if is_number(text) and int(text) < len(names) else text
    if isinstance(_DEFAULTS.get(key), bool):
        return _SWITCHES.get(text.lower(), text)
    return int(text) if is_number(text) else text


def _is_default(key: str, value: Any) -> bool:
    default = _DEFAULTS.get(key)
    return default is not None and str(value).lower() == str(default).lower()
