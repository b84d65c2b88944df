"""NetworkManager's configuration (NetworkManager.conf(5), drop-ins), as far as it decides what a device gets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Optional

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.core.boot.keyfile import KeyfileError, parse_keyfile, split_list, unescape
from kvmnet.core.boot.stored_profile import normalize_mac

#: Keys whose values are device specs: `KEY+` and `KEY-` add and remove entries (_setting_is_device_spec, nm-config.c).
_SPEC_KEYS = {("main", "no-auto-default"), ("main", "ignore-carrier"), ("keyfile", "unmanaged-devices")}
_LIST_KEYS = {("main", "plugins")}
_INTERNAL = ".intern."
#: NetworkManager's names of device types in `type:` of a device spec, by the types of profiles.
_SPEC_TYPES = {NM_ETHERNET: "ethernet"}


@dataclass(frozen=True)
class BootDevice:
    """A device as NetworkManager sees it at boot.

    name: its name then. type: that of the profiles that fit it. mac: the permanent MAC address of a NIC.
    driver, path: what match.driver and match.path compare (udev's ID_PATH); None: unknown.
    udev_managed: udev's property NM_UNMANAGED, reversed; None: not set.
    """

    name: str
    type: str = NM_ETHERNET
    mac: str = ""
    driver: Optional[str] = None
    path: Optional[str] = None
    udev_managed: Optional[bool] = None


@dataclass(frozen=True)
class ManagerSettings:
    """NetworkManager's configuration: raw values by section and key, in the order of the sections' first occurrence
    (within one file the [device…] and [connection…] sections count in reverse: _nm_config_sort_groups).

    no_auto_default: the devices for which no profile is created (no-auto-default.state), as device specs.
    """

    sections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    no_auto_default: tuple[str, ...] = ()

    def value(self, section: str, key: str) -> Optional[str]:
        """Return a raw value, or None."""
        return self.sections.get(section, {}).get(key)

    @property
    def plugins(self) -> list[str]:
        """The settings plugins, the first of which has precedence."""
        return split_list((self.value("main", "plugins") or "").replace(",", ";"))

    def creates_profile_for(self, device: BootDevice) -> bool:
        """Whether NetworkManager creates a profile (`Wired connection 1`) for a NIC that no profile fits."""
        specs = split_specs(self.value("main", "no-auto-default") or "")
        return not (matches_specs(specs, device) or matches_specs(self.no_auto_default, device))

    def manages(self, device: BootDevice) -> bool:
        """Whether NetworkManager manages a device at boot (_get_managed_by_flags, nm-device.c): the [device…] sections
        take precedence over udev, and `unmanaged-devices` over both."""
        if matches_specs(split_specs(self.value("keyfile", "unmanaged-devices") or ""), device):
            return False
        configured = self.device_value(device, "managed")
        if configured is not None:
            return configured.strip().lower() in ("1", "true", "yes", "on")
        return device.udev_managed is not False

    def device_value(self, device: BootDevice, key: str) -> Optional[str]:
        """Return the value of a key of the [device…] sections for a device (_match_section_infos_lookup)."""
        return self._look_up("device", device, key)

    def activates_ports(self, device: BootDevice) -> bool:
        """Whether a controller activates its ports when its profile leaves that to the configuration."""
        for key in ("connection.autoconnect-ports", "connection.autoconnect-slaves"):
            value = self._look_up("connection", device, key)
            if value is not None and value.strip() in ("0", "1"):
                return value.strip() == "1"
        return False

    def _look_up(self, prefix: str, device: BootDevice, key: str) -> Optional[str]:
        for name in self._order_of(prefix):
            section = self.sections[name]
            stops = section.get("stop-match", "").strip().lower() in ("1", "true", "yes", "on")
            if key not in section and not stops:
                continue
            specs = section.get("match-device")
            if specs is None or matches_specs(split_specs(specs), device):
                return section.get(key)
        return None

    def _order_of(self, prefix: str) -> Iterator[str]:
        """Yield the sections of a prefix, the most important first; the plain one is the last."""
        names = [n for n in self.sections if n.startswith((prefix, f"{_INTERNAL}{prefix}")) and n != prefix]
        yield from reversed(names)
        if prefix in self.sections:
            yield prefix


def merge_settings(texts: Iterable[tuple[str, str]], no_auto_default: str = "") -> tuple[ManagerSettings, list[str]]:
    """Return the configuration that files (path and text) in NetworkManager's order result in, and the paths of files
    that it would not read. `no_auto_default` is the text of its list of devices (a line each)."""
    sections: dict[str, dict[str, str]] = {}
    unreadable = []
    for path, text in texts:
        try:
            groups = parse_keyfile(text)
        except KeyfileError as error:
            unreadable.append(f"{path}: {error}")
            continue
        if path.endswith("/NetworkManager.conf") or _is_enabled(groups.pop("config", {})):
            is_internal = path.endswith("/NetworkManager-intern.conf")
            for name in _in_reading_order(groups):
                if name.startswith(_INTERNAL) == is_internal:
                    _merge_section(sections.setdefault(name, {}), name, groups[name])
    devices = tuple(unescape(line.strip()) for line in no_auto_default.splitlines() if line.strip())
    return ManagerSettings(sections, devices), unreadable


def _is_enabled(config: Mapping[str, str]) -> bool:
    """Whether a drop-in counts (`enable` in [config]). A condition on NetworkManager's version counts as fulfilled."""
    return config.get("enable", "true").strip().lower() not in ("0", "false", "no", "off")


def _in_reading_order(groups: Mapping[str, Mapping[str, str]]) -> list[str]:
    def rank(name: str) -> int:
        return 2 if name.startswith("connection") else 1 if name.startswith("device") else 0

    ranked: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for name in groups:
        ranked[rank(name)].append(name)
    return [*ranked[0], *reversed(ranked[1]), *reversed(ranked[2])]


def _merge_section(target: dict[str, str], name: str, keys: Mapping[str, str]) -> None:
    for key, value in keys.items():
        base, sign = key[:-1], key[-1:]
        if sign not in "+-" or not base:
            target[key] = value
        elif (name, base) in _SPEC_KEYS or (name, base) in _LIST_KEYS or base == "match-device":
            separate = split_specs if (name, base) not in _LIST_KEYS else split_list
            old, new = separate(target.get(base, "")), separate(value)
            joined = [*old, *(e for e in new if e not in old)] if sign == "+" else [e for e in old if e not in new]
            target[base] = ";".join(entry.replace(";", "\\;").replace(",", "\\,") for entry in joined)


def split_specs(value: str) -> list[str]:
    """Return the entries of a list of device specs, separated by `;` or `,` (nm_match_spec_split)."""
    entries, current, is_escaped = [], "", False
    for character in f"{value};":
        if is_escaped:
            current += character if character in ";,\\" else f"\\{character}"
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        elif character in ";,":
            entries.append(current.strip())
            current = ""
        else:
            current += character
    return [entry for entry in entries if entry]


def matches_specs(specs: Sequence[str], device: BootDevice) -> bool:
    """Whether a list of device specs matches a device (nm_match_spec_device). Only `except:` entries: all others
    match."""
    has_match = has_positive = False
    for entry in specs:
        spec = entry.removeprefix("except:")
        is_exception = spec != entry
        has_positive = has_positive or not is_exception
        if _matches_spec(spec, device, is_fuzzy=not is_exception):
            if is_exception:
                return False
            has_match = True
    return has_match or (bool(specs) and not has_positive)


def _matches_spec(spec: str, device: BootDevice, *, is_fuzzy: bool) -> bool:
    if spec == "*":
        return True
    tag, separator, value = spec.partition(":")
    if separator and tag == "interface-name":
        if value.startswith("="):
            return value[1:] == device.name
        return _matches_glob(value.removeprefix("~"), device.name)
    if separator and tag == "mac":
        return bool(device.mac) and normalize_mac(value) == device.mac
    if separator and tag == "type":
        return value == _SPEC_TYPES.get(device.type, device.type)
    if separator and tag == "driver":
        return device.driver is not None and value.partition("/")[0] == device.driver
    if separator and tag in ("s390-subchannels", "dhcp-plugin"):
        return False
    return is_fuzzy and (spec == device.name or (bool(device.mac) and normalize_mac(spec) == device.mac))


def _matches_glob(pattern: str, text: str) -> bool:
    """Whether a pattern of GLib matches: it knows * and ? only."""
    return pattern == text or fnmatchcase(text, pattern.replace("[", "[[]"))
