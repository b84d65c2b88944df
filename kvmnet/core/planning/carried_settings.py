"""What happens to each setting of a connection profile when kvmnet takes its interface over.

The addresses of an interface may go to another one: to the new bridge above a NIC, bond or VLAN, or to a bridge that
replaces another one. Its profile has more settings than a definition can state. Those that belong to the addresses go
with them, those that belong to the device stay in its profile, and the rest is lost and named in the plan. FATES is the
table. The profile of an adopted interface stays and keeps all of them.

The settings are those of NetworkManager's D-Bus API (`GetSettings`, nm-settings-dbus(5)), which contains only values
that are no defaults: setting -> key -> [signature, value].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from kvmnet.core.base.nmstate import FAMILIES, interfaces_of
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan

Settings = Mapping[str, Mapping[str, Any]]


class Fate(Enum):
    """What happens to a setting when the addresses of its interface go to another one."""

    DEFINED = auto()
    """The definition states it, or it identifies the profile or its place. It is not named."""
    MOVES = auto()
    """It goes with the addresses."""
    STAYS = auto()
    """It belongs to the device and stays in its profile."""
    LOST = auto()
    """It is lost: a definition cannot state it, and the new interface must not have it."""


def _keys(setting: str, keys: str) -> list[str]:
    return [f"{setting}.{key}" for key in keys.split()]


_CONNECTION = {
    Fate.DEFINED: "id uuid type interface-name timestamp master controller slave-type port-type autoconnect "
    "autoconnect-slaves autoconnect-ports zone permissions read-only multi-connect",
    Fate.MOVES: "autoconnect-priority autoconnect-retries llmnr mdns dns-over-tls dnssec metered stable-id mptcp-flags "
    "secondaries mud-url gateway-ping-timeout ip-ping-timeout ip-ping-addresses ip-ping-addresses-require-all "
    "down-on-poweroff",
    Fate.STAYS: "lldp auth-retries wait-device-timeout wait-activation-delay",
}
#: `token`, client id, IAID and DUID: see dhcp_identity. Timeouts: nmstate sets them. Rules: see plan_notes.
_IP = {
    Fate.DEFINED: "method addresses address-data gateway dns dns-data dns-search routes route-data routing-rules "
    "ignore-auto-dns ignore-auto-routes never-default dhcp-client-id dhcp-iaid dhcp-duid dhcp-timeout ra-timeout token",
    Fate.MOVES: "dns-options dns-priority routed-dns route-metric may-fail required-timeout dad-timeout link-local "
    "dhcp-hostname dhcp-fqdn dhcp-send-hostname dhcp-send-hostname-v2 dhcp-hostname-flags dhcp-vendor-class-identifier "
    "dhcp-reject-servers dhcp-dscp dhcp-ipv6-only-preferred dhcp-send-release replace-local-rule auto-route-ext-gw "
    "ip6-privacy addr-gen-mode temp-valid-lifetime temp-preferred-lifetime dhcp-pd-hint",
    Fate.LOST: "route-table mtu address-labels forwarding shared-dhcp-range shared-dhcp-lease-time",
}
_SETTINGS = {
    Fate.DEFINED: "match bridge bond vlan macvlan bridge-port bond-port team-port",
    Fate.MOVES: "hostname proxy",
    Fate.STAYS: "802-3-ethernet ethtool tc sriov link 802-1x dcb user infiniband wireguard",
}
#: The fate of each key, or of all keys of a setting. Keys of `ipv4` and `ipv6` that are not here are lost, all others
#: stay with the device.
FATES: Mapping[str, Fate] = {
    **{name: fate for fate, keys in _CONNECTION.items() for name in _keys("connection", keys)},
    **{name: fate for family in FAMILIES for fate, keys in _IP.items() for name in _keys(family, keys)},
    **{name: fate for fate, names in _SETTINGS.items() for name in names.split()},
}
#: Defaults that D-Bus contains nevertheless, because they are required for older clients (nm-setting-wired.c).
_SHOWN_DEFAULTS: Mapping[tuple[str, str], Any] = {
    ("802-3-ethernet", "auto-negotiate"): False,
    ("802-3-ethernet", "s390-options"): {},
}
#: The types of values that kvmnet copies to another profile (D-Bus signatures).
_COPIED_TYPES = ("b", "i", "u", "x", "t", "s", "as", "au")


def fate_of(setting: str, key: str) -> Fate:
    """Return what happens to a key of a profile's setting."""
    default = Fate.LOST if setting in FAMILIES else Fate.STAYS
    return FATES.get(f"{setting}.{key}", FATES.get(setting, default))


@dataclass(frozen=True)
class ProfileFate:
    """What happens to the connection profile `profile` (its ID) of the live interface `interface`.

    successor: the interface that has the addresses afterwards. It is the interface itself when that is adopted; then
        all settings stay in the profile.
    moves, stays, lost: the settings by what happens to them, by the name of nmcli (`connection.llmnr`).
    addresses: the static addresses of the profile that no interface of the definition has.
    """

    interface: str
    profile: str
    successor: str
    moves: Mapping[str, Any] = field(default_factory=dict)
    stays: Mapping[str, Any] = field(default_factory=dict)
    lost: Mapping[str, Any] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()


def find_profile_fates(plan: Plan, live: Live) -> list[ProfileFate]:
    """Return what happens to the profiles of adopted interfaces, and of those whose addresses go to another one.
    Profiles that were not read (`Surroundings.profile_settings`) are left out."""
    fates = [_find_moving(name, source, plan, live) for name, source in plan.moves.items()]
    fates += [_find_staying(name, plan, live) for name in plan.adopted]
    return [fate for fate in fates if fate.interface in live.surroundings.profile_settings]


def profiles_to_read(plan: Plan, live: Live) -> dict[str, str]:
    """Return the profiles whose settings matter for the plan: their UUIDs by the live interface."""
    names = [*plan.moves.values(), *plan.adopted]
    return {name: live.profiles[name].uuid for name in names if name in live.profiles}


def _find_moving(name: str, source: str, plan: Plan, live: Live) -> ProfileFate:
    settings = live.surroundings.profile_settings.get(source, {})
    by_fate: dict[Fate, dict[str, Any]] = {fate: {} for fate in Fate}
    for setting, key, value in _each(settings):
        fate = fate_of(setting, key)
        if fate is Fate.MOVES and not is_carried(setting, key, value, name, plan):
            fate = Fate.LOST if value[0] not in _COPIED_TYPES else Fate.DEFINED
        if fate is Fate.STAYS and source in plan.leaving:  # its device is removed
            fate = Fate.LOST
        by_fate[fate][f"{setting}.{key}"] = value[1]
    return ProfileFate(
        source,
        live.profiles[source].id if source in live.profiles else "",
        name,
        by_fate[Fate.MOVES],
        by_fate[Fate.STAYS],
        by_fate[Fate.LOST],
        tuple(_find_lost_addresses(settings, plan)),
    )


def _find_staying(name: str, plan: Plan, live: Live) -> ProfileFate:
    settings = live.surroundings.profile_settings.get(name, {})
    stays = {f"{s}.{key}": value[1] for s, key, value in _each(settings) if fate_of(s, key) is not Fate.DEFINED}
    if any(i["name"] == name and "mtu" in i for i in interfaces_of(plan.desired)):
        stays.pop("802-3-ethernet.mtu", None)
    return ProfileFate(name, live.profiles[name].id if name in live.profiles else "", name, stays=stays)


def _each(settings: Settings) -> Iterator[tuple[str, str, Any]]:
    for setting, keys in sorted(settings.items()):
        for key, value in sorted(keys.items()):
            if _SHOWN_DEFAULTS.get((setting, key)) != value[1]:
                yield setting, key, value


def _find_lost_addresses(settings: Settings, plan: Plan) -> Iterator[str]:
    """Return the static addresses that no interface of the definition has."""
    wanted = {
        str(address["ip"])
        for interface in interfaces_of(plan.bundle.state)
        for family in FAMILIES
        for address in interface.get(family, {}).get("address", [])
    }
    for family in FAMILIES:
        for row in settings.get(family, {}).get("address-data", ["", []])[1]:
            if str(row.get("address")) not in wanted:
                yield f"{row.get('address')}/{row.get('prefix')}"


def is_carried(setting: str, key: str, value: Any, name: str, plan: Plan) -> bool:
    """Whether a setting that moves is copied to interface `name`: not when the definition disables the address family
    or states it otherwise, or when the identity of the interface requires another value (see dhcp_identity)."""
    if value[0] not in _COPIED_TYPES:
        return False
    if setting not in FAMILIES:
        return True
    interface: Mapping[str, Any] = next((i for i in interfaces_of(plan.desired) if i["name"] == name), {})
    family = interface.get(setting, {})
    if not family.get("enabled"):
        return False
    if key == "route-metric" and "auto-route-metric" in family:
        return False
    if key == "addr-gen-mode":
        identity = plan.identities.get(name)
        return identity is None or not (identity.token or identity.at_risk)
    return True


def carried_settings(name: str, plan: Plan, live: Live) -> dict[str, dict[str, Any]]:
    """Return the settings that interface `name` takes over together with the addresses of another one: setting -> key
    -> [signature, value]."""
    source = plan.moves.get(name)
    settings = live.surroundings.profile_settings.get(source, {}) if source is not None else {}
    carried: dict[str, dict[str, Any]] = {}
    for setting, key, value in _each(settings):
        if fate_of(setting, key) is Fate.MOVES and is_carried(setting, key, value, name, plan):
            carried.setdefault(setting, {})[key] = list(value)
    return carried
