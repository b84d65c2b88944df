"""Which keys of a connection profile are read, which do not matter, and which a definition cannot state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.core.boot.keyfile import parse_boolean
from kvmnet.importers._keyfiles.files import Profile
from kvmnet.importers._numbers import is_number
from kvmnet.importers._report import Report
from kvmnet.importers._state.bonds import parse_mode, parse_option

#: Keys that are read, or that identify the profile, by group.
_READ: Mapping[str, str] = {
    "connection": "id uuid type interface-name controller master port-type slave-type autoconnect autoconnect-priority "
    "autoconnect-ports autoconnect-slaves timestamp permissions read-only",
    "ethernet": "mac-address mtu cloned-mac-address",
    "bridge": "interface-name stp priority ageing-time group-forward-mask multicast-snooping vlan-filtering "
    "mac-address vlan-stats-enabled",
    "bridge-port": "",
    "bond": "interface-name",
    "bond-port": "",
    "vlan": "interface-name parent id",
    "ipv4": "method gateway dns dns-search never-default ignore-auto-dns route-metric route-table",
    "ipv6": "method gateway dns dns-search never-default ignore-auto-dns route-metric route-table",
}
_NUMBERED = re.compile(r"(address(es)?|routes?|routing-rule)[0-9]*(_options)?\Z")
#: Keys that do not change which addresses and links there are, or whose values kvmnet's own profiles have too.
_NEUTRAL: Mapping[str, str] = {
    "connection": "autoconnect-retries gateway-ping-timeout wait-device-timeout wait-activation-delay auth-retries "
    "metered mud-url stable-id",
    "ethernet": "auto-negotiate mac-address-blacklist mac-address-denylist generate-mac-address-mask "
    "s390-options accept-all-mac-addresses",
    "bridge": "forward-delay hello-time max-age",
    "vlan": "flags",
    "ipv4": "may-fail dad-timeout dhcp-timeout dhcp-client-id dhcp-hostname dhcp-send-hostname dhcp-iaid "
    "required-timeout link-local",
    "ipv6": "may-fail dhcp-timeout dhcp-duid dhcp-iaid dhcp-hostname dhcp-send-hostname ra-timeout addr-gen-mode "
    "ip6-privacy required-timeout",
}
#: Values that are the default, so that nothing is lost, by group and key.
_DEFAULT_VALUES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("bridge", "forward-delay"): ("15",),
    ("bridge", "hello-time"): ("2",),
    ("bridge", "max-age"): ("20",),
    ("vlan", "flags"): ("1", "0"),
    ("ethernet", "accept-all-mac-addresses"): ("0", "false", "-1"),
    ("connection", "lldp"): ("0", "-1", "default", "disable"),
}
#: Groups that are not about the network.
_OTHER_GROUPS = ("proxy", "user", ".nmmeta")
_MEANINGS = {"zone": "its firewalld zone", "ethtool": "settings of ethtool", "802-1x": "authentication by 802.1X"}
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}\Z")
#: Values of cloned-mac-address that keep the NIC's own address.
_OWN_MAC = ("", "permanent", "preserve")


def report_keys(profile: Profile, report: Report) -> None:
    """Report every key of a profile that is not in the definition. No value is named: it may be a secret."""
    for group, keys in profile.stored.groups.items():
        if not keys:
            continue
        if group in _OTHER_GROUPS:
            report.skip(f"[{group}] of {profile.interface} is not about the network", profile.origin(group))
        elif group not in _READ:
            meaning = f" ({_MEANINGS[group]})" if group in _MEANINGS else ""
            message = f"{profile.interface} has the group [{group}]{meaning}, for which the definition has no key"
            report.lose(message, profile.origin(group))
        elif group != "bond":
            _report_group(profile, group, keys, report)


def _report_group(profile: Profile, group: str, keys: Mapping[str, str], report: Report) -> None:
    read, neutral = _READ[group].split(), _NEUTRAL.get(group, "").split()
    for key, value in keys.items():
        if key in read or (group in ("ipv4", "ipv6") and _NUMBERED.match(key)):
            continue
        defaults = _DEFAULT_VALUES.get((group, key))
        if not value or (value in defaults if defaults is not None else key in neutral):
            continue
        if key.startswith("ignore-auto") and not parse_boolean(value, False):
            continue
        meaning = f" ({_MEANINGS[key]})" if key in _MEANINGS else ""
        message = f"{profile.interface} has {group}.{key}{meaning}, for which the definition has no key"
        report.lose(message, profile.origin(group, key))


def read_mac(profile: Profile, report: Report) -> dict[str, str]:
    """Return the MAC address that an interface gets, as a key of nmstate; empty without any."""
    for group, key in (("ethernet", "cloned-mac-address"), ("bridge", "mac-address")):
        text = profile.stored.value(group, key)
        if _MAC.match(text):
            if profile.stored.type == NM_ETHERNET and text.lower() != profile.stored.mac:
                message = f"{profile.interface} gets another MAC address ({text}), for which the definition has no key"
                report.lose(message, profile.origin(group, key))
                return {}
            return {"mac-address": text.lower()}
        if text not in _OWN_MAC:
            message = f"{profile.interface} has {key}={text}, for which the definition has no key"
            report.lose(message, profile.origin(group, key))
    return {}


def read_bridge_options(profile: Profile) -> dict[str, Any]:
    """Return the options of a bridge as nmstate has them. NetworkManager enables STP by default."""
    value = profile.stored.value
    stp: dict[str, Any] = {"enabled": parse_boolean(value("bridge", "stp"), True)}
    if is_number(value("bridge", "priority")):
        stp["priority"] = int(value("bridge", "priority"))
    options: dict[str, Any] = {"stp": stp}
    for key, name in (("ageing-time", "mac-ageing-time"), ("group-forward-mask", "group-forward-mask")):
        if is_number(value("bridge", key)):
            options[name] = int(value("bridge", key))
    options["multicast-snooping"] = parse_boolean(value("bridge", "multicast-snooping"), True)
    options["vlan-filtering"] = parse_boolean(value("bridge", "vlan-filtering"), False)
    return options


def read_bond(profile: Profile) -> dict[str, Any]:
    """Return the mode and the options of a bond as nmstate has them: each key of the group is an option."""
    given = {key: profile.stored.value("bond", key) for key in profile.stored.groups.get("bond", {})}
    names = {key: key.replace("-", "_") for key in given if key not in ("mode", "interface-name")}
    options = {name: parse_option(name, given[key]) for key, name in names.items()}
    mode = given.get("mode") or "balance-rr"  # NetworkManager's default
    return {"mode": parse_mode(mode), "options": options, "port": []}
