"""Compares the options of bonds and bridges in keyfiles with the desired ones.

Only what the definition states is compared. The kernel and NetworkManager accept several notations of an option (names
and numbers): a value whose notation is not known here is no difference. An option that a keyfile lacks has
NetworkManager's default (nm-setting-bond.c, nm-setting-bridge.c).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

from kvmnet.core.boot.stored_profile import StoredProfile, normalize_mac

Section = Mapping[str, Any]


class OptionDifference(NamedTuple):
    """An option with another value on disk than the desired one; its path is that of nmcli (`bond.mode`)."""

    path: str
    stored: Any
    desired: Any


#: The numbers of the names of a bond's options (bond_options.c of the kernel), in their order from 0 on.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "mode": ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"),
    "ad_select": ("stable", "bandwidth", "count"),
    "all_slaves_active": ("dropped", "delivered"),
    "arp_all_targets": ("any", "all"),
    "arp_validate": ("none", "active", "backup", "all", "filter", "filter_active", "filter_backup"),
    "fail_over_mac": ("none", "active", "follow"),
    "lacp_rate": ("slow", "fast"),
    "primary_reselect": ("always", "better", "failure"),
    "xmit_hash_policy": ("layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"),
    "balance_slb": ("off", "on"),
    "tlb_dynamic_lb": ("off", "on"),
    "use_carrier": ("off", "on"),
}
#: What a bond has without the option in its profile. miimon: 100 or 0, by the mode and arp_interval. Options that are
#: not here are not compared if the keyfile lacks them: not every nmstate writes them.
_BOND_DEFAULTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("ad_select", "all_slaves_active", "arp_all_targets", "arp_validate", "fail_over_mac"), ("0",)),
    **dict.fromkeys(("lacp_rate", "primary_reselect", "xmit_hash_policy", "balance_slb", "mode"), ("0",)),
    **dict.fromkeys(("ad_user_port_key", "arp_interval", "downdelay", "min_links", "updelay"), ("0",)),
    **dict.fromkeys(("lp_interval", "num_grat_arp", "num_unsol_na", "packets_per_slave", "resend_igmp"), ("1",)),
    **dict.fromkeys(("tlb_dynamic_lb", "use_carrier"), ("1",)),
    "ad_actor_sys_prio": ("65535",),
    "miimon": ("0", "100"),
    **dict.fromkeys(("ad_actor_system", "arp_ip_target", "primary"), ()),
}
#: Two names of one setting of the kernel.
_ALIASES = {"num_grat_arp": "num_unsol_na", "num_unsol_na": "num_grat_arp", "balance_slb": "balance-slb"}
#: The places of a bridge's options in nmstate's entry, the keys in keyfiles, and NetworkManager's defaults.
_BRIDGE_OPTIONS: tuple[tuple[tuple[str, ...], str, Any], ...] = (
    (("stp", "enabled"), "stp", True),
    (("stp", "priority"), "priority", 32768),
    (("mac-ageing-time",), "ageing-time", 300),
    (("group-forward-mask",), "group-forward-mask", 0),
    (("multicast-snooping",), "multicast-snooping", True),
)


def find_bond_differences(section: Section, stored: StoredProfile) -> Iterator[OptionDifference]:
    """Yield the differences of nmstate's entry `link-aggregation`."""
    for option, wanted in _wanted_options(section).items():
        text, value = _stored_option(option, stored), _normalize(option, wanted)
        if value is None:
            continue
        if not text:
            if value not in _BOND_DEFAULTS.get(option, (value,)):
                yield OptionDifference(f"bond.{option}", None, wanted)
        elif _normalize(option, text) not in (None, value):
            yield OptionDifference(f"bond.{option}", text, wanted)


def states_every_option(section: Section, stored: StoredProfile) -> bool:
    """Whether a profile states the mode and every option of nmstate's entry `link-aggregation`."""
    return all(
        (value := _normalize(option, wanted)) is not None
        and _normalize(option, _stored_option(option, stored)) == value
        for option, wanted in _wanted_options(section).items()
    )


def _wanted_options(section: Section) -> dict[str, Any]:
    return {"mode": section["mode"], **section.get("options", {})}


def _stored_option(option: str, stored: StoredProfile) -> str:
    return stored.value("bond", option, *([_ALIASES[option]] if option in _ALIASES else []))


def _normalize(option: str, value: Any) -> Optional[str]:
    """Return the value of a bond's option as text, the same for each notation; None if the notation is not known."""
    if isinstance(value, list):
        value = ",".join(map(str, value))
    text = str(int(value)) if isinstance(value, bool) else str(value).strip()
    if option == "primary":
        return text or None
    if option == "ad_actor_system":
        return normalize_mac(text) or None
    if option == "arp_ip_target":
        try:
            return ",".join(sorted(str(ipaddress.ip_address(part.strip())) for part in text.split(",")))
        except ValueError:
            return None
    names = _NAMES.get(option, ())
    if text.lower() in names:
        return str(names.index(text.lower()))
    return str(int(text)) if text.isascii() and text.isdigit() else None


def find_bridge_differences(options: Section, stored: StoredProfile) -> Iterator[OptionDifference]:
    """Yield the differences of the options in nmstate's entry `bridge`."""
    for place, key, default in _BRIDGE_OPTIONS:
        wanted: Any = options
        for part in place:
            wanted = wanted.get(part) if isinstance(wanted, Mapping) else None
        if wanted is None:
            continue
        value = _parse(stored.value("bridge", key).strip(), default)
        if value is not None and value != wanted:
            yield OptionDifference(f"bridge.{key}", value, wanted)


def _parse(text: str, default: Any) -> Any:
    """Return the value of a bridge's option; None for another notation than `true`, `false` and decimal numbers."""
    if not text:
        return default
    if isinstance(default, bool):
        return {"true": True, "1": True, "false": False, "0": False}.get(text)
    return int(text) if text.isascii() and text.isdigit() else None
