"""The part of a plan that is settings of connection profiles which nmstate has no key for (base/profile_settings)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Optional

from kvmnet.core.base.nmstate import KERNEL_KINDS, NM_TYPES, interfaces_of
from kvmnet.core.base.profile_settings import CLONED_MAC, PROFILE_SETTINGS, ZONE, ProfileSetting
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.ownership import belongs_to_kvmnet, find_created
from kvmnet.core.rendering.bundle import Bundle

Settings = Mapping[str, Any]
"""Values by the setting's name."""


class Place(Enum):
    """Where a setting differs: in the kernel or in firewalld, only in the connection profile (as NetworkManager has it
    in memory), or only in the profile's keyfile."""

    KERNEL = auto()
    FIREWALL = auto()
    PROFILE = auto()
    KEYFILE = auto()


@dataclass(frozen=True)
class SettingDifference:
    """A setting with another value than the desired one, and where it differs."""

    name: str
    live: Any
    desired: Any
    place: Place = Place.KERNEL


@dataclass(frozen=True)
class ProfileComparison:
    """What of the desired settings the host does not have, by the interface's name.

    desired: the settings that kvmnet sets itself.
    live: the differences for which nmstate must apply the profile: from the kernel, from firewalld and from keyfiles;
        stored: those of profiles whose live values are as desired.
    adopted_macs: the MAC addresses of bridges and bonds that have theirs and were not created by kvmnet.
    """

    desired: Mapping[str, Settings] = field(default_factory=dict)
    live: Mapping[str, tuple[SettingDifference, ...]] = field(default_factory=dict)
    stored: Mapping[str, tuple[SettingDifference, ...]] = field(default_factory=dict)
    adopted_macs: Mapping[str, str] = field(default_factory=dict)


NO_DIFFERENCES = ProfileComparison()


def compare_profiles(bundle: Bundle, live: Live, old_names: Mapping[str, str]) -> ProfileComparison:
    """Compare the desired settings with the kernel and with the active connection profiles. `old_names` are the current
    names of NICs that are renamed."""
    desired, pinned = find_desired_settings(bundle, live), _find_pinned(bundle, live)
    to_apply: dict[str, tuple[SettingDifference, ...]] = {}
    stored: dict[str, tuple[SettingDifference, ...]] = {}
    for interface in interfaces_of(bundle.state):
        name = interface["name"]
        current_name = old_names.get(name, name) if interface["type"] not in KERNEL_KINDS else name
        pin = {CLONED_MAC.name: pinned[name]} if name in pinned else {}
        found = list(_compare(interface, {**desired.get(name, {}), **pin}, current_name, live))
        for target, is_stored in ((to_apply, False), (stored, True)):
            if selected := tuple(d for d in found if (d.place is Place.PROFILE) is is_stored):
                target[name] = selected
    created = find_created(live)
    adopted_macs = {name: mac for name, mac in pinned.items() if name not in created}
    return ProfileComparison(desired, to_apply, stored, adopted_macs)


def _compare(
    interface: Mapping[str, Any], settings: Settings, current_name: str, live: Live
) -> Iterator[SettingDifference]:
    """Yield one difference for each setting: in the first place that differs."""
    link, profile = live.links.get(current_name), live.profiles.get(current_name)
    if link is not None and link.kind != KERNEL_KINDS.get(interface["type"]):
        link = None
    if profile is not None and profile.type != NM_TYPES.get(interface["type"]):
        profile = None
    for name, value in settings.items():
        row = PROFILE_SETTINGS[name]
        for place, current in (
            (Place.KERNEL, row.from_kernel(link.options) if link is not None else None),
            (Place.FIREWALL, _in_firewall(row, link, live)),
            (Place.PROFILE, _in_memory(row, profile)),
            (Place.KEYFILE, _on_disk(row, profile, live)),
        ):
            if current not in (None, value):
                yield SettingDifference(name, current, value, place)
                break


def _in_firewall(row: ProfileSetting, link: Optional[Link], live: Live) -> Optional[str]:
    """Return the zone in which firewalld has an existing interface (empty: the default zone); None for other settings,
    and if firewalld does not run."""
    return live.zones.get(link.name, "") if row is ZONE and link is not None and live.zones is not None else None


def _in_memory(row: ProfileSetting, profile: Optional[ConnectionProfile]) -> Any:
    """Return the value of an active profile; None if its settings were not read."""
    is_known = profile is not None and row.name in profile.settings
    return row.from_nmcli(profile.settings[row.name]) if profile is not None and is_known else None


def _on_disk(row: ProfileSetting, profile: Optional[ConnectionProfile], live: Live) -> Any:
    """Return the value of a saved profile's keyfile; None if it is unknown. MAC addresses are compared by
    stored_profiles."""
    if row is CLONED_MAC or live.boot is None or profile is None or not profile.saved:
        return None
    keyfile = live.boot.effective.get(profile.uuid)
    return row.from_keyfile(keyfile.value(row.setting, row.key)) if keyfile is not None else None


def find_desired_settings(bundle: Bundle, live: Live) -> dict[str, Settings]:
    """Return the settings that the bundle states, by the interface's name, with the default for each setting that only
    the applied bundle has (but for those that are kept), and the live value of what an adopted interface runs with."""
    desired: dict[str, Settings] = {}
    for interface in interfaces_of(bundle.state):
        name = interface["name"]
        dropped = {
            key: PROFILE_SETTINGS[key].default
            for key in live.applied_settings.get(name, {})
            if key in PROFILE_SETTINGS and not PROFILE_SETTINGS[key].is_kept  # recorded by another version of kvmnet
        }
        settings = {**_find_kept(interface, bundle, live), **dropped, **bundle.profile_settings.get(name, {})}
        if settings and interface.get("state") == "up":
            desired[name] = settings
    return desired


def _find_kept(interface: Mapping[str, Any], bundle: Bundle, live: Live) -> Settings:
    """Return the live values, where they are no defaults, of an existing interface that kvmnet adopts. Its profile may
    lack them: they would be gone after the next boot."""
    link = live.links.get(interface["name"])
    if link is None or link.kind is None or link.kind != KERNEL_KINDS.get(interface["type"]):
        return {}
    if belongs_to_kvmnet(bundle.host, link.name, live):
        return {}
    values = {name: row.from_kernel(link.options) for name, row in PROFILE_SETTINGS.items()}
    return {name: value for name, value in values.items() if value not in (None, PROFILE_SETTINGS[name].default)}


def _find_pinned(bundle: Bundle, live: Live) -> dict[str, str]:
    """Return the bridges and bonds that exist and have the MAC address of the bundle, with it: their profiles must
    contain it. Others are given to nmstate, which writes it into their profiles."""
    live_macs = {i["name"]: str(i.get("mac-address", "")).lower() for i in interfaces_of(live.state)}
    pinned = {}
    for interface in interfaces_of(bundle.state):
        name, kind = interface["name"], KERNEL_KINDS.get(interface["type"])
        mac, link = str(interface.get("mac-address", "")).lower(), live.links.get(name)
        is_live = kind in ("bridge", "bond") and link is not None and link.kind == kind
        if is_live and mac and mac == live_macs.get(name):
            pinned[name] = mac
    return pinned
