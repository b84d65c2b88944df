"""NetworkManager by D-Bus: what nmstate cannot say.

One connection for all calls: starting `nmcli` for each costs a tenth of a second and more. What is asked of each of
many profiles is asked at once, not one after the other. Read in NetworkManager's D-Bus reference; flags in
`NMSettingsUpdate2Flags` and `NMSettingsAddConnection2Flags`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
ACTIVATED = 100

_Seen = TypeVar("_Seen")
Settings = dict[str, dict[str, tuple[str, Any]]]
"""A connection profile as D-Bus has it: setting -> key -> (signature, value)."""


#: Calls under way at once: the system bus has no more than 128 answers of a connection pending (dbus-daemon(1)).
WINDOW = 64
#: Of more devices than this one look at all objects is less work for everybody than two and three calls for each.
MANY = 16


class NMError(Exception):
    """NetworkManager refused a call, or does not answer."""


class Call(NamedTuple):
    """A method call: of which object, by which interface, with which arguments."""

    path: str
    interface: str
    method: str
    signature: str = ""
    body: tuple[Any, ...] = ()


class NameServers(NamedTuple):
    """Addresses, and the domains that names are looked for in."""

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
        return self._all([Call(path, interface, method, signature, body)])[0]

    def _all(self, calls: Sequence[Call]) -> list[Any]:
        """The answers to all calls, in their order; raises the first refusal, when all have been answered."""
        answers = self._each(calls)
        for answer in answers:
            if isinstance(answer, NMError):
                raise answer
        return answers

    def _each(self, calls: Sequence[Call]) -> list[Any]:
        """The same, with the refusals in their places. NetworkManager takes them in this order. Raises NMError when
        it does not answer."""
        answers: list[Any] = [None] * len(calls)
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
                raise NMError(f"NetworkManager does not answer {method}: {error}") from error
            number = waiting.pop(reply.header.fields.get(HeaderFields.reply_serial, -1), None)
            if number is not None:
                answers[number] = _answer(reply, calls[number].method)
        return answers

    def _get(self, path: str, interface: str, name: str) -> Any:
        return self._all([_get(path, interface, name)])[0][1]

    def version(self) -> str:
        """NetworkManager's version; raises NMError when it does not run."""
        return str(self._get(ROOT, BUS, "Version"))

    def checkpoints(self) -> list[str]:
        """Object paths of all checkpoints, other tools' too."""
        return [str(c) for c in self._get(ROOT, BUS, "Checkpoints")]

    def lasts(self, path: str) -> int:
        """Seconds after which NetworkManager rolls this checkpoint back by itself, from its beginning; 0: never."""
        return int(self._get(path, f"{BUS}.Checkpoint", "RollbackTimeout"))

    def created(self, path: str) -> int:
        """When this checkpoint was made (ms of CLOCK_BOOTTIME). A NetworkManager that was started anew begins its
        numbers anew, so that another's may have the path of one that is gone."""
        return int(self._get(path, f"{BUS}.Checkpoint", "Created"))

    def destroy_checkpoint(self, path: str) -> None:
        """Keep what was done since this checkpoint was made."""
        self._call(ROOT, BUS, "CheckpointDestroy", "o", (path,))

    def settings(self, path: str) -> Settings:
        """A profile's settings, without its secrets."""
        found: Settings = self._all([_settings_of(path)])[0]
        return found

    def profile_path(self, uuid: str) -> str:
        """The object path of a saved or in-memory profile; raises NMError when there is none."""
        return str(self._all([_path_of(uuid)])[0])

    def profile_file(self, uuid: str) -> str:
        """The keyfile of a profile, wherever it is."""
        return str(self._all([_file_of(self.profile_path(uuid))])[0][1])

    def has_profile(self, uuid: str) -> bool:
        """Whether there is a profile of this UUID."""
        try:
            self.profile_path(uuid)
        except NMError:
            return False
        return True

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

    def value(self, uuid: str, setting: str, key: str) -> Any:
        """A key of a profile; None where it has its default."""
        return self.settings(self.profile_path(uuid)).get(setting, {}).get(key, ("", None))[1]

    def reapply(self, interface: str) -> None:
        """Have a device do what its profile has come to say, without taking it down."""
        device = self._call(ROOT, BUS, "GetDeviceByIpIface", "s", (interface,))
        self._call(device, f"{BUS}.Device", "Reapply", "a{sa{sv}}tu", ({}, 0, 0))

    def drop_in_memory(self, uuid: str, setting: str, key: str, names: Sequence[str]) -> None:
        """Take entries out of a key that is a mapping (a bond's options), like `change_in_memory`."""
        signature, value = self.settings(self.profile_path(uuid))[setting][key]
        kept = {name: text for name, text in value.items() if name not in names}
        self.change_in_memory(uuid, {setting: {key: (signature, kept)}})

    def add_in_memory(self, profiles: Iterable[Settings]) -> None:
        """Add profiles that no file holds and that do not start by themselves."""
        flags = IN_MEMORY | BLOCK_AUTOCONNECT
        path, interface, signature = f"{ROOT}/Settings", f"{BUS}.Settings", "a{sa{sv}}ua{sv}"
        self._all([Call(path, interface, "AddConnection2", signature, (p, flags, {})) for p in profiles])

    def save(self, uuids: Sequence[str]) -> list[str]:
        """Move in-memory profiles to disk, in this order, without touching a device; the files they are in then.
        NetworkManager does not sync them."""
        paths = self._all([_path_of(uuid) for uuid in uuids])
        self._all([Call(path, f"{BUS}.Settings.Connection", "Save") for path in paths])
        return self._files(paths)

    def files(self, uuids: Sequence[str]) -> list[str]:
        """The keyfiles that hold these profiles, wherever they are."""
        return self._files(self._all([_path_of(uuid) for uuid in uuids]))

    def _files(self, paths: Sequence[str]) -> list[str]:
        return [str(file[1]) for file in self._all([_file_of(path) for path in paths])]

    def delete(self, uuid: str) -> str:
        """Delete a profile, on disk too, if there is one; the file that it was in (else nothing)."""
        if not self.has_profile(uuid):
            return ""
        path, file = self.profile_path(uuid), self.profile_file(uuid)
        self._call(path, f"{BUS}.Settings.Connection", "Delete")
        return file

    def name_servers(self) -> Optional[NameServers]:
        """What it resolves names with, of all connections and its global settings; None where resolving is not its
        business (`dns=none` in NetworkManager.conf(5))."""
        if self._get(f"{ROOT}/DnsManager", f"{BUS}.DnsManager", "Mode") == "none":
            return None
        rows = self._get(f"{ROOT}/DnsManager", f"{BUS}.DnsManager", "Configuration")

        def told(key: str) -> list[str]:
            return [str(value) for row in rows for value in row.get(key, ("as", []))[1]]

        return NameServers(told("nameservers"), told("domains"))

    def manages(self, interface: str) -> bool:
        """Whether NetworkManager manages the device of this name; raises NMError when it does not know it."""
        device = self._call(ROOT, BUS, "GetDeviceByIpIface", "s", (interface,))
        return bool(self._get(device, f"{BUS}.Device", "Managed"))

    def activated(self, interface: str) -> bool:
        """Whether NetworkManager knows a device of this name and has brought it up wholly."""
        try:
            return self.states([interface]) == {interface: ACTIVATED}
        except NMError:
            return False

    def states(self, names: Iterable[str]) -> dict[str, int]:
        """How far each device is (NMDeviceState), by its name; of those that are there."""
        names = list(names)
        if len(names) > MANY:
            states = _seen(networkmanager_objects.states)
            return {name: states[name] for name in names if name in states}
        return {name: int(state) for name, state in self._of_each(self._devices(names), f"{BUS}.Device", "State")}

    def active(self, names: Iterable[str]) -> dict[str, str]:
        """The UUID of the profile that is active on each device, by its name; of those that have one."""
        names = list(names)
        if len(names) > MANY:
            uuids = _seen(networkmanager_objects.active)
            return {name: uuids[name] for name in names if name in uuids}
        found = self._of_each(self._devices(names), f"{BUS}.Device", "ActiveConnection")
        active = {name: path for name, path in found if path != "/"}
        return dict(self._of_each(active, f"{BUS}.Connection.Active", "Uuid"))

    def _devices(self, names: Iterable[str]) -> dict[str, str]:
        """The object path of each device that is there, by its name: not of those whose profile alone is."""
        asked = list(dict.fromkeys(names))
        paths = self._each([Call(ROOT, BUS, "GetDeviceByIpIface", "s", (name,)) for name in asked])
        return {name: str(path) for name, path in zip(asked, paths) if not isinstance(path, NMError)}

    def _of_each(self, paths: dict[str, str], interface: str, name: str) -> list[tuple[str, Any]]:
        """A property of each object, beside what the object is called here; less those that are gone meanwhile."""
        values = self._each([_get(path, interface, name) for path in paths.values()])
        return [(called, value[1]) for called, value in zip(paths, values) if not isinstance(value, NMError)]


def _seen(read: Callable[[networkmanager_objects.Objects], _Seen]) -> _Seen:
    """What `read` finds in one look at all objects."""
    try:
        return read(networkmanager_objects.look())
    except (HostError, LookupError, ValueError) as error:
        raise NMError(f"NetworkManager does not answer: {error!r}") from error


def _message(call: Call) -> Message:
    address = DBusAddress(call.path, bus_name=BUS, interface=call.interface)
    message = new_method_call(address, call.method, call.signature or None, call.body)
    # Asking must not start a NetworkManager that the operator has stopped.
    message.header.flags |= 2
    return message


def _answer(reply: Message, method: str) -> Any:
    if reply.header.message_type is MessageType.error:
        text = reply.body[0] if reply.body else reply.header.fields
        return NMError(f"NetworkManager refused {method}: {text}")
    return reply.body[0] if len(reply.body) == 1 else reply.body
