"""NetworkManager's connection profiles, all of them at once.

By two programs, whatever their number: a host of 30 VLAN bridges has 62, and asking for each of them by D-Bus from
Python took longer than nmstate's own reading of the whole host (12 s to its 11 on a busy machine of the lab; these two
1 s). What is read and what is told by one name may change in between: then both are asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvmnet import rescue
from kvmnet.core.live import Profile
from kvmnet.host.nm import BUS, NMError

#: How often it is tried when profiles come and go while they are read.
TRIES = 3
_KEYS = ("uuid", "id", "type", "interface-name", "zone")


def active_profiles() -> dict[str, Profile]:
    """The profile of each device that has an active one, by device name; raises NMError."""
    return {p.device: p for p in _profiles() if p.device}


def bound_profiles() -> dict[tuple[str, str], list[str]]:
    """The UUIDs of all profiles that are bound to a name, active or not, by interface name and type; raises NMError."""
    found: dict[tuple[str, str], list[str]] = {}
    for profile in _profiles():
        if profile.interface_name and profile.uuid not in found.get((profile.interface_name, profile.type), []):
            found.setdefault((profile.interface_name, profile.type), []).append(profile.uuid)
    return found


def device_states() -> dict[str, int]:
    """How far each device is, by its name (NMDeviceState; 100: activated); raises NMError."""
    try:
        objects = _objects()
    except (rescue.Failed, ValueError, LookupError) as error:
        raise NMError(f"NetworkManager does not tell its devices: {error}") from error
    states: dict[str, int] = {}
    for found in objects.values():
        if about := found.get(f"{BUS}.Device"):
            name, state = str(about["Interface"]["data"]), int(about["State"]["data"])
            # a bridge that is gone, but whose profile is not, has an object still: of the NIC's name that it had
            states[name] = max(state, states.get(name, 0))
    return states


def _objects() -> dict[str, Any]:
    words = ("busctl", "--json=short", "call", BUS, "/org/freedesktop", "org.freedesktop.DBus.ObjectManager")
    objects: dict[str, Any] = rescue.run_json(*words, "GetManagedObjects")["data"][0]
    return objects


def _profiles() -> list[Profile]:
    """Every profile, with the device that it is active on (once for each, where there are several), or none."""
    error = ""
    for _ in range(TRIES):
        try:
            return list(_read())
        except (rescue.Failed, ValueError, LookupError) as why:
            error = str(why) or repr(why)
    raise NMError(f"NetworkManager does not tell its profiles: {error}")


def _read() -> Iterator[Profile]:
    objects = _objects()
    files: dict[str, str] = {}
    names: dict[str, str] = {}
    devices: dict[str, list[str]] = {}
    for path, interfaces in objects.items():
        if f"{BUS}.Settings.Connection" in interfaces:
            files[path] = str(interfaces[f"{BUS}.Settings.Connection"]["Filename"]["data"])
        if f"{BUS}.Device" in interfaces:
            names[path] = str(interfaces[f"{BUS}.Device"]["Interface"]["data"])
    for interfaces in objects.values():
        active = interfaces.get(f"{BUS}.Connection.Active")
        if active:
            for device in active["Devices"]["data"][:1]:
                devices.setdefault(active["Connection"]["data"], []).append(names[device])
    settings = _settings(list(files))
    for path, held in settings.items():
        for device in devices.get(path, [""]):
            yield Profile(
                held["uuid"], held["id"], held["type"], device, files[path], held["interface-name"], held["zone"]
            )


def _settings(paths: list[str]) -> dict[str, dict[str, str]]:
    """What `connection` says in each of these profiles; raises Failed when one of them is gone."""
    if not paths:
        return {}
    fields = ",".join(f"connection.{key}" for key in _KEYS)
    told = rescue.run(
        "nmcli", "-t", "-e", "no", "-f", fields, "connection", "show", *(w for p in paths for w in ("path", p))
    )
    rows: list[dict[str, str]] = []
    for line in told.splitlines():
        key, _, value = line.partition(":")
        if key == "connection.uuid":
            rows.append({})
        if line:
            rows[-1][key.partition(".")[2]] = value
    if len(rows) != len(paths):
        raise ValueError(f"{len(paths)} profiles, of which nmcli tells {len(rows)}")
    return dict(zip(paths, rows))
