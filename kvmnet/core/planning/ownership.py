"""Which interfaces of a host belong to kvmnet. Only what kvmnet created is ever removed.

This is recorded beside the applied bundle. An interface that another tool created and that matches the definition is
adopted: the definition changes it from then on, but it stays when it leaves the definition.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from kvmnet.core.base.names import INTERFACE_NAME, KERNEL_NAME, MAC, UUID, require_form
from kvmnet.core.base.nmstate import ETHERNET, INFINIBAND, KERNEL_KINDS, State, interfaces_of
from kvmnet.core.base.profile_settings import PROFILE_SETTINGS
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live, Owned
from kvmnet.core.rendering.bundle import Bundle

#: The file of the record, in the folder of the applied bundle.
OWNERSHIP_FILE = "interfaces.json"
#: nmstate's types of the interfaces in the record.
_TYPES = (ETHERNET, INFINIBAND, "loopback", *KERNEL_KINDS)
_NAMESPACE = uuid.UUID("6e1b7c4e-5f3b-4a43-9f43-6b766d6e6574")


@lru_cache(maxsize=4096)
def profile_uuid(host: str, interface: str) -> str:
    """Return the UUID of the connection profile that kvmnet creates for an interface. It is the same on every run, so
    kvmnet recognizes its profiles by it. Cached: a plan asks for each several times."""
    return str(uuid.uuid5(_NAMESPACE, f"{host}/{interface}"))


def choose_profile_uuid(host: str, name: str, kind: str, live: Live) -> str:
    """Return the UUID for a new profile of interface `name` of nmstate type `kind`. It is another one than
    `profile_uuid` when an interface of the same name and another type is removed in the same change."""
    default, owned = profile_uuid(host, name), live.owned.get(name)
    is_taken = owned is not None and owned.type != kind and owned.uuid == default
    return profile_uuid(host, f"{name} {kind}") if is_taken else default


def belongs_to_kvmnet(host: str, name: str, live: Live) -> bool:
    """Whether kvmnet may change this interface: it is in the applied bundle, or has a profile of kvmnet."""
    profile = live.profiles.get(name)
    return name in live.owned or (profile is not None and profile.uuid == profile_uuid(host, name))


def find_leaving(bundle: Bundle, live: Live) -> dict[str, str]:
    """Return the interfaces that kvmnet created and the bundle no longer has: their nmstate types by name."""
    wanted = {(i["name"], i["type"]) for i in interfaces_of(bundle.state)}
    return {name: kind for name, kind in find_created(live).items() if (name, kind) not in wanted}


def find_inactive_leaving(bundle: Bundle, live: Live) -> dict[str, ConnectionProfile]:
    """Return the inactive profiles that kvmnet created for interfaces that the bundle no longer has, by the
    interface's name."""
    wanted = {(i["name"], i["type"]) for i in interfaces_of(bundle.state)}
    return {name: p for name, p in find_inactive_created(live).items() if (name, live.owned[name].type) not in wanted}


def find_created(live: Live) -> dict[str, str]:
    """Return the virtual interfaces that kvmnet created and that exist: their nmstate types by name. An interface with
    another profile than ours was created by another tool under the same name."""
    created = {}
    for name, owned in live.owned.items():
        link, profile = live.links.get(name), live.profiles.get(name)
        if not owned.made or link is None or link.kind != KERNEL_KINDS.get(owned.type):
            continue
        if profile is not None and profile.uuid == owned.uuid:
            created[name] = owned.type
    return created


def find_inactive_created(live: Live) -> dict[str, ConnectionProfile]:
    """Return the profiles of virtual interfaces that kvmnet created and somebody deactivated, by the interface's name:
    the next boot would activate them. A link that has the name meanwhile was created by another tool."""
    idle = {profile.uuid: profile for profile in live.idle}
    return {name: idle[owned.uuid] for name, owned in live.owned.items() if owned.made and owned.uuid in idle}


def find_owned_after(bundle: Bundle, live: Live) -> dict[str, Owned]:
    """Return the interfaces that belong to kvmnet once the bundle is applied. Those that did not exist before are
    created by kvmnet, the others are adopted."""
    owned_after = {}
    old_names = {nic.name: link.name for nic in bundle.nics if (link := live.find(nic))}
    for interface in interfaces_of(bundle.state):
        name, kind = interface["name"], interface["type"]
        before = live.owned.get(old_names.get(name, name) if kind == ETHERNET else name)
        uuid_after, profile = choose_profile_uuid(bundle.host, name, kind, live), live.profiles.get(name)
        if before is not None and before.type == kind and before.uuid:
            uuid_after = before.uuid  # created while the host or the NIC had another name
        is_new = name not in live.links or live.links[name].kind != KERNEL_KINDS.get(kind)
        was_created = (before is not None and before.made and before.type == kind) or (
            profile is not None and profile.uuid == uuid_after
        )
        owned_after[name] = Owned(kind, kind in KERNEL_KINDS and (is_new or was_created), uuid_after)
    return owned_after


@dataclass(frozen=True)
class OwnershipRecord:
    """The record beside the applied bundle: the bundle's interfaces by name; its state, with the MAC addresses that
    were chosen on this host; the kernel names that NICs had before kvmnet, by permanent MAC address; and the bundle's
    settings of connection profiles."""

    owned: Mapping[str, Owned] = field(default_factory=dict)
    state: State = field(default_factory=dict)
    first_names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def make_ownership_record(bundle: Bundle, live: Live) -> OwnershipRecord:
    """Return the record for after the bundle is applied. It keeps the first names of NICs that left the definition.
    The bundle is that of the plan: with its MAC addresses (`complete_bundle`)."""
    links: list[Link] = [link for nic in bundle.nics if (link := live.find(nic)) is not None]
    names = {link.mac: link.name for link in links if link.mac}
    owned, first_names = find_owned_after(bundle, live), {**names, **live.first_names}
    return OwnershipRecord(owned, bundle.state, first_names, bundle.profile_settings)


def ownership_record_from_json(data: Mapping[str, Any]) -> OwnershipRecord:
    """Return the record that the file's JSON contains. Raises ValueError, KeyError, AttributeError or TypeError when it
    is not one: an unknown key, a name or type that kvmnet does not write."""
    if unknown := set(data) - {"interfaces", "state", "first-names", "profile-settings"}:
        raise ValueError(f"unknown key {sorted(unknown)[0]!a:.60}")
    return OwnershipRecord(
        {require_form(INTERFACE_NAME, name, "interface"): _read_owned(row) for name, row in data["interfaces"].items()},
        _read_recorded_state(data.get("state", {})),
        {
            require_form(MAC, mac, "MAC address"): require_form(KERNEL_NAME, name, "first name")
            for mac, name in data.get("first-names", {}).items()
        },
        {
            require_form(INTERFACE_NAME, name, "interface"): _read_settings(settings)
            for name, settings in data.get("profile-settings", {}).items()
        },
    )


def _read_owned(row: Mapping[str, Any]) -> Owned:
    if set(row) != {"type", "made", "uuid"} or row["type"] not in _TYPES or not isinstance(row["made"], bool):
        raise ValueError("an interface must have type, made and uuid")
    if row["uuid"]:
        require_form(UUID, row["uuid"], "UUID")
    return Owned(row["type"], row["made"], str(row["uuid"]))


def _read_recorded_state(state: Mapping[str, Any]) -> State:
    for interface in state.get("interfaces", []):
        require_form(INTERFACE_NAME, interface["name"], "interface")
    return dict(state)


def _read_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in settings.items():
        if key not in PROFILE_SETTINGS or not PROFILE_SETTINGS[key].is_valid(value):
            raise ValueError(f"unknown setting {key!a:.60}")
    return dict(settings)


def ownership_record_to_json(note: OwnershipRecord) -> dict[str, Any]:
    """Return the record as plain data for its JSON file."""
    settings = {name: dict(values) for name, values in note.settings.items()}
    return {
        "interfaces": {name: asdict(o) for name, o in sorted(note.owned.items())},
        "state": note.state,
        "first-names": dict(sorted(note.first_names.items())),
        **({"profile-settings": settings} if settings else {}),
    }
