"""Reads NetworkManager's connection profiles and devices, all at once.

Two programs read them, busctl and nmcli, however many there are. Reading each profile over D-Bus from Python takes as
long as nmstate's own reading of the host (12 s and 11 s on a busy lab machine with 62 profiles; the two programs take
1 s). If a profile is added or removed between the two, both are run again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kvmnet.core.base.profile_settings import PROFILE_SETTINGS
from kvmnet.core.live.kernel_only import ManagedDevice
from kvmnet.core.live.live_host import ConnectionProfile
from kvmnet.host import networkmanager_objects
from kvmnet.host.networkmanager_objects import BUS, Objects
from kvmnet.system import nmcli
from kvmnet.system.errors import HostError

#: The options of a DHCP lease that identify the host: our field, the family, NetworkManager's name (1.42 and 1.52).
_LEASE_OPTIONS = (
    ("client_id", "4", "dhcp_client_identifier"),
    ("duid", "6", "dhcp6_client_id"),
    ("iaid", "6", "iaid"),
)

#: How often the profiles are read if some are added or removed meanwhile.
TRIES = 3
#: The fields that nmcli prints. `connection.master` is the name of `connection.controller` before NetworkManager 1.46,
#: and later versions still know it.
_FIELDS = (
    *(f"connection.{key}" for key in ("uuid", "id", "type", "interface-name", "zone")),
    *(f"connection.{key}" for key in ("autoconnect", "autoconnect-priority", "master", "multi-connect")),
    "802-3-ethernet.mac-address",
    "match.interface-name",
    "ipv4.method",
    "ipv6.method",
    "ipv4.addresses",
    "ipv6.addresses",
    *("ipv4.dhcp-client-id", "ipv4.dhcp-iaid", "ipv6.dhcp-duid", "ipv6.dhcp-iaid"),
    "ipv4.routing-rules",
    "ipv6.routing-rules",
    *(name for name in PROFILE_SETTINGS if name != "connection.zone"),
)
#: NM_ACTIVATION_STATE_FLAG_EXTERNAL
EXTERNAL = 0x80


@dataclass(frozen=True)
class ManagerState:
    """What NetworkManager reports: every profile (once for each device that it is active on, or once without a device),
    and the devices by name. `addresses` are those that the active profiles contain (static ones, with prefix)."""

    profiles: tuple[ConnectionProfile, ...]
    devices: dict[str, ManagedDevice]
    addresses: frozenset[str] = frozenset()

    @property
    def active(self) -> dict[str, ConnectionProfile]:
        """The active profile of each device that has one, by the device's name."""
        return {p.device: p for p in self.profiles if p.device}

    @property
    def idle(self) -> tuple[ConnectionProfile, ...]:
        """The profiles that are active on no device."""
        return tuple(p for p in self.profiles if not p.device)


def group_bound_profiles(profiles: Iterable[ConnectionProfile]) -> dict[tuple[str, str], list[str]]:
    """Return the UUIDs of the profiles that are bound to an interface name, by that name and the profile's type."""
    bound: dict[tuple[str, str], list[str]] = {}
    for profile in profiles:
        uuids = bound.get((profile.interface_name, profile.type), [])
        if profile.interface_name and profile.uuid not in uuids:
            bound.setdefault((profile.interface_name, profile.type), []).append(profile.uuid)
    return bound


def read_manager_state() -> ManagerState:
    """Return what NetworkManager reports. Raises HostError with the program that failed and its reason; that does not
    mean that NetworkManager is not running."""
    reason = ""
    for _ in range(TRIES):
        try:
            return _read()
        except (HostError, ValueError, LookupError) as error:
            reason = str(error) or repr(error)
    raise HostError(f"NetworkManager's profiles cannot be read: {reason}")


def _read() -> ManagerState:
    objects = networkmanager_objects.read_objects()
    keyfiles = {
        path: str(interfaces[f"{BUS}.Settings.Connection"]["Filename"]["data"])
        for path, interfaces in objects.items()
        if f"{BUS}.Settings.Connection" in interfaces
    }
    activations = _read_activations(objects)
    profiles = []
    addresses: set[str] = set()
    devices = {name: ManagedDevice(state) for name, state in networkmanager_objects.states(objects).items()}
    for path, settings in _read_settings(list(keyfiles)).items():
        methods = settings.get("ipv4.method", ""), settings.get("ipv6.method", "")
        for device, is_external, identifiers in activations.get(path, [("", False, {})]):
            profiles.append(_build_profile(settings, device, keyfiles[path], identifiers))
            if device:
                devices[device] = ManagedDevice(devices[device].state, methods, is_external)
            if device and not is_external:  # the profile of an external device mirrors all addresses
                addresses.update(_read_addresses(settings))
    return ManagerState(tuple(profiles), devices, frozenset(addresses))


def _read_addresses(settings: dict[str, str]) -> list[str]:
    lists = [settings.get(f"{family}.addresses", "") for family in ("ipv4", "ipv6")]
    return [address.strip() for text in lists for address in text.split(",") if address.strip()]


def _read_activations(objects: Objects) -> dict[str, list[tuple[str, bool, dict[str, str]]]]:
    """Return where each profile is active, by its object path: the device's name, whether another program configured
    the device, and how it identifies itself to DHCP servers."""
    device_names = networkmanager_objects.devices(objects)
    activations: dict[str, list[tuple[str, bool, dict[str, str]]]] = {}
    for interfaces in objects.values():
        if active := interfaces.get(f"{BUS}.Connection.Active"):
            is_external = bool(int(active["StateFlags"]["data"]) & EXTERNAL)
            for device in active["Devices"]["data"][:1]:
                activations.setdefault(active["Connection"]["data"], []).append(
                    (device_names[device][0], is_external, _read_lease_identifiers(objects, device))
                )
    return activations


def _read_lease_identifiers(objects: Objects, device: str) -> dict[str, str]:
    """Return how a device identifies itself to DHCP servers: as in its leases, since the profile may leave that to
    NetworkManager."""
    identifiers = {}
    for field, family, option in _LEASE_OPTIONS:
        lease = objects[device][f"{BUS}.Device"].get(f"Dhcp{family}Config", {}).get("data")
        options = objects.get(lease, {}).get(f"{BUS}.DHCP{family}Config", {}).get("Options", {}).get("data", {})
        identifiers[field] = str(options.get(option, {}).get("data", "")).lower()
    return identifiers


def _build_profile(settings: dict[str, str], device: str, file: str, identifiers: dict[str, str]) -> ConnectionProfile:
    """Return a profile as active on a device, or on none (""), from the fields that nmcli printed."""
    uuid, name, kind, interface_name, zone, autoconnect, priority = (settings[field] for field in _FIELDS[:7])
    return ConnectionProfile(
        uuid,
        name,
        kind,
        device,
        file,
        interface_name,
        zone,
        autoconnect == "yes",
        int(priority),
        mac=settings.get("802-3-ethernet.mac-address", "").lower(),
        match=settings.get("match.interface-name", ""),
        controller=settings.get("connection.master", ""),
        dhcp4_client_id=settings.get("ipv4.dhcp-client-id", ""),
        dhcp4_iaid=settings.get("ipv4.dhcp-iaid", ""),
        dhcp6_duid=settings.get("ipv6.dhcp-duid", ""),
        dhcp6_iaid=settings.get("ipv6.dhcp-iaid", ""),
        rules4=settings.get("ipv4.routing-rules", ""),
        rules6=settings.get("ipv6.routing-rules", ""),
        client_id=identifiers.get("client_id", ""),
        duid=identifiers.get("duid", ""),
        iaid=identifiers.get("iaid", ""),
        settings={name: settings.get(name, "") for name in PROFILE_SETTINGS},
        multi_connect=int(settings.get("connection.multi-connect", "").partition(" ")[0] or 0),  # `3 (multiple)`
    )


def _read_settings(paths: list[str]) -> dict[str, dict[str, str]]:
    """Return the fields of the profiles at these object paths. Raises HostError or ValueError if one is missing."""
    if not paths:
        return {}
    records = nmcli.show_profiles(_FIELDS, paths)
    if len(records) != len(paths):
        raise ValueError(f"nmcli prints {len(records)} of {len(paths)} profiles")
    return dict(zip(paths, records))
