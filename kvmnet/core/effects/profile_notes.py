"""Notes on connection profiles that are adopted or whose addresses move: what their settings become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.carried_settings import ProfileFate, find_profile_fates
from kvmnet.core.planning.plan import Plan

#: nmcli's names of values that D-Bus has as numbers (nm-settings-nmcli(5)).
_YES_NO = {-1: "default", 0: "no", 1: "yes"}
_RESOLVE = {-1: "default", 0: "no", 1: "resolve", 2: "yes"}
_VALUE_NAMES: Mapping[str, Mapping[int, str]] = {
    "connection.llmnr": _RESOLVE,
    "connection.mdns": _RESOLVE,
    "connection.lldp": {-1: "default", 0: "disable", 1: "enable-rx"},
    "connection.dns-over-tls": {-1: "default", 0: "no", 1: "opportunistic", 2: "yes"},
    "connection.metered": {0: "unknown", 1: "yes", 2: "no"},
    "ipv6.addr-gen-mode": {0: "eui64", 1: "stable-privacy", 2: "default-or-eui64", 3: "default"},
    "ipv6.ip6-privacy": {-1: "default", 0: "disabled", 1: "prefer-public-addr", 2: "prefer-temp-addr"},
    "ipv4.link-local": {0: "default", 1: "auto", 2: "disabled", 3: "enabled", 4: "fallback"},
    "ipv4.replace-local-rule": _YES_NO,
    "ipv6.replace-local-rule": _YES_NO,
}


def note_profiles(plan: Plan, live: Live) -> Iterator[str]:
    """Yield the notes, a line each."""
    for fate in find_profile_fates(plan, live):
        yield from _note_profile(fate, plan)


def _note_profile(fate: ProfileFate, plan: Plan) -> Iterator[str]:
    profile, interface = f"the connection profile {fate.profile}", fate.interface
    if fate.successor == interface:
        if fate.stays:
            yield f"{interface} keeps what {profile} has and the definition does not state: {_list(fate.stays)}"
        return
    if fate.moves:
        yield f"{fate.successor} takes over from {profile} of {interface}: {_list(fate.moves)}"
    if fate.stays:
        yield f"{plan.new_names.get(interface, interface)} keeps from {profile}: {_list(fate.stays)}"
    lost = [f"the address {address}" for address in fate.addresses] + _texts(fate.lost)
    if lost:
        yield f"{interface} loses what the definition does not contain: {', '.join(lost)} (of {profile})"


def _list(settings: Mapping[str, Any]) -> str:
    return ", ".join(_texts(settings))


def _texts(settings: Mapping[str, Any]) -> list[str]:
    return [f"{name} {value_text(name, value)}".rstrip() for name, value in settings.items()]


def value_text(name: str, value: Any) -> str:
    """Return the value of a setting as nmcli prints it; complex values as their entries."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name in _VALUE_NAMES:
        return _VALUE_NAMES[name].get(value, str(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={value_text('', entry)}" for key, entry in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return ",".join(value_text("", entry) for entry in value)
    return str(value)
