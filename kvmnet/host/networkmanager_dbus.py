"""Reads and changes NetworkManager over D-Bus: what nmstate cannot do.

All calls use one connection, since each start of `nmcli` takes a tenth of a second or more. Calls about many profiles
are sent together and not one after the other. The source is NetworkManager's D-Bus reference; the flags are those of
`NMSettingsUpdate2Flags` and `NMSettingsAddConnection2Flags`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional, TypeVar

from jeepney import DBusAddress, HeaderFields, Message, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.low_level import MessageType

from kvmnet.host import networkmanager_objects
from kvmnet.host.networkmanager_objects import BUS
from kvmnet.system.errors import HostError

ROOT = "/org/freedesktop/NetworkManager"
IN_MEMORY = 0x2
BLOCK_AUTOCONNECT = 0x20
#: NM_DEVICE_STATE_ACTIVATED
ACTIVATED = 100

_Value = TypeVar("_Value")
Settings = dict[str, dict[str, tuple[str, Any]]]
"""A connection profile as D-Bus has it: setting -> key -> (signature, value)."""
Changes = Mapping[str, Mapping[str, Optional[tuple[str, Any]]]]
"""Keys of a connection profile that get another value; None removes a key."""


#: Calls that wait for a reply at the same time. The system bus allows 128 for a connection (dbus-daemon(1)).
WINDOW = 64
#: For more devices than this, reading all objects at once is faster than two or three calls for each device.
MANY = 16


class NMError(Exception):
    """NetworkManager refused a call or did not reply."""


class Call(NamedTuple):
    """A D-Bus method call: the object's path, the interface, the method, and its arguments."""

    path: str
    interface: str
    method: str
    signature: str = ""
    body: tuple[Any, ...] = ()


class NameServers(NamedTuple):
    """The addresses of name servers, and the search domains."""

    servers: list[str]
    domains: list[str]


def _get(path: str, interface: str, name: str) -> Call:
    return Call(path, "org.freedesktop.DBus.Properties", "Get", "ss", (interface, name))


def _settings_of(path: str) -> Call:
    return Call(path, f"{BUS}.Settings.Connection", "GetSettings")


def _file_of(path: str) -> Call:
    return _get(path, f"{BUS}.Settings.Connection", "Filename")


def _path_of(uuid: str) -> Call:
    return Call(f"{ROOT}/Settings", f"{BUS}.Settings", "GetConnectionByUuid", "s", (uuid,))


class NetworkManager:
    """The connection to NetworkManager, with the calls that kvmnet needs. A context manager, which closes it."""

    def __init__(self) -> None:
        try:
            self._bus: DBusConnection = open_dbus_connection(bus="SYSTEM")
        except (OSError, KeyError) as error:
            raise NMError(f"cannot connect to the system bus: {error}") from error

    def __enter__(self) -> NetworkManager:
        return self

    def __exit__(self, *_: object) -> None:
        self._bus.close()

    def _call(self, path: str, interface: str, method: str, signature: str = "", body: tuple[Any, ...] = ()) -> Any:
        return self._all([Call(path, interface, method, signature, body)])[0]

    def _all(self, calls: Sequence[Call]) -> list[Any]:
        """Return the replies to all calls in their order. Raises the first refusal after all replies have arrived."""
        replies = self._each(calls)
        for reply in replies:
            if isinstance(reply, NMError):
                raise reply
        return replies

    def _each(self, calls: Sequence[Call]) -> list[Any]:
        """Return the replies to all calls in their order, with an NMError for each refused call.

        NetworkManager receives the calls in this order. Raises NMError if it does not reply.
        """
        replies: list[Any] = [None] * len(calls)
        waiting: dict[int, int] = {}
        sent = 0
        while sent < len(calls) or waiting:
            method = calls[min(waiting.values(), default=sent)].method
            try:
                while sent < len(calls) and len(waiting) < WINDOW:
                    serial = next(self._bus.outgoing_serial)
                    self._bus.send(_message(calls[sent]), serial=serial)
                    waiting[serial] = sent
                    sent += 1
                reply = self._bus.receive(timeout=30)
            except (OSError, TimeoutError) as error:
                raise NMError(f"no reply from NetworkManager to {method}: {error}") from error
            number = waiting.pop(reply.header.fields.get(HeaderFields.reply_serial, -1), None)
            if number is not None:
                replies[number] = _reply_value(reply, calls[number].method)
        return replies

    def _get(self, path: str, interface: str, name: str) -> Any:
        return self._all([_get(path, interface, name)])[0][1]

    def version(self) -> str:
        """Return NetworkManager's version. Raises NMError if it is not running."""
        return str(self._get(ROOT, BUS, "Version"))

    def checkpoints(self) -> list[str]:
        """Return the object paths of all checkpoints, including those of other tools."""
        return [str(c) for c in self._get(ROOT, BUS, "Checkpoints")]

    def rollback_timeout(self, path: str) -> int:
        """Return the seconds from a checkpoint's creation to its automatic rollback; 0 means never."""
        return int(self._get(path, f"{BUS}.Checkpoint", "RollbackTimeout"))

    def created(self, path: str) -> int:
        """Return when a checkpoint was created, in ms of CLOCK_BOOTTIME.

        NetworkManager numbers checkpoints from 1 again after a restart, so a path alone does not identify one.
        """
        return int(self._get(path, f"{BUS}.Checkpoint", "Created"))

    def destroy_checkpoint(self, path: str) -> None:
        """Destroy a checkpoint, so that the changes since its creation are kept."""
        self._call(ROOT, BUS, "CheckpointDestroy", "o", (path,))

    def settings(self, path: str) -> Settings:
        """Return the settings of a profile, without its secrets."""
        settings: Settings = self._all([_settings_of(path)])[0]
        return settings

    def plain_settings(self, uuids: Mapping[str, str]) -> dict[str, dict[str, dict[str, list[Any]]]]:
        """Return the settings of profiles as plain data: setting -> key -> [signature, value], by the keys of `uuids`.
        Profiles that do not exist, or that the user may not read, are left out."""
        paths = dict(zip(uuids, self._each([_path_of(uuid) for uuid in uuids.values()])))
        known = {name: str(path) for name, path in paths.items() if not isinstance(path, NMError)}
        replies = zip(known, self._each([_settings_of(path) for path in known.values()]))
        return {name: _as_plain_settings(reply) for name, reply in replies if not isinstance(reply, NMError)}

    def profile_path(self, uuid: str) -> str:
        """Return the object path of a profile, saved or in memory. Raises NMError if it does not exist."""
        return str(self._all([_path_of(uuid)])[0])

    def profile_file(self, uuid: str) -> str:
        """Return the path of a profile's keyfile."""
        return str(self._all([_file_of(self.profile_path(uuid))])[0][1])

    def has_profile(self, uuid: str) -> bool:
        """Whether a profile with this UUID exists."""
        try:
            self.profile_path(uuid)
        except NMError:
            return False
        return True

    def change_in_memory(self, uuid: str, changes: Changes) -> None:
        """Change keys of a profile in memory; None removes a key. Its file and its device are not changed, so a reboot
        finds the old profile. Secrets are read first, since an update without them would delete them."""
        path = self.profile_path(uuid)
        self._update_in_memory(path, _changed(self._settings_with_secrets(path), changes))

    def copy_in_memory(self, source: str, uuid: str, changes: Changes) -> None:
        """Create a copy of a profile (UUID `source`) with another UUID and changed keys, in memory. If a profile of
        this UUID exists, it gets the settings of the copy. No device is changed."""
        settings = _changed(self._settings_with_secrets(self.profile_path(source)), changes)
        settings["connection"].pop("timestamp", None)
        settings["connection"]["uuid"] = ("s", uuid)
        if self.has_profile(uuid):
            self._update_in_memory(self.profile_path(uuid), settings)
        else:
            target = (f"{ROOT}/Settings", f"{BUS}.Settings", "AddConnection2")
            self._call(*target, "a{sa{sv}}ua{sv}", (settings, IN_MEMORY, {}))

    def _settings_with_secrets(self, path: str) -> Settings:
        settings = self.settings(path)
        for setting in ("802-1x",):
            if setting in settings:
                for name, secrets in self._call(
                    path, f"{BUS}.Settings.Connection", "GetSecrets", "s", (setting,)
                ).items():
                    settings.setdefault(name, {}).update(secrets)
        return settings

    def _update_in_memory(self, path: str, settings: Settings) -> None:
        self._call(path, f"{BUS}.Settings.Connection", "Update2", "a{sa{sv}}ua{sv}", (settings, IN_MEMORY, {}))

    def activate(self, uuid: str, interface: str) -> None:
        """Start to activate a profile on a device. It replaces the profile that is active on the device."""
        device = self._call(ROOT, BUS, "GetDeviceByIpIface", "s", (interface,))
        self._call(ROOT, BUS, "ActivateConnection", "ooo", (self.profile_path(uuid), device, "/"))

    def value(self, uuid: str, setting: str, key: str) -> Any:
        """Return the value of a profile's key, or None if it has its default."""
        return self.settings(self.profile_path(uuid)).get(setting, {}).get(key, ("", None))[1]

    def applied_value(self, interface: str, setting: str, key: str) -> Any:
        """Return the value of a key with which a device was activated, or None if it was the default."""
        device = self._call(ROOT, BUS, "GetDeviceByIpIface", "s", (interface,))
        settings: Settings = self._call(device, f"{BUS}.Device", "GetAppliedConnection", "u", (0,))[0]
        return settings.get(setting, {}).get(key, ("", None))[1]

    def reapply(self, interface: str) -> None:
        """Apply the changed profile of a device without deactivating the device."""
        device = self._call(ROOT, BUS, "GetDeviceByIpIface", "s", (interface,))
        self._call(device, f"{BUS}.Device", "Reapply", "a{sa{sv}}tu", ({}, 0, 0))

    def drop_in_memory(self, uuid: str, setting: str, key: str, names: Sequence[str]) -> None:
        """Remove entries from a key that is a mapping (the options of a bond), like `change_in_memory`."""
        signature, value = self.settings(self.profile_path(uuid))[setting][key]
        remaining = {name: text for name, text in value.items() if name not in names}
        self.change_in_memory(uuid, {setting: {key: (signature, remaining)}})

    def add_in_memory(self, profiles: Iterable[Settings]) -> None:
        """Add profiles in memory only, without activating them."""
        flags = IN_MEMORY | BLOCK_AUTOCONNECT
        path, interface, signature = f"{ROOT}/Settings", f"{BUS}.Settings", "a{sa{sv}}ua{sv}"
        self._all([Call(path, interface, "AddConnection2", signature, (p, flags, {})) for p in profiles])

    def save(self, uuids: Sequence[str]) -> list[str]:
        """Write in-memory profiles to disk in this order and return their files. No device is changed. NetworkManager
        does not sync the files."""
        paths = self._all([_path_of(uuid) for uuid in uuids])
        self._all([Call(path, f"{BUS}.Settings.Connection", "Save") for path in paths])
        return self._files(paths)

    def files(self, uuids: Sequence[str]) -> list[str]:
        """Return the paths of the profiles' keyfiles."""
        return self._files(self._all([_path_of(uuid) for uuid in uuids]))

    def _files(self, paths: Sequence[str]) -> list[str]:
        return [str(file[1]) for file in self._all([_file_of(path) for path in paths])]

    def delete(self, uuid: str) -> str:
        """Delete a profile in memory and on disk; return the path of its file, or "" if there is no such profile."""
        if not self.has_profile(uuid):
            return ""
        path, file = self.profile_path(uuid), self.profile_file(uuid)
        self._call(path, f"{BUS}.Settings.Connection", "Delete")
        return file

    def name_servers(self) -> Optional[NameServers]:
        """Return the name servers and search domains of all connections and of the global settings, or None if
        NetworkManager does not manage them (`dns=none` in NetworkManager.conf(5))."""
        if self._get(f"{ROOT}/DnsManager", f"{BUS}.DnsManager", "Mode") == "none":
            return None
        rows = self._get(f"{ROOT}/DnsManager", f"{BUS}.DnsManager", "Configuration")

        def values(key: str) -> list[str]:
            return [str(value) for row in rows for value in row.get(key, ("as", []))[1]]

        return NameServers(values("nameservers"), values("domains"))

    def is_managed(self, interface: str) -> bool:
        """Whether NetworkManager manages the device of this name. Raises NMError if it does not know the device."""
        device = self._call(ROOT, BUS, "GetDeviceByIpIface", "s", (interface,))
        return bool(self._get(device, f"{BUS}.Device", "Managed"))

    def activated(self, interface: str) -> bool:
        """Whether NetworkManager has a device of this name and has activated it completely."""
        try:
            return self.states([interface]) == {interface: ACTIVATED}
        except NMError:
            return False

    def states(self, names: Iterable[str]) -> dict[str, int]:
        """Return the state (NMDeviceState) of each existing device by its name."""
        names = list(names)
        if len(names) > MANY:
            states = _read_all(networkmanager_objects.states)
            return {name: states[name] for name in names if name in states}
        return {name: int(state) for name, state in self._get_of_each(self._devices(names), f"{BUS}.Device", "State")}

    def active(self, names: Iterable[str]) -> dict[str, str]:
        """Return the UUID of each device's active profile by the device's name; without those that have none."""
        names = list(names)
        if len(names) > MANY:
            uuids = _read_all(networkmanager_objects.active)
            return {name: uuids[name] for name in names if name in uuids}
        connections = self._get_of_each(self._devices(names), f"{BUS}.Device", "ActiveConnection")
        active = {name: path for name, path in connections if path != "/"}
        return dict(self._get_of_each(active, f"{BUS}.Connection.Active", "Uuid"))

    def _devices(self, names: Iterable[str]) -> dict[str, str]:
        """Return the object path of each existing device by its name. A device that is only in a profile does not
        count."""
        unique_names = list(dict.fromkeys(names))
        paths = self._each([Call(ROOT, BUS, "GetDeviceByIpIface", "s", (name,)) for name in unique_names])
        return {name: str(path) for name, path in zip(unique_names, paths) if not isinstance(path, NMError)}

    def _get_of_each(self, paths: dict[str, str], interface: str, property_name: str) -> list[tuple[str, Any]]:
        """Return a property of each object with the object's key in `paths`, without objects that no longer exist."""
        values = self._each([_get(path, interface, property_name) for path in paths.values()])
        return [(key, value[1]) for key, value in zip(paths, values) if not isinstance(value, NMError)]


def _read_all(read: Callable[[networkmanager_objects.Objects], _Value]) -> _Value:
    """Read all objects of NetworkManager at once, and return what `read` takes from them. Raises NMError."""
    try:
        return read(networkmanager_objects.read_objects())
    except (HostError, LookupError, ValueError) as error:
        raise NMError(f"no reply from NetworkManager: {error!r}") from error


def _as_plain_settings(settings: Settings) -> dict[str, dict[str, list[Any]]]:
    return {
        setting: {key: [signature, _as_plain(value)] for key, (signature, value) in keys.items()}
        for setting, keys in settings.items()
    }


def _as_plain(value: Any) -> Any:
    """Return a D-Bus value as JSON can have it: bytes as hexadecimal digits, variants in it without their types."""
    if isinstance(value, bytes):
        return value.hex(":")
    if isinstance(value, dict):
        return {str(key): _as_plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):  # a variant
        return _as_plain(value[1])
    if isinstance(value, (list, tuple)):
        return [_as_plain(item) for item in value]
    return value


def _changed(settings: Settings, changes: Changes) -> Settings:
    """Return the settings with the changes, which are made in place."""
    for setting, keys in changes.items():
        target = settings.setdefault(setting, {})
        for key, value in keys.items():
            if value is None:
                target.pop(key, None)
            else:
                target[key] = value
    return settings


def _message(call: Call) -> Message:
    address = DBusAddress(call.path, bus_name=BUS, interface=call.interface)
    message = new_method_call(address, call.method, call.signature or None, call.body)
    # NO_AUTO_START: a call must not start a NetworkManager that an administrator stopped.
    message.header.flags |= 2
    return message


def _reply_value(reply: Message, method: str) -> Any:
    """Return the value in a reply, or an NMError."""
    if reply.header.message_type is MessageType.error:
        text = reply.body[0] if reply.body else reply.header.fields
        return NMError(f"NetworkManager refused {method}: {text}")
    return reply.body[0] if len(reply.body) == 1 else reply.body
