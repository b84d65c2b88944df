"""Connection profiles that could have an interface of the definition at the next boot, in place of the one that has it.

At boot NetworkManager gives a device the first profile that fits it and autoconnects, by autoconnect-priority and then
by which was active last (nm-policy.c, nm-settings-connection.c). A profile on an interface of the definition is the
one that was active last, so at equal priority a rival has the interface only after somebody has activated it. nmstate
has bridges and bonds activate their ports (autoconnect-slaves), which takes a NIC back from a rival; but only at the
moment in which the bridge comes up, so not a NIC that comes later (tried, NetworkManager 1.42).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Optional

from kvmnet.core.base.nmstate import NM_ETHERNET, NM_TYPES, interfaces_of, port_names
from kvmnet.core.live.live_host import Live, Profile
from kvmnet.core.planning.plan import Plan


@dataclass(frozen=True)
class Rival:
    """A profile that fits `names` (what they are called now) too. Either its priority is higher than that of the
    profile which each of them has, so it `wins`; or it is equal."""

    profile: Profile
    names: tuple[str, ...]
    wins: bool

    @property
    def cure(self) -> str:
        """What keeps it out."""
        uuid = self.profile.uuid
        return f"nmcli connection modify {uuid} connection.autoconnect no, or nmcli connection delete {uuid}"


@dataclass(frozen=True)
class _Place:
    """An interface of the definition as a profile must fit it: by the `name` that it has at the next boot, and `now`,
    the type of its profile, the permanent MAC of a NIC, what it is to be a port of."""

    name: str
    now: str
    type: str
    mac: Optional[str]
    controller: Optional[str]


def rivals(plan: Plan, live: Live) -> list[Rival]:
    """All of them, each once for what it wins and once for what it is equal at; of a removal none, which gives back
    what was there before."""
    places = list(_places(plan, live))
    held = {place.name: _holder(place, live) for place in places}
    taken = {holder.uuid for holder in held.values() if holder}
    taken |= {live.profiles[name].uuid for name in plan.leaving if name in live.profiles}
    known = {p.uuid: p for p in (*live.profiles.values(), *live.idle)}
    # what is only in memory is gone at the next boot
    others = [p for p in known.values() if p.uuid not in taken and p.autoconnect and p.saved]
    found: dict[tuple[str, bool], list[str]] = {}
    for place in places:
        holder = held[place.name]
        priority = holder.priority if holder else 0  # of the profile that is made for it
        for profile in others:
            if profile.priority < priority or not _fits(profile, place):
                continue
            if _takes_away(profile, place, known, plan, live):
                found.setdefault((profile.uuid, profile.priority > priority), []).append(place.now)
    return [Rival(known[uuid], tuple(names), wins) for (uuid, wins), names in found.items()]


def _places(plan: Plan, live: Live) -> Iterator[_Place]:
    interfaces = [i for i in interfaces_of(plan.desired) if i["state"] == "up" and i["type"] in NM_TYPES]
    controllers = {port: i["name"] for i in interfaces for port in port_names(i)}
    links = {nic.name: link for nic in plan.bundle.nics if (link := live.find(nic))}
    for interface in interfaces:
        name, kind = interface["name"], NM_TYPES[interface["type"]]
        link = links.get(name) if kind == NM_ETHERNET else None
        yield _Place(name, link.name if link else name, kind, link.mac if link else None, controllers.get(name))


def _holder(place: _Place, live: Live) -> Optional[Profile]:
    """The profile that an interface will have: the one that is active; else nmstate takes one that is bound to the
    name, which of several cannot be told, so it is the first to be beaten. None: one is made for it."""
    active = live.profiles.get(place.now)
    if active is not None and place.type in (active.type, NM_ETHERNET):
        return active
    bound = [p for p in live.idle if p.type == place.type and p.interface_name == place.name]
    return min(bound, key=lambda p: p.priority, default=None)


def _fits(profile: Profile, place: _Place) -> bool:
    """A NIC's name is the one that it has at the next boot: what is bound to the old one of a NIC that is renamed fits
    nothing then. A virtual device is made for its profile, which names it."""
    if profile.type != place.type or (profile.interface_name and profile.interface_name != place.name):
        return False
    if place.type != NM_ETHERNET:
        return bool(profile.interface_name)
    if profile.mac and profile.mac != place.mac:
        return False
    patterns = profile.match.replace(",", " ").split()
    plain = not any(pattern[0] in "!&|" for pattern in patterns)  # others are not judged: they count as fitting
    return not patterns or not plain or any(fnmatchcase(place.name, pattern) for pattern in patterns)


def _takes_away(profile: Profile, place: _Place, known: Mapping[str, Profile], plan: Plan, live: Live) -> bool:
    """Whether the interface would be another's: not where the profile makes it a port of the same controller, nor of
    one that is not there, as it cannot be activated then and NetworkManager goes on to the next."""
    if not profile.controller:
        return True
    by_uuid = known.get(profile.controller)
    name = (by_uuid.interface_name or by_uuid.device) if by_uuid else profile.controller
    there = {p.interface_name for p in known.values()} | {n.name for n in live.links.values() if n.kind}
    there |= {str(i["name"]) for i in interfaces_of(plan.desired)}
    return name != place.controller and (by_uuid is not None or name in there)
