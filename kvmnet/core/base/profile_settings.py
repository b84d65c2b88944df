"""The settings of connection profiles that kvmnet compares and sets itself: one row for each.

nmstate has no key for some settings of NetworkManager's profiles, or derives them from others. A bundle states those
that the definition wants (`Bundle.profile_settings`). Two more rules use the table: the MAC address that kvmnet has
chosen for an interface must be in its profile too, and a setting that left the definition returns to its default.

nmstate 2.2 merges into an existing profile and keeps what it does not know, so a setting is changed in memory before
nmstate runs, and nmstate activates it. It overwrites one row if it is given a bridge's ports: see
`planning/sent_ports`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.base.nmstate import NM_ETHERNET


@dataclass(frozen=True)
class ProfileSetting:
    """A setting of a connection profile.

    name: as nmcli prints it (nm-settings-nmcli(5)).
    setting, key, signature: as D-Bus has it (nm-settings-dbus(5)); `b` for yes and no, `ay` for a MAC address, `s`
        for text.
    default: its value when the profile does not contain it.
    kernel: the name of its live value in `ip -d -j link` (`info_data`); None where nmstate's state shows it.
    other_key: another key for the same value, which NetworkManager adds to what it returns; empty if there is none.
    is_kept: whether a value that left the definition stays; otherwise the default is set again.
    """

    name: str
    setting: str
    key: str
    signature: str
    default: Any
    kernel: Optional[str] = None
    other_key: str = ""
    is_kept: bool = False

    def from_nmcli(self, text: str) -> Any:
        """Return the value that nmcli prints; empty text is the default."""
        if not text:
            return self.default
        return text == "yes" if self.signature == "b" else self._normalize(text)

    def from_keyfile(self, text: str) -> Any:
        """Return the value in a keyfile (nm-settings-keyfile(5)), whose key has the name of D-Bus; empty text is the
        default."""
        if not text:
            return self.default
        return text.lower() in ("true", "yes", "on", "1") if self.signature == "b" else self._normalize(text)

    def _normalize(self, text: str) -> str:
        """Return a MAC address in lower case, and any other text as it is."""
        return text.lower() if self.signature == "ay" else text

    def from_dbus(self, value: Any) -> Any:
        """Return the value that NetworkManager has on D-Bus; None is the default."""
        if value is None:
            return self.default
        return ":".join(f"{byte:02x}" for byte in bytes(value)) if self.signature == "ay" else value

    def to_dbus(self, value: Any) -> dict[str, Optional[tuple[str, Any]]]:
        """Return the keys to change on D-Bus with signature and value. None removes a key: the default has none."""
        other = {self.other_key: None} if self.other_key else {}
        if value == self.default:
            return {self.key: None, **other}
        return {
            self.key: (self.signature, bytes.fromhex(value.replace(":", "")) if self.signature == "ay" else value),
            **other,
        }

    def from_kernel(self, options: Mapping[str, Any]) -> Optional[Any]:
        """Return the live value among the options of a link; None if the kernel does not show it."""
        value = options.get(self.kernel or "")
        return bool(value) if value is not None and self.signature == "b" else value

    def to_kernel(self, value: Any) -> Any:
        """Return what `ip -d -j link` shows for a value."""
        return int(value) if self.signature == "b" else value

    def is_valid(self, value: Any) -> bool:
        """Whether a bundle may contain this value."""
        return isinstance(value, bool if self.signature == "b" else str)


#: nmstate derives it from the VLANs of the ports that it is given, and has no key for it.
VLAN_FILTERING = ProfileSetting("bridge.vlan-filtering", "bridge", "vlan-filtering", "b", False, "vlan_filtering")
#: nmstate sets it for each interface that it is given. A profile that it was not given may have the live MAC address
#: by chance: the next activation would choose another one.
CLONED_MAC = ProfileSetting(
    f"{NM_ETHERNET}.cloned-mac-address",
    NM_ETHERNET,
    "cloned-mac-address",
    "ay",
    "",
    other_key="assigned-mac-address",
)

#: firewalld's zone. Its live value is firewalld's. NetworkManager changes the live zone as soon as the profile changes.
ZONE = ProfileSetting("connection.zone", "connection", "zone", "s", "", is_kept=True)

#: All of them by name.
PROFILE_SETTINGS = {row.name: row for row in (VLAN_FILTERING, CLONED_MAC, ZONE)}
