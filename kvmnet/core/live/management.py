"""Why NetworkManager leaves an interface alone, and where it stores profiles, by its configuration and udev's rules.

The rules are those of core/boot/manager_settings. Here, the file that is the reason is found too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Optional

from kvmnet.core.boot.keyfile import KeyfileError, parse_keyfile
from kvmnet.core.boot.manager_settings import (
    BootDevice,
    ManagerSettings,
    matches_specs,
    merge_settings,
    split_specs,
)
from kvmnet.core.live.surroundings import ConfigFile, Surroundings, UnmanagedRule

_FOLDER = "/etc/NetworkManager/"
_STORE = "/etc/NetworkManager/system-connections"
#: udev's DEVTYPE of interfaces, by the types of their connection profiles. NICs and macvtaps have none.
_DEVICE_TYPES = {"bridge": "bridge", "bond": "bond", "vlan": "vlan"}


@dataclass(frozen=True)
class Obstacle:
    """Something in the configuration of the host: `reason` is what it is and where, `fix` what to do."""

    reason: str
    fix: str


def find_unmanaged_reason(device: BootDevice, surroundings: Surroundings) -> Optional[Obstacle]:
    """Return why NetworkManager would leave an interface alone, if it would."""
    rule = next((r for r in surroundings.unmanaged_rules if _applies(r, device)), None)
    settings = merge(surroundings)
    managed = device.udev_managed if rule is None else False
    if not settings.manages(replace(device, udev_managed=managed)):
        return (
            _find_in_unmanaged_devices(settings, device, surroundings)
            or _find_in_device_sections(settings, device, surroundings)
            or _describe_rule(rule, device)
        )
    if device.name in surroundings.ifupdown and "ifupdown" in settings.plugins:
        is_managed = (settings.value("ifupdown", "managed") or "").strip().lower() in ("true", "1", "yes", "on")
        if not is_managed:
            file = surroundings.ifupdown[device.name]
            return Obstacle(f"ifupdown configures it ({file})", f"remove {device.name} from {file}")
    return None


def merge(surroundings: Surroundings) -> ManagerSettings:
    """Return NetworkManager's configuration, as far as its files were read."""
    return merge_settings((file.path, file.text) for file in surroundings.manager_files)[0]


def find_other_store(surroundings: Surroundings) -> Optional[Obstacle]:
    """Return where NetworkManager stores new connection profiles, if not in /etc/NetworkManager/system-connections."""
    settings = merge(surroundings)
    path = (settings.value("keyfile", "path") or "").strip().rstrip("/")
    if path and path != _STORE:
        file = _find_file(surroundings, "keyfile", "path")
        return Obstacle(f"path={path} in {file}", f"remove this line from {file}, and restart NetworkManager")
    plugins = [plugin.strip() for plugin in settings.plugins]
    if "ifcfg-rh" in plugins and plugins.index("ifcfg-rh") < ([*plugins, "keyfile"]).index("keyfile"):
        file = _find_file(surroundings, "main", "plugins")
        return Obstacle(
            f"plugins={','.join(plugins)} in {file}", f"put keyfile first in {file}, and restart NetworkManager"
        )
    return None


def _applies(rule: UnmanagedRule, device: BootDevice) -> bool:
    named = not rule.names or any(fnmatchcase(device.name, pattern) for pattern in rule.names)
    return named and (not rule.types or _DEVICE_TYPES.get(device.type, "") in rule.types)


def _describe_rule(rule: Optional[UnmanagedRule], device: BootDevice) -> Optional[Obstacle]:
    if rule is None:
        return None
    pattern = "|".join(rule.names or rule.types)
    return Obstacle(
        f"NM_UNMANAGED for {pattern} in {rule.file}",
        f"exclude {device.name} there, and run `udevadm control --reload`",
    )


def _find_in_unmanaged_devices(
    settings: ManagerSettings, device: BootDevice, surroundings: Surroundings
) -> Optional[Obstacle]:
    if not matches_specs(split_specs(settings.value("keyfile", "unmanaged-devices") or ""), device):
        return None
    for file, groups in _read_backwards(surroundings):
        for key in ("unmanaged-devices+", "unmanaged-devices"):
            specs = split_specs(groups.get("keyfile", {}).get(key, ""))
            spec = next((s for s in specs if not s.startswith("except:") and matches_specs([s], device)), None)
            if spec is None and matches_specs(specs, device):  # exceptions alone: all other devices match
                spec = ";".join(specs)
            if spec is not None:
                fix = f"exclude {device.name} there (`except:interface-name:{device.name}`)"
                return Obstacle(f"unmanaged-devices={spec} in {_shorten(file)}", f"{fix}, {_RELOAD}")
    return None


_RELOAD = "and run `systemctl reload NetworkManager`"


def _find_in_device_sections(
    settings: ManagerSettings, device: BootDevice, surroundings: Surroundings
) -> Optional[Obstacle]:
    if settings.device_value(device, "managed") is None:
        return None
    for file, groups in _read_backwards(surroundings):
        for name, keys in groups.items():
            specs = keys.get("match-device")
            applies = specs is None or matches_specs(split_specs(specs), device)
            if name.startswith("device") and "managed" in keys and applies:
                fix = f"exclude {device.name} there (`match-device=…;except:interface-name:{device.name}`)"
                return Obstacle(f"[{name}] managed={keys['managed']} in {_shorten(file)}", f"{fix}, {_RELOAD}")
    return None


def _read_backwards(surroundings: Surroundings) -> Iterator[tuple[ConfigFile, dict[str, dict[str, str]]]]:
    """Yield the files with their groups, the last one first: it has precedence."""
    for file in reversed(surroundings.manager_files):
        try:
            yield file, parse_keyfile(file.text)
        except KeyfileError:
            continue


def _find_file(surroundings: Surroundings, section: str, key: str) -> str:
    """Return the last file that sets a key, as shown to the administrator."""
    files = [
        _shorten(f) for f, groups in _read_backwards(surroundings) if {key, f"{key}+"} & set(groups.get(section, {}))
    ]
    return files[0] if files else "NetworkManager's configuration"


def _shorten(file: ConfigFile) -> str:
    """Return a file's path, without NetworkManager's own folder in /etc."""
    return file.path.removeprefix(_FOLDER)
