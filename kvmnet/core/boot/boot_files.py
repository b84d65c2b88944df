"""What the next boot is computed from: the files on the host's disk, and the NICs, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kvmnet.core.boot.manager_settings import BootDevice, ManagerSettings
from kvmnet.core.boot.stored_profile import StoredProfile

#: NetworkManager's folders of keyfiles. A profile in a later one is hidden by one of the same UUID in an earlier one
#: (nms-keyfile-storage.c). What is in /run does not survive a boot, but for what is written there again at each boot.
RUN_FOLDER = "/run/NetworkManager/system-connections"
ETC_FOLDER = "/etc/NetworkManager/system-connections"
LIB_FOLDER = "/usr/lib/NetworkManager/system-connections"
#: The profiles of the plugin ifcfg-rh (EL 9). Of two plugins, that of keyfiles has precedence there by default.
IFCFG_FOLDER = "/etc/sysconfig/network-scripts"


@dataclass(frozen=True)
class BootFiles:
    """The files that the next boot reads.

    profiles: the stored profiles of all folders. hidden: UUIDs that a `.nmmeta` file in /etc marks as deleted.
    settings: NetworkManager's configuration. version: NetworkManager's.
    timestamps: when each profile was active last, by UUID. active: the UUID of each device's active profile now.
    nics: the NICs, with their names at boot. options: those of the kernel command line.
    unrecognized: names of interfaces that another program's files configure (/etc/network/interfaces).
    problems: files that NetworkManager ignores, or that could not be read, each with the reason.
    """

    profiles: tuple[StoredProfile, ...] = ()
    hidden: tuple[str, ...] = ()
    settings: ManagerSettings = field(default_factory=ManagerSettings)
    timestamps: Mapping[str, int] = field(default_factory=dict)
    active: Mapping[str, str] = field(default_factory=dict)
    nics: tuple[BootDevice, ...] = ()
    options: tuple[str, ...] = ()
    unrecognized: tuple[str, ...] = ()
    version: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def effective(self) -> dict[str, StoredProfile]:
        """The profiles that NetworkManager will have, by UUID: of several files with one UUID, that of the first
        folder, there the newest file."""
        return select_effective(self.profiles, self.hidden)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BootFiles:
        """Return the object from its JSON form."""
        return cls(
            profiles=tuple(StoredProfile.from_json(row) for row in data["profiles"]),
            hidden=tuple(data["hidden"]),
            settings=ManagerSettings(data["settings"], tuple(data["no_auto_default"])),
            timestamps=data["timestamps"],
            active=data["active"],
            nics=tuple(BootDevice(**row) for row in data["nics"]),
            options=tuple(data["options"]),
            unrecognized=tuple(data["unrecognized"]),
            version=tuple(data["version"]),
            problems=tuple(data["problems"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object as plain data for JSON."""
        return {
            "profiles": [profile.to_json() for profile in self.profiles],
            "hidden": list(self.hidden),
            "settings": {name: dict(keys) for name, keys in self.settings.sections.items()},
            "no_auto_default": list(self.settings.no_auto_default),
            "timestamps": dict(self.timestamps),
            "active": dict(self.active),
            "nics": [vars(nic) for nic in self.nics],
            "options": list(self.options),
            "unrecognized": list(self.unrecognized),
            "version": list(self.version),
            "problems": list(self.problems),
        }


def select_effective(profiles: Iterable[StoredProfile], hidden: Iterable[str] = ()) -> dict[str, StoredProfile]:
    """Return the profiles that count, by UUID (see `BootFiles.effective`)."""
    deleted = set(hidden)
    effective: dict[str, StoredProfile] = {}
    for profile in sorted(profiles, key=lambda p: (_rank(p), -p.mtime, p.file)):
        if profile.uuid not in deleted or _rank(profile) == 0:
            effective.setdefault(profile.uuid, profile)
    return effective


def _rank(profile: StoredProfile) -> int:
    """Return the rank of a profile's folder; [keyfile] path in NetworkManager's configuration replaces that in /etc."""
    return {RUN_FOLDER: 0, LIB_FOLDER: 2, IFCFG_FOLDER: 3}.get(profile.file.rpartition("/")[0], 1)
