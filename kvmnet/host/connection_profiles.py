"""NetworkManager's connection profiles, all of them at once.

By two programs, whatever their number: a host of 30 VLAN bridges has 62, and asking for each of them by D-Bus from
Python took longer than nmstate's own reading of the whole host (12 s to its 11 on a busy machine of the lab; these two
1 s). What is read and what is told by one name may change in between: then both are asked again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kvmnet.core.live.kernel_only import Managed
from kvmnet.core.live.live_host import Profile
from kvmnet.host import networkmanager_objects
from kvmnet.host.networkmanager_objects import BUS, Objects
from kvmnet.system import programs
from kvmnet.system.errors import HostError

#: By what NetworkManager tells of a lease who has asked for it (NetworkManager 1.42 and 1.52), for our words.
_LEASE_OPTIONS = (
    ("client_id", "4", "dhcp_client_identifier"),
    ("duid", "6", "dhcp6_client_id"),
    ("iaid", "6", "iaid"),
)

#: How often it is tried when profiles come and go while they are read.
TRIES = 3
#: What nmcli is asked for; of a setting that a profile does not have (a bridge's Ethernet, a port's IP) it prints
#: nothing. `connection.master` is what NetworkManager before 1.46 calls the controller, and later ones know still.
_FIELDS = (
    *(f"connection.{key}" for key in ("uuid", "id", "type", "interface-name", "zone")),
    *(f"connection.{key}" for key in ("autoconnect", "autoconnect-priority", "master")),
    "802-3-ethernet.mac-address",
    "match.interface-name",
    "ipv4.method",
    "ipv6.method",
    *("ipv4.dhcp-client-id", "ipv4.dhcp-iaid", "ipv6.dhcp-duid", "ipv6.dhcp-iaid"),
    "ipv4.routing-rules",
    "ipv6.routing-rules",
)
#: NM_ACTIVATION_STATE_FLAG_EXTERNAL
EXTERNAL = 0x80


@dataclass(frozen=True)
class Manager:
    """NetworkManager in one look: every `profile`, with the device that it is active on (once for each, where there are
    several), or none; and its `devices` by name."""

    profiles: tuple[Profile, ...]
    devices: dict[str, Managed]

    @property
    def active(self) -> dict[str, Profile]:
        """The profile of each device that has an active one, by device name."""
        return {p.device: p for p in self.profiles if p.device}

    @property
    def idle(self) -> tuple[Profile, ...]:
        """The profiles that are active on no device."""
        return tuple(p for p in self.profiles if not p.device)


def bound_profiles(profiles: Iterable[Profile]) -> dict[tuple[str, str], list[str]]:
    """The UUIDs of profiles that are bound to a name, active or not, by interface name and type."""
    found: dict[tuple[str, str], list[str]] = {}
    for profile in profiles:
        if profile.interface_name and profile.uuid not in found.get((profile.interface_name, profile.type), []):
            found.setdefault((profile.interface_name, profile.type), []).append(profile.uuid)
    return found


def _asking(seen: Objects, device: str) -> dict[str, str]:
    """By what a device asks for addresses: as it really is, whatever its profile leaves to NetworkManager."""
    found = {}
    for word, family, option in _LEASE_OPTIONS:
        lease = seen[device][f"{BUS}.Device"].get(f"Dhcp{family}Config", {}).get("data")
        options = seen.get(lease, {}).get(f"{BUS}.DHCP{family}Config", {}).get("Options", {}).get("data", {})
        found[word] = str(options.get(option, {}).get("data", "")).lower()
    return found


def read_manager() -> Manager:
    """The look; raises Failed, which names the program that does not tell and why: NetworkManager may run all the
    same."""
    error = ""
    for _ in range(TRIES):
        try:
            return _read()
        except (HostError, ValueError, LookupError) as why:
            error = str(why) or repr(why)
    raise HostError(f"NetworkManager's profiles: {error}")


def _read() -> Manager:
    seen = networkmanager_objects.look()
    files: dict[str, str] = {}
    there = networkmanager_objects.devices(seen)
    active: dict[str, list[tuple[str, bool, dict[str, str]]]] = {}
    for path, interfaces in seen.items():
        if f"{BUS}.Settings.Connection" in interfaces:
            files[path] = str(interfaces[f"{BUS}.Settings.Connection"]["Filename"]["data"])
    for interfaces in seen.values():
        if about := interfaces.get(f"{BUS}.Connection.Active"):
            external = bool(int(about["StateFlags"]["data"]) & EXTERNAL)
            for device in about["Devices"]["data"][:1]:
                active.setdefault(about["Connection"]["data"], []).append(
                    (there[device][0], external, _asking(seen, device))
                )
    profiles = []
    devices = {name: Managed(state) for name, state in networkmanager_objects.states(seen).items()}
    for path, held in _settings(list(files)).items():
        methods = held.get("ipv4.method", ""), held.get("ipv6.method", "")
        for device, external, asking in active.get(path, [("", False, {})]):
            profiles.append(_profile(held, device, files[path], asking))
            if device:
                devices[device] = Managed(devices[device].state, methods, external)
    return Manager(tuple(profiles), devices)


def _profile(held: dict[str, str], device: str, file: str, asking: dict[str, str]) -> Profile:
    """One of nmcli's rows, as active on a device."""
    uuid, name, kind, bound, zone, autoconnect, priority = (held[field] for field in _FIELDS[:7])
    return Profile(
        uuid,
        name,
        kind,
        device,
        file,
        bound,
        zone,
        autoconnect == "yes",
        int(priority),
        mac=held.get("802-3-ethernet.mac-address", "").lower(),
        match=held.get("match.interface-name", ""),
        controller=held.get("connection.master", ""),
        dhcp4_client_id=held.get("ipv4.dhcp-client-id", ""),
        dhcp4_iaid=held.get("ipv4.dhcp-iaid", ""),
        dhcp6_duid=held.get("ipv6.dhcp-duid", ""),
        dhcp6_iaid=held.get("ipv6.dhcp-iaid", ""),
        rules4=held.get("ipv4.routing-rules", ""),
        rules6=held.get("ipv6.routing-rules", ""),
        client_id=asking.get("client_id", ""),
        duid=asking.get("duid", ""),
        iaid=asking.get("iaid", ""),
    )


def _settings(paths: list[str]) -> dict[str, dict[str, str]]:
    """What each of these profiles says; raises Failed when one of them is gone."""
    if not paths:
        return {}
    words = (word for path in paths for word in ("path", path))
    argv = ("nmcli", "-t", "-e", "no", "-f", ",".join(_FIELDS), "connection", "show", *words)
    try:
        told = programs.run(*argv)
    except HostError as error:  # without the hundred paths
        raise HostError(str(error).replace(" ".join(argv), "nmcli connection show")) from error
    rows: list[dict[str, str]] = []
    for line in told.splitlines():
        key, _, value = line.partition(":")
        if key == _FIELDS[0]:
            rows.append({})
        if line:
            rows[-1][key] = value
    if len(rows) != len(paths):
        raise ValueError(f"{len(paths)} profiles, of which nmcli tells {len(rows)}")
    return dict(zip(paths, rows))
