"""Connection profiles that the next boot could activate on an interface of the definition, instead of its own.

At boot NetworkManager activates on a device the first profile that matches it and autoconnects, ordered by
autoconnect-priority and then by the last activation (nm-policy.c, nm-settings-connection.c). The profile of an
interface of the definition is the one that was activated last. So a rival of equal priority wins only after somebody
has activated it. nmstate makes bridges and bonds activate their ports (autoconnect-slaves), which takes a NIC back
from a rival, but only when the bridge comes up. It does not help a NIC that appears later (seen with NetworkManager
1.42).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Optional

from kvmnet.core.base.nmstate import NM_ETHERNET, NM_TYPES, interfaces_of, port_names
from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.boot.matching import profile_fits
from kvmnet.core.boot.stored_profile import StoredProfile
from kvmnet.core.live.live_host import ConnectionProfile, Live
from kvmnet.core.planning.plan import Plan


@dataclass(frozen=True)
class Rival:
    """A profile that also matches the interfaces `names` (their names before the change). It `wins` when its priority
    is higher than that of the profile that they have; otherwise both are equal."""

    profile: ConnectionProfile
    names: tuple[str, ...]
    wins: bool

    @property
    def commands(self) -> str:
        """The commands that keep it from being activated: either of them is enough."""
        uuid = self.profile.uuid
        return f"nmcli connection modify {uuid} connection.autoconnect no, or nmcli connection delete {uuid}"


@dataclass(frozen=True)
class _Target:
    """An interface of the definition as a profile must match it: its name at the next boot, its name now, the type of
    its profile, the permanent MAC address of a NIC, its controller."""

    name: str
    now: str
    type: str
    mac: Optional[str]
    controller: Optional[str]


def find_rivals(plan: Plan, live: Live) -> list[Rival]:
    """Return all rivals, those that win apart from those that are equal. A removal has none: it restores what was
    there before."""
    targets = list(_find_targets(plan, live))
    own_profiles = {target.name: _find_own_profile(target, plan, live) for target in targets}
    own_uuids = {profile.uuid for profile in own_profiles.values() if profile}
    own_uuids |= {live.profiles[name].uuid for name in plan.leaving if name in live.profiles}
    all_profiles = {p.uuid: p for p in (*live.profiles.values(), *live.idle)}
    # a profile that is only in memory does not survive the boot
    others = [p for p in all_profiles.values() if p.uuid not in own_uuids and p.autoconnect and p.saved]
    names: dict[tuple[str, bool], list[str]] = {}
    for target in targets:
        own = own_profiles[target.name]
        priority = own.priority if own else 0  # that of a new profile
        for profile in others:
            if profile.priority < priority or not _matches(profile, target, live):
                continue
            if _takes_away(profile, target, all_profiles, plan, live):
                names.setdefault((profile.uuid, profile.priority > priority), []).append(target.now)
    return [Rival(all_profiles[uuid], tuple(devices), wins) for (uuid, wins), devices in names.items()]


def _find_targets(plan: Plan, live: Live) -> Iterator[_Target]:
    interfaces = [i for i in interfaces_of(plan.desired) if i["state"] == "up" and i["type"] in NM_TYPES]
    controllers = {port: i["name"] for i in interfaces for port in port_names(i)}
    links = {nic.name: link for nic in plan.bundle.nics if (link := live.find(nic))}
    for interface in interfaces:
        name, kind = interface["name"], NM_TYPES[interface["type"]]
        link = links.get(name) if kind == NM_ETHERNET else None
        yield _Target(name, link.name if link else name, kind, link.mac if link else None, controllers.get(name))


def _find_own_profile(target: _Target, plan: Plan, live: Live) -> Optional[ConnectionProfile]:
    """Return the profile that the interface will have: a copy of the active one, or this itself; otherwise nmstate
    takes one that is bound to the name. Which of several it takes is unknown, so the one of the lowest priority counts.
    None: a new one is made."""
    copy = plan.copies.get(target.name)
    if copy is not None:
        return replace(copy.source, uuid=copy.uuid, priority=copy.priority)
    active = live.profiles.get(target.now)
    if active is not None and target.type in (active.type, NM_ETHERNET):
        return active
    bound = [p for p in live.idle if p.type == target.type and p.interface_name == target.name]
    return min(bound, key=lambda p: p.priority, default=None)


def _matches(profile: ConnectionProfile, target: _Target, live: Live) -> bool:
    """Whether the profile matches the interface at the next boot. A NIC has its new name then, so a profile for its
    old name does not match. A condition that cannot be evaluated counts as fulfilled."""
    device = BootDevice(target.name, target.type, target.mac or "")
    stored: Optional[StoredProfile] = None
    options: tuple[str, ...] = ()
    if live.boot is not None:
        known = {nic.mac: nic for nic in live.boot.nics}
        device = replace(known[target.mac], name=target.name) if target.mac in known else device
        stored, options = live.boot.effective.get(profile.uuid), live.boot.options
    return profile_fits(stored or _stored_as_reported(profile), device, options) is not False


def _stored_as_reported(profile: ConnectionProfile) -> StoredProfile:
    """Return a profile with what NetworkManager reports of it: only root can read its file."""
    groups = {
        "connection": {"uuid": profile.uuid, "type": profile.type, "interface-name": profile.interface_name},
        "ethernet": {"mac-address": profile.mac},
        "match": {"interface-name": ";".join(profile.match.replace(",", " ").split())},
    }
    return StoredProfile(profile.file, groups)


def _takes_away(
    profile: ConnectionProfile, target: _Target, all_profiles: Mapping[str, ConnectionProfile], plan: Plan, live: Live
) -> bool:
    """Whether the profile would take the interface out of its place. It does not when it makes it a port of the same
    controller; nor of one that does not exist, because NetworkManager cannot activate it and tries the next profile."""
    if not profile.controller:
        return True
    controller = all_profiles.get(profile.controller)
    name = (controller.interface_name or controller.device) if controller else profile.controller
    names = {p.interface_name for p in all_profiles.values()} | {n.name for n in live.links.values() if n.kind}
    names |= {str(i["name"]) for i in interfaces_of(plan.desired)}
    return name != target.controller and (controller is not None or name in names)
