"""The part of a plan that is settings of connection profiles which nmstate has no key for (base/profile_settings)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import KERNEL_KINDS, NM_TYPES, interfaces_of
from kvmnet.core.base.profile_settings import CLONED_MAC, PROFILE_SETTINGS
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.ownership import belongs_to_kvmnet, find_created
from kvmnet.core.rendering.bundle import Bundle

Settings = Mapping[str, Any]
"""Values by the setting's name."""


@dataclass(frozen=True)
class SettingDifference:
    """A setting with another value than the desired one. `stored`: only the connection profile differs, the live value
    does not."""

    name: str
    live: Any
    desired: Any
    stored: bool = False


@dataclass(frozen=True)
class ProfileComparison:
    """What of the desired settings the host does not have, by the interface's name.

    desired: the settings that kvmnet sets itself.
    live: the differences from the kernel; stored: those of profiles whose live values are as desired.
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
    desired = find_desired_settings(bundle, live)
    live_differences: dict[str, tuple[SettingDifference, ...]] = {}
    stored_differences: dict[str, tuple[SettingDifference, ...]] = {}
    pinned = _find_pinned(bundle, live)
    for interface in interfaces_of(bundle.state):
        name, kind = interface["name"], KERNEL_KINDS.get(interface["type"])
        current_name = old_names.get(name, name) if kind is None else name
        link, profile = live.links.get(current_name), live.profiles.get(current_name)
        settings = desired.get(name, {})
        if link is not None and link.kind == kind:
            found = [d for key, value in settings.items() if (d := _compare_kernel(key, value, link))]
            if found:
                live_differences[name] = tuple(found)
        if profile is not None and profile.type == NM_TYPES.get(interface["type"]):
            reported = {difference.name for difference in live_differences.get(name, ())}
            all_settings = {**settings, **({CLONED_MAC.name: pinned[name]} if name in pinned else {})}
            stored = [d for key, value in all_settings.items() if (d := _compare_profile(key, value, profile))]
            if stored := [difference for difference in stored if difference.name not in reported]:
                stored_differences[name] = tuple(stored)
    created = find_created(live)
    adopted_macs = {name: mac for name, mac in pinned.items() if name not in created}
    return ProfileComparison(desired, live_differences, stored_differences, adopted_macs)


def find_desired_settings(bundle: Bundle, live: Live) -> dict[str, Settings]:
    """Return the settings that the bundle states, by the interface's name, with the default for each setting that only
    the applied bundle has, and the live value of what an adopted interface runs with."""
    desired: dict[str, Settings] = {}
    for interface in interfaces_of(bundle.state):
        name = interface["name"]
        dropped = {
            key: PROFILE_SETTINGS[key].default
            for key in live.applied_settings.get(name, {})
            if key in PROFILE_SETTINGS  # recorded by another version of kvmnet
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


def _compare_kernel(key: str, desired: Any, link: Link) -> Optional[SettingDifference]:
    current = PROFILE_SETTINGS[key].from_kernel(link.options)
    return SettingDifference(key, current, desired) if current not in (None, desired) else None


def _compare_profile(key: str, desired: Any, profile: ConnectionProfile) -> Optional[SettingDifference]:
    """Return the difference from the profile's value; None if the profile's settings were not read."""
    if key not in profile.settings:
        return None
    current = PROFILE_SETTINGS[key].from_nmcli(profile.settings[key])
    return SettingDifference(key, current, desired, stored=True) if current != desired else None


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
