"""Which interfaces of a host are kvmnet's: only what it made is ever removed, only what it has is changed.

Noted beside the applied bundle. An interface that a person made and that says what the definition says is
adopted: from then on the definition changes it, but when it leaves the definition it stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kvmnet.core.bundle import Bundle
from kvmnet.core.live import Live, Owned

#: The note's file, beside the bundle's.
OWNED_FILE = "interfaces.json"
#: rtnetlink's kind of what nmstate calls a type
KINDS = {"linux-bridge": "bridge", "vlan": "vlan", "bond": "bond", "mac-vtap": "macvtap"}
_NAMESPACE = uuid.UUID("6e1b7c4e-5f3b-4a43-9f43-6b766d6e6574")


def profile_uuid(host: str, interface: str) -> str:
    """The UUID of the profile that kvmnet makes for an interface: the same on every run, so that what is
    ours is known by it."""
    return str(uuid.uuid5(_NAMESPACE, f"{host}/{interface}"))


def is_ours(host: str, name: str, live: Live) -> bool:
    """Whether kvmnet may change this interface: it is of the applied bundle, or has a profile of ours."""
    profile = live.profiles.get(name)
    return name in live.owned or (profile is not None and profile.uuid == profile_uuid(host, name))


def leaving(bundle: Bundle, live: Live) -> dict[str, str]:
    """Virtual interfaces that kvmnet made, that are still there and that the bundle does not have any more:
    name to nmstate's type. One whose profile is not the one we made is somebody else's of the same name."""
    known = {i["name"] for i in bundle.state.get("interfaces", [])}
    found = {}
    for name, owned in live.owned.items():
        link, profile = live.links.get(name), live.profiles.get(name)
        if name in known or not owned.made or link is None or link.kind != KINDS.get(owned.type):
            continue
        if profile is not None and profile.uuid == owned.uuid:
            found[name] = owned.type
    return found


def owned_after(bundle: Bundle, live: Live) -> dict[str, Owned]:
    """What is kvmnet's once the bundle is applied: made is what was not there before."""
    found = {}
    for interface in bundle.state.get("interfaces", []):
        name, kind = interface["name"], interface["type"]
        before = live.owned.get(name)
        identity, profile = profile_uuid(bundle.host, name), live.profiles.get(name)
        new = name not in live.links or live.links[name].kind != KINDS.get(kind)
        ours = (before is not None and before.made and before.type == kind) or (
            profile is not None and profile.uuid == identity
        )
        found[name] = Owned(kind, kind in KINDS and (new or ours), identity)
    return found


def from_note(data: Mapping[str, Any]) -> dict[str, Owned]:
    """The note as it was read; raises KeyError or TypeError when it is not one."""
    return {
        str(name): Owned(str(row["type"]), bool(row["made"]), str(row["uuid"]))
        for name, row in data["interfaces"].items()
    }


def to_note(owned: Mapping[str, Owned]) -> dict[str, Any]:
    """The note as JSON takes it."""
    return {"interfaces": {name: asdict(o) for name, o in sorted(owned.items())}}
