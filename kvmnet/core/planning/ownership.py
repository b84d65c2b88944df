"""Which interfaces of a host are kvmnet's: only what it made is ever removed, only what it has is changed.

Noted beside the applied bundle. An interface that a person made and that says what the definition says is
adopted: from then on the definition changes it, but when it leaves the definition it stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kvmnet.core.base.nmstate import KERNEL_KINDS, State, interfaces_of
from kvmnet.core.live.live_host import Link, Live, Owned, Profile
from kvmnet.core.rendering.bundle import Bundle

#: The note's file, beside the bundle's.
OWNED_FILE = "interfaces.json"
_NAMESPACE = uuid.UUID("6e1b7c4e-5f3b-4a43-9f43-6b766d6e6574")


def profile_uuid(host: str, interface: str) -> str:
    """The UUID of the profile that kvmnet makes for an interface: the same on every run, so that what is
    ours is known by it."""
    return str(uuid.uuid5(_NAMESPACE, f"{host}/{interface}"))


def new_uuid(host: str, name: str, kind: str, live: Live) -> str:
    """The UUID of a profile to come: another one where something of another type, which goes in the same change,
    has the interface's own."""
    identity, before = profile_uuid(host, name), live.owned.get(name)
    taken = before is not None and before.type != kind and before.uuid == identity
    return profile_uuid(host, f"{name} {kind}") if taken else identity


def is_ours(host: str, name: str, live: Live) -> bool:
    """Whether kvmnet may change this interface: it is of the applied bundle, or has a profile of ours."""
    profile = live.profiles.get(name)
    return name in live.owned or (profile is not None and profile.uuid == profile_uuid(host, name))


def leaving(bundle: Bundle, live: Live) -> dict[str, str]:
    """What kvmnet made and the bundle does not have any more: name to nmstate's type."""
    known = {(i["name"], i["type"]) for i in interfaces_of(bundle.state)}
    return {name: kind for name, kind in made_by_us(live).items() if (name, kind) not in known}


def left_down(bundle: Bundle, live: Live) -> dict[str, Profile]:
    """Of what is down and left in the same way the profiles, which alone are there, by the interface's name."""
    known = {(i["name"], i["type"]) for i in interfaces_of(bundle.state)}
    return {name: p for name, p in taken_down(live).items() if (name, live.owned[name].type) not in known}


def made_by_us(live: Live) -> dict[str, str]:
    """Virtual interfaces that kvmnet made and that are still there: name to nmstate's type. One whose profile is not
    the one we made is somebody else's of the same name."""
    found = {}
    for name, owned in live.owned.items():
        link, profile = live.links.get(name), live.profiles.get(name)
        if not owned.made or link is None or link.kind != KERNEL_KINDS.get(owned.type):
            continue
        if profile is not None and profile.uuid == owned.uuid:
            found[name] = owned.type
    return found


def taken_down(live: Live) -> dict[str, Profile]:
    """The profiles of virtual interfaces that kvmnet made and that somebody took down, by the interface's name: the
    next boot would bring them back. A link that has the name meanwhile is somebody else's."""
    idle = {profile.uuid: profile for profile in live.idle}
    return {name: idle[owned.uuid] for name, owned in live.owned.items() if owned.made and owned.uuid in idle}


def owned_after(bundle: Bundle, live: Live) -> dict[str, Owned]:
    """What is kvmnet's once the bundle is applied: made is what was not there before."""
    found = {}
    was = {nic.name: link.name for nic in bundle.nics if (link := live.find(nic))}
    for interface in interfaces_of(bundle.state):
        name, kind = interface["name"], interface["type"]
        before = live.owned.get(was.get(name, name) if kind == "ethernet" else name)
        identity, profile = new_uuid(bundle.host, name, kind, live), live.profiles.get(name)
        if before is not None and before.type == kind and before.uuid:
            identity = before.uuid  # made under another name of the host, or of the NIC
        new = name not in live.links or live.links[name].kind != KERNEL_KINDS.get(kind)
        ours = (before is not None and before.made and before.type == kind) or (
            profile is not None and profile.uuid == identity
        )
        found[name] = Owned(kind, kind in KERNEL_KINDS and (new or ours), identity)
    return found


@dataclass(frozen=True)
class Note:
    """What is noted beside the applied bundle: its interfaces by name, its state, and the kernel names that NICs had
    before kvmnet, by permanent MAC."""

    owned: Mapping[str, Owned] = field(default_factory=dict)
    state: State = field(default_factory=dict)
    first_names: Mapping[str, str] = field(default_factory=dict)


def note_after(bundle: Bundle, live: Live) -> Note:
    """The note once the bundle is applied. A NIC that leaves the definition is still remembered."""
    links: list[Link] = [link for nic in bundle.nics if (link := live.find(nic)) is not None]
    names = {link.mac: link.name for link in links if link.mac}
    return Note(owned_after(bundle, live), bundle.state, {**names, **live.first_names})


def from_note(data: Mapping[str, Any]) -> Note:
    """The note as it was read; raises KeyError, AttributeError or TypeError when it is not one."""
    owned = {
        str(name): Owned(str(row["type"]), bool(row["made"]), str(row["uuid"]))
        for name, row in data["interfaces"].items()
    }
    return Note(owned, dict(data.get("state", {})), {str(m): str(n) for m, n in data.get("first-names", {}).items()})


def to_note(note: Note) -> dict[str, Any]:
    """The note as JSON takes it."""
    return {
        "interfaces": {name: asdict(o) for name, o in sorted(note.owned.items())},
        "state": note.state,
        "first-names": dict(sorted(note.first_names.items())),
    }
