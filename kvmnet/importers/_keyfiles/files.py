"""Reads connection profiles in keyfiles, and chooses the profile of each interface."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Optional

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.core.boot.keyfile import KeyfileError, find_key_lines, parse_keyfile
from kvmnet.core.boot.stored_profile import StoredProfile, find_fault
from kvmnet.core.definition.document import Source
from kvmnet.importers._draft import Origin
from kvmnet.importers._report import Report

#: Files that NetworkManager does not read as profiles (nm_keyfile_utils_ignore_filename), and copies that people leave.
_IGNORED = re.compile(r"(\A\.|~\Z|\.[A-Za-z0-9]{6}\Z|\.(pem|der|nmmeta|bak|orig|old|save|rpmnew|rpmsave)\Z)", re.I)
#: Types of profiles that are not about a device of the host's own network: guests' taps, loopback, modems, Wi-Fi.
_OTHER_TYPES = {
    "tun": "a device of guests",
    "loopback": "the loopback device",
    **dict.fromkeys(("802-11-wireless", "wifi", "wifi-p2p", "bluetooth", "gsm", "cdma", "wimax"), "a mobile network"),
}


@dataclass(frozen=True)
class Profile:
    """A connection profile, the name of its interface, and the lines of its keys by group and key."""

    stored: StoredProfile
    interface: str
    lines: Mapping[tuple[str, str], int]

    def origin(self, group: str = "connection", *keys: str) -> Origin:
        """Return the line of the first of these keys that the file has, or that of its group."""
        names = [*((group, key) for key in keys), (group, ""), ("connection", "id")]
        return Origin(self.stored.file, next((self.lines[name] for name in names if name in self.lines), 1))


def read_profiles(sources: Iterable[Source], report: Report) -> dict[str, Profile]:
    """Return the profile of each interface by the interface's name. Files that NetworkManager ignores, profiles that
    it does not activate at boot and profiles of nothing that a definition contains are reported."""
    candidates: dict[str, list[Profile]] = {}
    seen: dict[str, str] = {}
    for source in sources:
        profile = _read_profile(source, report)
        if profile is None:
            continue
        uuid = profile.stored.uuid
        if uuid in seen:
            message = f"the profile has the UUID of {seen[uuid]}, and NetworkManager loads only one of them"
            report.lose(f"{message}: it is not in the definition", profile.origin("connection", "uuid"))
            continue
        seen[uuid] = source.name
        candidates.setdefault(profile.interface, []).append(profile)
    chosen = {name: _choose(name, profiles, report) for name, profiles in candidates.items()}
    return {name: profile for name, profile in chosen.items() if profile is not None}


def _read_profile(source: Source, report: Report) -> Optional[Profile]:
    base, start = source.name.rpartition("/")[2], Origin(source.name, 1)
    if _IGNORED.search(base):
        report.skip("NetworkManager does not read a file of this name as a profile", start)
        return None
    try:
        groups, lines = parse_keyfile(source.text), find_key_lines(source.text)
    except KeyfileError as error:
        report.lose(f"NetworkManager does not load the file: {error}", start)
        return None
    if NM_ETHERNET in groups:  # the old name of the group
        groups["ethernet"] = {**groups.pop(NM_ETHERNET), **groups.get("ethernet", {})}
        lines = {("ethernet" if group == NM_ETHERNET else group, key): line for (group, key), line in lines.items()}
    stored = StoredProfile(source.name, groups)
    profile = Profile(stored, _find_interface(stored), lines)
    if stored.type in _OTHER_TYPES:
        report.skip(f"the profile is for {_OTHER_TYPES[stored.type]} ({stored.type})", profile.origin())
    elif fault := find_fault(stored):
        report.lose(f"NetworkManager does not load the file: {fault}", profile.origin())
    elif not profile.interface:
        message = f"the profile {stored.id} fits any NIC: it has neither interface-name nor mac-address"
        report.lose(f"{message}, so it is not in the definition", profile.origin())
    else:
        return profile
    return None


def _find_interface(profile: StoredProfile) -> str:
    """Return the name of a profile's interface. A NIC that is known only by its MAC address is called after it."""
    if profile.interface_name or not profile.mac:
        return profile.interface_name
    return "nic-" + profile.mac.replace(":", "")[6:]


def _choose(name: str, profiles: list[Profile], report: Report) -> Optional[Profile]:
    """Return the profile that NetworkManager activates for an interface. Several profiles of one priority leave that to
    the time of their last use, which no keyfile contains."""
    automatic = [profile for profile in profiles if profile.stored.autoconnect]
    best = automatic or profiles
    highest = max(profile.stored.priority for profile in best)
    best = [profile for profile in best if profile.stored.priority == highest]
    for profile in profiles:
        if len(best) > 1 and profile in best:
            ids = ", ".join(other.stored.id for other in best)
            report.lose(
                f"{name} has {len(best)} profiles of one priority ({ids}): which one is used is not in the files, so "
                "none is in the definition",
                profile.origin(),
            )
        elif profile not in best:
            message = f"the profile {profile.stored.id} is not used at boot: {name} has {best[0].stored.id}"
            report.note(message, profile.origin("connection", "autoconnect", "autoconnect-priority"))
        elif not automatic:
            report.note(f"{name} is not activated at boot", profile.origin("connection", "autoconnect"))
    return best[0] if len(best) == 1 else None
