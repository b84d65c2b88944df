"""Whether a connection profile fits a device: NetworkManager's rules (check_connection_compatible, nm-device.c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Optional

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.boot.stored_profile import StoredProfile

Fit = Optional[bool]
"""Whether a profile fits; None: it cannot be known from what is known of the device."""


def matches_patterns(patterns: Sequence[str], text: str) -> bool:
    """Whether text matches name patterns (nm_wildcard_match_check): `!` excludes, `&` is required, and of the others
    one must match. `\\` before a pattern takes away the meaning of its first character."""
    has_optional = has_match = False
    for pattern in patterns:
        glob, is_inverted, is_mandatory = _parse_pattern(pattern)
        is_match = fnmatchcase(text, glob.replace("[^", "[!")) != is_inverted
        if is_mandatory and not is_match:
            return False
        has_optional = has_optional or not is_mandatory
        has_match = has_match or (is_match and not is_mandatory)
    return has_match or not has_optional


def matches_command_line(patterns: Sequence[str], options: Sequence[str]) -> bool:
    """Whether the kernel's options match (nm_utils_kernel_cmdline_match_check): `key=value` is compared as a whole,
    `key` also fits an option with a value."""
    has_optional = has_match = False
    for pattern in patterns:
        wanted, is_inverted, is_mandatory = _parse_pattern(pattern)
        present = wanted in options or ("=" not in wanted and any(o.startswith(f"{wanted}=") for o in options))
        is_match = present != is_inverted
        if is_mandatory and not is_match:
            return False
        has_optional = has_optional or not is_mandatory
        has_match = has_match or (is_match and not is_mandatory)
    return has_match or not has_optional


def _parse_pattern(pattern: str) -> tuple[str, bool, bool]:
    """Return a pattern without its prefix, whether it is inverted, and whether it must match (_pattern_parse)."""
    is_mandatory = pattern[:1] in ("&", "!")
    rest = pattern[1:] if pattern[:1] in ("&", "|") else pattern
    is_inverted = rest[:1] == "!"
    return rest[is_inverted:].removeprefix("\\"), is_inverted, is_mandatory


def profile_fits(profile: StoredProfile, device: BootDevice, options: Sequence[str] = ()) -> Fit:
    """Return whether a profile fits a device at boot. `options` are those of the kernel command line."""
    if profile.type != device.type:
        return False
    if profile.interface_name and profile.interface_name != device.name:
        return False
    if profile.is_virtual and not profile.interface_name:
        return False
    if device.type == NM_ETHERNET and not _mac_fits(profile, device):
        return False
    fits = list(_match_group_fits(profile, device, options))
    return False if False in fits else None if None in fits else True


def _mac_fits(profile: StoredProfile, device: BootDevice) -> bool:
    if profile.mac and profile.mac != device.mac:
        return False
    return not (device.mac and device.mac in profile.denied_macs)


def _match_group_fits(profile: StoredProfile, device: BootDevice, options: Sequence[str]) -> Iterator[Fit]:
    known = {"interface-name": device.name, "driver": device.driver, "path": device.path}
    for key, patterns in profile.match.items():
        if key == "kernel-command-line":
            yield matches_command_line(patterns, options)
        elif key in known:
            text = known[key]
            yield None if text is None else matches_patterns(patterns, text)
