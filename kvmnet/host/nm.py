"""NetworkManager by D-Bus: what nmstate cannot say.

One connection for all calls: starting `nmcli` for each costs a tenth of a second and more. Read in
NetworkManager's D-Bus reference; flags in `NMSettingsUpdate2Flags` and `NMSettingsAddConnection2Flags`.
"""

from __future__ import annotations

from typing import Any, Optional

from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.low_level import MessageType

from kvmnet.core.live import Profile

BUS = "org.freedesktop.NetworkManager"
ROOT = "/org/freedesktop/NetworkManager"
IN_MEMORY = 0x2
BLOCK_AUTOCONNECT = 0x20
ACTIVATED = 100

Settings = dict[str, dict[str, tuple[str, Any]]]
"""A connection profile as D-Bus has it: setting -> key -> (signature, value)."""


class NMError(Exception):
    """NetworkManager refused a call, or does not answer."""


class NetworkManager:
    """The calls that kvmnet makes. Close it after use (it is a context manager)."""

    def __init__(self) -> None:
        try:
            self._bus: DBusConnection = open_dbus_connection(bus="SYSTEM")
        except (OSError, KeyError) as error:
            raise NMError(f"the system bus does not answer: {error}") from error

    def __enter__(self) -> NetworkManager:
        return self

    def __exit__(self, *_: object) -> None:
        self._bus.close()

    def _call(self, path: str, interface: str, method: str, signature: str = "", body: tuple[Any, ...] = ()) -> Any:
        address = DBusAddress(path, bus_name=BUS, interface=interface)
        message = new_method_call(address, method, signature or None, body)
        # Asking must not start a NetworkManager that the operator has stopped.
        message.header.flags |= 2
        try:
            reply = self._bus.send_and_get_reply(message, timeout=30)
        except (OSError, TimeoutError) as error:
            raise NMError(f"NetworkManager does not answer {method}: {error}") from error
        if reply.header.message_type is MessageType.error:
            text = reply.body[0] if reply.body else reply.header.fields
            raise NMError(f"NetworkManager refused {method}: {text}")
        return reply.body[0] if len(reply.body) == 1 else reply.body

    def _get(self, path: str, interface: str, name: str) -> Any:
        return self._call(path, "org.freedesktop.DBus.Properties", "Get", "ss", (interface, name))[1]

    def version(self) -> str:
        """NetworkManager's version; raises NMError when it does not run."""
        return str(self._get(ROOT, BUS, "Version"))

    def checkpoints(self) -> list[str]:
        """Object paths of all checkpoints, other tools' too."""
        return [str(c) for c in self._get(ROOT, BUS, "Checkpoints")]

    def destroy_checkpoint(self, path: str) -> None:
        """Keep what was done since this checkpoint was made."""
        self._call(ROOT, BUS, "CheckpointDestroy", "o", (path,))

    def active_profiles(self) -> dict[str, Profile]:
        """The profile of each device that has an active one, by device name."""
        found = {}
        for path in self._get(ROOT, BUS, "ActiveConnections"):
            try:
                properties = self._call(
                    path, "org.freedesktop.DBus.Properties", "GetAll", "s", (f"{BUS}.Connection.Active",)
                )
                devices = properties["Devices"][1]
                if not devices:
                    continue
                name = str(self._get(devices[0], f"{BUS}.Device", "Interface"))
                found[name] = self._profile(properties["Connection"][1], name)
            except NMError:  # it went while it was read
                continue
        return found

    def _profile(self, path: str, device: str) -> Profile:
        connection = self.settings(path)["connection"]
        return Profile(
            uuid=connection["uuid"][1],
            id=connection["id"][1],
            type=connection["type"][1],
            device=device,
            file=str(self._get(path, f"{BUS}.Settings.Connection", "Filename")),
            interface_name=connection.get("interface-name", ("s", ""))[1],
            zone=connection.get("zone", ("s", ""))[1],
        )

    def settings(self, path: str) -> Settings:
        """A profile's settings, without its secrets."""
        found: Settings = self._call(path, f"{BUS}.Settings.Connection", "GetSettings")
        return found

    def profile_path(self, uuid: str) -> str:
        """The object path of a saved or in-memory profile; raises NMError when there is none."""
        return str(self._call(f"{ROOT}/Settings", f"{BUS}.Settings", "GetConnectionByUuid", "s", (uuid,)))

    def profile_file(self, uuid: str) -> str:
        """The keyfile of a profile, wherever it is."""
        return str(self._get(self.profile_path(uuid), f"{BUS}.Settings.Connection", "Filename"))

    def has_profile(self, uuid: str) -> bool:
        """Whether there is a profile of this UUID."""
        try:
            self.profile_path(uuid)
        except NMError:
            return False
        return True

    def interface_profiles(self) -> dict[tuple[str, str], list[str]]:
        """The UUIDs of all profiles that are bound to a name, active or not, by interface name and type."""
        found: dict[tuple[str, str], list[str]] = {}
        for path in self._call(f"{ROOT}/Settings", f"{BUS}.Settings", "ListConnections"):
            try:
                connection = self.settings(path)["connection"]
            except NMError:
                continue
            if "interface-name" in connection:
                key = str(connection["interface-name"][1]), str(connection["type"][1])
                found.setdefault(key, []).append(str(connection["uuid"][1]))
        return found

    def change_in_memory(self, uuid: str, changes: dict[str, dict[str, Optional[tuple[str, Any]]]]) -> None:
        """Change keys of a profile (None removes one) without touching its file or its device: what is on
        disk stays what a reboot finds. Secrets are carried over, since an update replaces them."""
        path = self.profile_path(uuid)
        settings = self.settings(path)
        for setting in ("802-1x",):
            if setting in settings:
                for name, secrets in self._call(
                    path, f"{BUS}.Settings.Connection", "GetSecrets", "s", (setting,)
                ).items():
                    settings.setdefault(name, {}).update(secrets)
        for setting, keys in changes.items():
            target = settings.setdefault(setting, {})
            for key, value in keys.items():
                if value is None:
                    target.pop(key, None)
                else:
                    target[key] = value
        self._call(path, f"{BUS}.Settings.Connection", "Update2", "a{sa{sv}}ua{sv}", (settings, IN_MEMORY, {}))

    def add_in_memory(self, settings: Settings) -> None:
        """Add a profile that no file holds and that does not start by itself."""
        self._call(
            f"{ROOT}/Settings",
            f"{BUS}.Settings",
            "AddConnection2",
            "a{sa{sv}}ua{sv}",
            (settings, IN_MEMORY | BLOCK_AUTOCONNECT, {}),
        )

    def save(self, uuid: str) -> str:
        """Move an in-memory profile to disk without touching its device; the file it is in then."""
        self._call(self.profile_path(uuid), f"{BUS}.Settings.Connection", "Save")
        return self.profile_file(uuid)

    def delete(self, uuid: str) -> str:
        """Delete a profile, on disk too, if there is one; the file that it was in (else nothing)."""
        if not self.has_profile(uuid):
            return ""
        path, file = self.profile_path(uuid), self.profile_file(uuid)
        self._call(path, f"{BUS}.Settings.Connection", "Delete")
        return file

    def manages(self, interface: str) -> bool:
        """Whether NetworkManager manages the device of this name; raises NMError when it does not know it."""
        device = self._call(ROOT, BUS, "GetDeviceByIpIface", "s", (interface,))
        return bool(self._get(device, f"{BUS}.Device", "Managed"))

    def activated(self, interface: str) -> bool:
        """Whether NetworkManager knows a device of this name and has brought it up wholly."""
        try:
            device = self._call(ROOT, BUS, "GetDeviceByIpIface", "s", (interface,))
            return bool(self._get(device, f"{BUS}.Device", "State") == ACTIVATED)
        except NMError:
            return False
