"""What a change alters at the next boot: the files as saving will leave them, and what each interface gets from them.

The text of the profiles that nmstate will write is not known before the trial. What decides where NetworkManager
activates them is: UUID, type, binding to a name or MAC address, controller, base interface. After saving, the worker
computes the same from the real files (transaction/boot_steps).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Optional

from kvmnet.core.base.nmstate import ETHERNET, NM_TYPES, interfaces_of, port_names
from kvmnet.core.boot.boot_files import ETC_FOLDER, BootFiles
from kvmnet.core.boot.outcome import CREATED, NOTHING, PROFILE, BootOutcome, compute_outcomes
from kvmnet.core.boot.stored_profile import NEW_KEYS_SINCE, StoredProfile
from kvmnet.core.live.live_host import ConnectionProfile, Live
from kvmnet.core.planning.ownership import choose_profile_uuid
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.profile_copies import ProfileCopy

Interface = Mapping[str, Any]


@dataclass(frozen=True)
class BootChange:
    """An interface that gets something else at the next boot than before the change."""

    before: BootOutcome
    after: BootOutcome

    @property
    def is_usual(self) -> bool:
        """Whether it had no profile, and gets the one that NetworkManager creates for every NIC that no profile fits:
        a profile that fitted it by chance is bound to another NIC."""
        return self.before.kind == NOTHING and self.after.kind == CREATED


@dataclass(frozen=True)
class OwnOutcome:
    """What an interface of the definition gets at the next boot after the change. `uuid` is its own profile, and
    `controller` its controller in the definition (empty without one)."""

    outcome: BootOutcome
    uuid: str
    controller: str

    @property
    def is_right(self) -> bool:
        """Whether it gets its own profile, as a port of its controller."""
        own = self.outcome.kind == PROFILE and self.outcome.uuid == self.uuid
        return own and self.outcome.controller == self.controller


@dataclass(frozen=True)
class NextBoot:
    """What the next boot gives to each interface: from the files as they are, and as the change will leave them.

    before, after: all outcomes by name. own: those of the definition's interfaces after the change. foreign: the keys
    of `before` that the change does not name.
    """

    before: Mapping[str, BootOutcome]
    after: Mapping[str, BootOutcome]
    own: Mapping[str, OwnOutcome]
    foreign: tuple[str, ...]

    @property
    def changes(self) -> list[BootChange]:
        """The changes for interfaces that neither the definition nor the plan names."""
        changed = []
        for name in self.foreign:
            before = self.before[name]
            after = self.after.get(name, BootOutcome(name, NOTHING, before.mac))
            if after.identity != before.identity:
                changed.append(BootChange(before, after))
        return changed


def foresee_next_boot(plan: Plan, live: Live) -> Optional[NextBoot]:
    """Return what the next boot gives before and after the change; None when the files are not known."""
    if live.boot is None:
        return None
    before = compute_outcomes(live.boot)
    own_profiles = find_own_profiles(plan, live)
    after = compute_outcomes(files_after(plan, live, live.boot, own_profiles))
    controllers = _controllers_of(plan)
    own = {
        name: OwnOutcome(after[name], profile.uuid, str(controllers[name]["name"]) if name in controllers else "")
        for name, profile in own_profiles.items()
        if name in after
    }
    return NextBoot(before, after, own, tuple(_find_foreign(plan, live, before)))


def _find_foreign(plan: Plan, live: Live, outcomes: Mapping[str, BootOutcome]) -> Iterator[str]:
    """Yield the interfaces that neither the definition nor the plan names."""
    named = {i["name"] for i in interfaces_of(plan.bundle.state)} | plan.touched | set(plan.down)
    named |= {nic.name for nic in plan.bundle.nics}
    macs = {link.mac for nic in plan.bundle.nics if (link := live.find(nic))}
    for name, outcome in outcomes.items():
        if name not in named and not (outcome.mac and outcome.mac in macs):
            yield name


def find_own_profiles(plan: Plan, live: Live) -> dict[str, StoredProfile]:
    """Return the profile that each interface of the definition that is up will have on disk, by the interface's name.

    A profile that is not written stays as it is; an interface that is inactive and not changed (a NIC without a
    carrier) may have none that is known. Of the others, the settings are known that decide where it is activated."""
    boot = live.boot or BootFiles()
    written = {i["name"] for i in interfaces_of(plan.state) if i["state"] == "up"} | set(plan.unsaved)
    controllers = _controllers_of(plan)
    own = {}
    for interface in interfaces_of(plan.desired):
        name = interface["name"]
        if interface["state"] != "up" or interface["type"] not in NM_TYPES:
            continue
        stored = _find_stored(interface, plan, live, boot)
        if stored is None and name not in written:
            continue
        stored = stored or _new_profile(interface, plan, live, boot)
        is_written = name in written or stored.uuid not in boot.effective
        own[name] = _as_written(stored, interface, controllers.get(name), plan, live) if is_written else stored
    return own


def _controllers_of(plan: Plan) -> dict[str, Interface]:
    """Return the controller of each port of the definition, by the port's name."""
    return {port: i for i in interfaces_of(plan.desired) for port in port_names(i)}


def _find_stored(interface: Interface, plan: Plan, live: Live, boot: BootFiles) -> Optional[StoredProfile]:
    """Return the profile that nmstate will use for an interface: a copy of the active one, or this itself, or an
    inactive one that is bound to the interface; None when there is none."""
    name, kind = interface["name"], NM_TYPES[interface["type"]]
    if name in plan.copies:
        return _as_copied(name, plan.copies[name], boot)
    current_name = plan.old_names.get(name, name) if interface["type"] == ETHERNET else name
    active, link = live.profiles.get(current_name), live.links.get(current_name)
    if active is None or active.type != kind:
        idle = [profile for profile in live.idle if profile.type == kind]
        bound = [profile for profile in idle if profile.interface_name == name]
        bound += [profile for profile in idle if link is not None and link.mac and profile.mac == link.mac]
        active = bound[0] if bound else None
    return (boot.effective.get(active.uuid) or _from_live(active, boot)) if active is not None else None


def _new_profile(interface: Interface, plan: Plan, live: Live, boot: BootFiles) -> StoredProfile:
    """Return the profile that kvmnet creates for an interface."""
    name = interface["name"]
    uuid = choose_profile_uuid(plan.bundle.host, name, interface["type"], live)
    connection = {"id": name, "uuid": uuid, "type": NM_TYPES[interface["type"]], "interface-name": name}
    return StoredProfile(f"{ETC_FOLDER}/{name}.nmconnection", {"connection": connection}, 0, False, _knows(boot))


def _as_copied(name: str, copy: ProfileCopy, boot: BootFiles) -> StoredProfile:
    """Return the copy of a profile as it is saved: bound to the MAC address, with its own priority."""
    settings: dict[str, dict[str, Optional[str]]] = {
        "connection": {
            "uuid": copy.uuid,
            "id": name,
            "autoconnect-priority": str(copy.priority),
            **dict.fromkeys(("interface-name", "multi-connect")),
        },
        "ethernet": {"mac-address": copy.mac},
        "match": dict.fromkeys(("interface-name", "driver", "path", "kernel-command-line")),
    }
    source = boot.effective.get(copy.source.uuid) or _from_live(copy.source, boot)
    groups = source.changed(settings).groups
    return StoredProfile(f"{ETC_FOLDER}/{name}.nmconnection", groups, 0, False, _knows(boot))


def _from_live(profile: ConnectionProfile, boot: BootFiles) -> StoredProfile:
    """Return a profile that is only in memory as saving writes it."""
    connection = {"id": profile.id, "uuid": profile.uuid, "type": profile.type}
    connection["interface-name"] = profile.interface_name
    connection["autoconnect-priority"] = str(profile.priority)
    groups = {"connection": connection, "ethernet": {"mac-address": profile.mac} if profile.mac else {}}
    if profile.match:
        groups["match"] = {"interface-name": profile.match.replace(",", ";")}
    name = profile.file.rpartition("/")[2]
    return StoredProfile(f"{ETC_FOLDER}/{name}", groups, 0, False, _knows(boot))


def _knows(boot: BootFiles) -> bool:
    return not boot.version or boot.version >= NEW_KEYS_SINCE


def _as_written(
    stored: StoredProfile, interface: Interface, controller: Optional[Interface], plan: Plan, live: Live
) -> StoredProfile:
    """Return a profile as nmstate will have changed it: bound to the name, and as a port of its controller. What else
    decides where it is activated (multi-connect, [match]) stays. A NIC that is renamed is bound to its MAC address."""
    name = interface["name"]
    kind = NM_TYPES[controller["type"]] if controller is not None else None
    of = controller["name"] if controller is not None else None
    connection = {"interface-name": name, "autoconnect": "true", "controller": of, "master": of}
    connection.update({"port-type": kind, "slave-type": kind})
    settings: dict[str, dict[str, Optional[str]]] = {"connection": connection}
    if port_names(interface):
        connection.update({"autoconnect-ports": "1", "autoconnect-slaves": "1"})
    rename = next((r for r in plan.renames if r.new == name), None)
    if rename is not None and interface["type"] == ETHERNET:
        settings["ethernet"] = {"mac-address": rename.mac}
        settings["match"] = {"interface-name": None}
    if "base-iface" in interface.get(interface["type"], {}):
        settings[NM_TYPES[interface["type"]]] = {"parent": interface[interface["type"]]["base-iface"]}
    return replace(stored.changed(settings), regenerated=stored.regenerated)


def files_after(plan: Plan, live: Live, boot: BootFiles, own: Mapping[str, StoredProfile]) -> BootFiles:
    """Return the files as saving will leave them. `own` are the profiles of the definition's interfaces."""
    gone = {live.profiles[name].uuid for name in plan.leaving if name in live.profiles} | set(plan.down.values())
    down = {i["name"] for i in interfaces_of(plan.state) if i["state"] == "down"}
    down_uuids = {p.uuid for n in down if (p := live.profiles.get(plan.old_names.get(n, n)))}
    written = {profile.uuid: profile for profile in own.values()}
    profiles = [
        # the file of another program is written again at the next boot, and hides what kvmnet has saved
        p.changed({"connection": {"autoconnect": "false"}}) if p.uuid in down_uuids else p
        for p in boot.profiles
        if p.uuid not in gone and (p.uuid not in written or p.regenerated)
    ]
    names = {nic.mac: nic.name for nic in boot.nics}
    names.update({rename.mac: rename.new for rename in plan.renames})
    nics = tuple(replace(nic, name=names[nic.mac]) for nic in boot.nics)
    new_names = {old.name: new.name for old, new in zip(boot.nics, nics)}
    active = {new_names.get(n, n): u for n, u in boot.active.items() if u not in gone and n not in down}
    active.update({name: profile.uuid for name, profile in own.items()})
    saved = [p if not p.regenerated else replace(p, file=_saved_file(p), regenerated=False) for p in written.values()]
    return replace(boot, profiles=(*profiles, *saved), nics=nics, active=active)


def _saved_file(profile: StoredProfile) -> str:
    return f"{ETC_FOLDER}/{profile.file.rpartition('/')[2]}"


def find_present_differences(live: Live, foreign: Mapping[str, BootOutcome]) -> Iterator[tuple[str, BootOutcome]]:
    """Yield the interfaces (with what they have now, in words) that the next boot gives something else, whether kvmnet
    changes anything or not. Of the interfaces that the definition does not name (`foreign`)."""
    for name, outcome in foreign.items():
        link = live.nic(outcome.mac) if outcome.mac else live.links.get(name)
        active = live.profiles.get(link.name) if link is not None else None
        if active is None or (outcome.kind == PROFILE and outcome.uuid == active.uuid):
            continue
        if outcome.kind == CREATED and not active.saved:
            continue  # NetworkManager creates the profile again
        yield active.id, outcome
