"""What each interface gets at the next boot: a connection profile, one that NetworkManager creates, or nothing.

NetworkManager goes through the profiles, the highest autoconnect-priority first, then the one that was active last, and
activates the first that fits the device (nm-policy.c, nm-settings-connection.c). A profile is activated on one device
only, unless multi-connect allows more. A controller can activate its ports, and a port activates its controller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Optional

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.core.boot.boot_files import BootFiles
from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.boot.matching import profile_fits
from kvmnet.core.boot.stored_profile import StoredProfile

PROFILE, CREATED, NOTHING, UNMANAGED = "profile", "created", "nothing", "unmanaged"
#: How often the computation is repeated at most, because controllers and ports bring each other up.
_ROUNDS = 20


@dataclass(frozen=True)
class BootOutcome:
    """What an interface gets at the next boot.

    kind: PROFILE; CREATED: NetworkManager creates a profile for DHCP (`Wired connection 1`); NOTHING; UNMANAGED.
    uuid, id, file: the profile. controller: the name of its controller. ipv4, ipv6: method and addresses.
    uncertain: why it may also be something else.
    """

    interface: str
    kind: str
    mac: str = ""
    uuid: str = ""
    id: str = ""
    file: str = ""
    controller: str = ""
    ipv4: str = ""
    ipv6: str = ""
    uncertain: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, ...]:
        """What must be equal for two outcomes to be the same."""
        return (self.kind, self.uuid, self.controller, self.ipv4, self.ipv6)

    @property
    def text(self) -> str:
        """The outcome in words, without the reasons why it is not certain (see `describe_doubts`)."""
        if self.kind != PROFILE:
            return {
                CREATED: "a connection profile that NetworkManager creates (DHCP)",
                NOTHING: "no connection profile",
                UNMANAGED: "nothing, because NetworkManager does not manage it",
            }[self.kind]
        if self.controller:
            return f"the connection profile {self.id} (port of {self.controller})"
        return f"the connection profile {self.id} (IPv4: {self.ipv4}, IPv6: {self.ipv6})"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BootOutcome:
        """Return the outcome from its JSON form."""
        return cls(**{**data, "uncertain": tuple(data["uncertain"])})

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain data for JSON."""
        return {**asdict(self), "uncertain": list(self.uncertain)}


def describe_doubts(*outcomes: BootOutcome) -> str:
    """Return a sentence with the reasons why outcomes are not certain, to be put after another sentence; empty without
    any."""
    reasons = dict.fromkeys(reason for outcome in outcomes for reason in outcome.uncertain)
    return f". This is not certain: {'; '.join(reasons)}" if reasons else ""


def compute_outcomes(files: BootFiles) -> dict[str, BootOutcome]:
    """Return what each NIC gets at the next boot, and each virtual interface that a stored profile names, by name."""
    return _Boot(files).run()


@dataclass
class _Boot:
    """One computed boot. `assigned`: the profile of each device; `doubts`: why an assignment is uncertain."""

    files: BootFiles
    assigned: dict[str, StoredProfile] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def profiles(self) -> list[StoredProfile]:
        """The profiles in the order in which NetworkManager tries them."""
        return sorted(self.files.effective.values(), key=self._rank)

    def _rank(self, profile: StoredProfile) -> tuple[Any, ...]:
        """Those that are active now have the newest time stamps at the next boot."""
        is_active = profile.uuid in self._active_uuids
        timestamp = self.files.timestamps.get(profile.uuid, -1)
        return (-profile.priority, not is_active, -timestamp, profile.uuid)

    @cached_property
    def _active_uuids(self) -> set[str]:
        return set(self.files.active.values())

    @cached_property
    def devices(self) -> dict[str, BootDevice]:
        """All devices by name: NICs, and those that profiles create."""
        devices = {nic.name: nic for nic in self.files.nics}
        for profile in self.profiles:
            if profile.is_virtual and profile.interface_name:
                devices.setdefault(profile.interface_name, BootDevice(profile.interface_name, profile.type))
        return devices

    @cached_property
    def managed(self) -> set[str]:
        """The devices that NetworkManager manages."""
        names = {name for name, device in self.devices.items() if self.files.settings.manages(device)}
        return names - set(self.files.unrecognized)

    @cached_property
    def candidates(self) -> dict[str, list[StoredProfile]]:
        """The profiles that fit each managed device, in NetworkManager's order: also those that do not autoconnect."""
        fitting: dict[str, list[StoredProfile]] = {name: [] for name in self.devices}
        by_type: dict[str, list[BootDevice]] = {}
        for name in self.managed:
            by_type.setdefault(self.devices[name].type, []).append(self.devices[name])
        by_name = {(device.type, device.name): [device] for devices in by_type.values() for device in devices}
        for profile in self.profiles:
            places = by_type.get(profile.type, [])
            if profile.interface_name:
                places = by_name.get((profile.type, profile.interface_name), [])
            for device in places:
                if profile_fits(profile, device, self.files.options) is not False:
                    fitting[device.name].append(profile)
        return {name: self._active_first(name, profiles) for name, profiles in fitting.items()}

    def _active_first(self, name: str, profiles: list[StoredProfile]) -> list[StoredProfile]:
        """Of profiles that are active now and have the same priority, the one on this device comes first: which of
        their time stamps is newer depends on the last minutes before the boot."""
        here = self.files.active.get(name)
        return sorted(profiles, key=lambda p: (-p.priority, p.uuid != here)) if here else profiles

    def run(self) -> dict[str, BootOutcome]:
        """Repeat the rules until nothing changes."""
        for _ in range(_ROUNDS):
            before = dict(self.assigned)
            self._assign_nics()
            self._create_virtual_devices()
            self._activate_controllers()
            self._activate_ports()
            if before == self.assigned:
                break
        return {name: self._outcome(device) for name, device in self.devices.items()}

    # ---- the rules

    def _assign_nics(self) -> None:
        """Give each NIC the first profile in its order that is free. When several NICs compete for a profile, the one
        that has it now gets it; which one would be the first at boot cannot be known."""
        waiting = [name for name, device in self.devices.items() if device.type == NM_ETHERNET]
        taken: dict[str, str] = {}
        next_choice = dict.fromkeys(waiting, 0)
        forced = {name: profile for name, profile in self.assigned.items() if self._is_activated_by_controller(profile)}
        for name in waiting:
            self.doubts.pop(name, None)
            self.assigned.pop(name, None)
        for name, profile in forced.items():
            if name in waiting:
                waiting.remove(name)
                self.assigned[name] = profile
                taken[profile.uuid] = name
        while waiting:
            name = waiting.pop(0)
            choices = self._choices(name)
            while next_choice[name] < len(choices):
                profile = choices[next_choice[name]]
                rival = None if profile.may_be_shared else taken.get(profile.uuid)
                if rival is not None:
                    self._doubt(name, f"{profile.id} also fits {rival}")
                    self._doubt(rival, f"{profile.id} also fits {name}")
                if rival is None or (self._prefers(profile, name, rival) and rival not in forced):
                    self.assigned[name] = profile
                    taken[profile.uuid] = name
                    if rival is not None:
                        del self.assigned[rival]
                        next_choice[rival] += 1
                        waiting.insert(0, rival)
                    break
                next_choice[name] += 1

    def _choices(self, name: str) -> list[StoredProfile]:
        return [p for p in self.candidates[name] if p.autoconnect and self._controller_exists(p)]

    def _prefers(self, profile: StoredProfile, name: str, rival: str) -> bool:
        """Whether a device rather than its rival gets a profile that only one can have."""
        return self.files.active.get(name) == profile.uuid and self.files.active.get(rival) != profile.uuid

    def _create_virtual_devices(self) -> None:
        """NetworkManager creates a virtual device for a profile that autoconnects, when its parent is there."""
        for name, device in self.devices.items():
            if device.type == NM_ETHERNET or name in self.assigned:
                continue
            profile = next((p for p in self._choices(name) if self._parent_exists(p)), None)
            if profile is not None:
                self.assigned[name] = profile

    def _activate_controllers(self) -> None:
        """A port activates its controller, also one that does not autoconnect (ensure_controller_active_connection)."""
        for profile in list(self.assigned.values()):
            controller = self._controller_profile(profile)
            if controller is not None and controller.interface_name not in self.assigned:
                fitting = self.candidates.get(controller.interface_name, [])
                chosen = next((p for p in fitting if p.type == controller.type and self._parent_exists(p)), None)
                if chosen is not None:
                    self.assigned[controller.interface_name] = chosen

    def _activate_ports(self) -> None:
        """A controller activates its ports, also those that do not autoconnect, and takes their devices away from other
        profiles (autoconnect_ports, nm-manager.c)."""
        active = self.files.active
        for profile in self.profiles:
            if not self._is_activated_by_controller(profile) or self._is_assigned(profile):
                continue
            places = [n for n in self._places.get(profile.uuid, ()) if not self._is_port_of_same(n, profile)]
            if places and self._parent_exists(profile):
                places.sort(key=lambda name: name in self.assigned)
                has_it_now = [name for name in places if active.get(name) == profile.uuid]
                self.assigned[(has_it_now or places)[0]] = profile

    @cached_property
    def _places(self) -> dict[str, list[str]]:
        """The devices that each profile (UUID) fits."""
        places: dict[str, list[str]] = {}
        for name, fitting in self.candidates.items():
            for profile in fitting:
                places.setdefault(profile.uuid, []).append(name)
        return places

    def _is_port_of_same(self, name: str, profile: StoredProfile) -> bool:
        """Whether a device is a port of the same controller already."""
        current, wanted = self.assigned.get(name), self._controller_profile(profile)
        controller = self._controller_profile(current) if current is not None else None
        return controller is not None and wanted is not None and controller.uuid == wanted.uuid

    def _is_activated_by_controller(self, profile: StoredProfile) -> bool:
        controller = self._controller_profile(profile)
        if controller is None:
            return False
        running = self.assigned.get(controller.interface_name)
        if running is None or running.uuid != controller.uuid:
            return False
        if controller.activates_ports is not None:
            return controller.activates_ports
        return self.files.settings.activates_ports(self.devices[controller.interface_name])

    def _is_assigned(self, profile: StoredProfile) -> bool:
        return any(
            name in self.assigned and self.assigned[name].uuid == profile.uuid
            for name in self._places.get(profile.uuid, ())
        )

    # ---- relations of profiles

    @cached_property
    def _by_uuid(self) -> dict[str, StoredProfile]:
        return {profile.uuid: profile for profile in self.profiles}

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], StoredProfile]:
        """The first profile of each type and interface name."""
        named: dict[tuple[str, str], StoredProfile] = {}
        for profile in self.profiles:
            if profile.interface_name:
                named.setdefault((profile.type, profile.interface_name), profile)
        return named

    def _controller_profile(self, profile: StoredProfile) -> Optional[StoredProfile]:
        """Return the profile of a profile's controller (find_controller): that on its device, if there is one."""
        if not profile.controller:
            return None
        controller = self._by_uuid.get(profile.controller)
        if controller is None:
            controller = self._by_name.get((profile.port_type, profile.controller))
            assigned = self.assigned.get(profile.controller)
            if assigned is not None and assigned.type == profile.port_type:
                return assigned
        return controller if controller is not None and controller.type == profile.port_type else None

    def _controller_exists(self, profile: StoredProfile) -> bool:
        """Whether a profile is no port, or its controller can be activated: otherwise the next profile is tried."""
        if not profile.controller:
            return True
        controller = self._controller_profile(profile)
        return controller is not None and controller.interface_name in self.managed

    def _parent_exists(self, profile: StoredProfile) -> bool:
        """Whether the base interface of a VLAN or the like comes up; only a NIC is there without a profile."""
        if not profile.parent:
            return True
        parent = self._by_uuid[profile.parent].interface_name if profile.parent in self._by_uuid else profile.parent
        is_nic = any(parent in (nic.name, nic.mac) for nic in self.files.nics)
        return is_nic or parent in self.assigned

    def _doubt(self, name: str, reason: str) -> None:
        reasons = self.doubts.setdefault(name, [])
        if reason not in reasons:
            reasons.append(reason)

    # ---- the result

    def _outcome(self, device: BootDevice) -> BootOutcome:
        name, profile = device.name, self.assigned.get(device.name)
        doubts = tuple(self._find_doubts(device))
        if name not in self.managed:
            return BootOutcome(name, UNMANAGED, device.mac)
        if profile is None:
            is_created = device.type == NM_ETHERNET and not self.candidates[name]
            is_created = is_created and self.files.settings.creates_profile_for(device)
            return BootOutcome(name, CREATED if is_created else NOTHING, device.mac, uncertain=doubts)
        controller = self._controller_profile(profile)
        return BootOutcome(
            interface=name,
            kind=PROFILE,
            mac=device.mac,
            uuid=profile.uuid,
            id=profile.id,
            file=profile.file,
            controller=controller.interface_name if controller is not None else "",
            ipv4=profile.ipv4,
            ipv6=profile.ipv6,
            uncertain=doubts,
        )

    def _find_doubts(self, device: BootDevice) -> Iterator[str]:
        yield from self.doubts.get(device.name, ())
        for profile in self.candidates[device.name]:
            if profile_fits(profile, device, self.files.options) is None:
                yield f"whether {profile.id} fits {device.name} is not known (match.driver or match.path)"
