"""The plan: what of a bundle a host does not have yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Optional

from kvmnet.core.base.nmstate import State, interfaces_of
from kvmnet.core.base.profile_settings import CLONED_MAC
from kvmnet.core.live.live_host import UNREADABLE, ConnectionProfile, Live
from kvmnet.core.planning.adoption import find_replaced_macs
from kvmnet.core.planning.changes import Change, Detail, InactiveProfile, NewName, Reason, hostname_change
from kvmnet.core.planning.complete_bundle import ChosenMac, choose_macs, complete_bundle, keep_spanning_tree
from kvmnet.core.planning.dhcp_identity import Identity
from kvmnet.core.planning.file_changes import compare_link_files, compare_settings
from kvmnet.core.planning.macvtap_multicast import find_filtered_macvtaps
from kvmnet.core.planning.ownership import find_inactive_leaving
from kvmnet.core.planning.profile_changes import ProfileComparison, Settings, compare_profiles
from kvmnet.core.planning.profile_copies import ProfileCopy, find_profile_copies
from kvmnet.core.planning.rename_order import Rename, find_renames, new_names_of
from kvmnet.core.planning.state_changes import StateComparison, compare_state
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.hook_record import format_hook_record


@dataclass(frozen=True)
class Plan:
    """What is to be done on a host to match `bundle`.

    renames: NICs that get another name.
    link_files: kvmnet's `.link` files to write, text by name; stale_files: those to remove.
    state: the nmstate state to apply; it contains only what differs.
    first: a state to apply before the renames, when something has to be removed that early.
    desired: the bundle's state with the defaults of the keys that left it; empty for a removal of kvmnet.
    unsaved: interfaces whose connection profiles are to be saved besides those in `state`.
    hostname: the static hostname to set; None: it stays.
    settings: kvmnet's files about guests' devices, text by path; None: the file is removed.
    filtered_macvtaps: guests' macvtaps that exist and must receive all multicast frames, but do not.
    record: whether kvmnet's record of the applied bundle is to be written.
    changes: what changes, for people.
    leaving: interfaces that are removed, with the bridges that are replaced; down: inactive ones, of which only the
        profiles are removed (UUID by name).
    dropped: options that left a bond, by the bond's name.
    copies: the NICs that get a copy of their connection profile, by their names after the change.
    identities: how interfaces identify themselves to DHCP servers and routers, whether they are in `state` or not.
    adopted: existing interfaces of another tool that the definition takes over.
    replaced: bridges whose uplinks, addresses and guests' ports go to a new bridge (its name by theirs).
    moves: the live interface from which an interface of the definition takes its addresses over, by the name of the
        latter.
    profile_settings: the settings of connection profiles that kvmnet sets itself, by the interface's name: of the
        interfaces in `state`, and of those of which only the profile differs.
    macs: the MAC addresses of the bundle's bridges and bonds.
    as_rendered: the bundle without what this host adds to it (`complete_bundle`).
    """

    bundle: Bundle
    renames: tuple[Rename, ...] = ()
    link_files: Mapping[str, str] = field(default_factory=dict)
    stale_files: tuple[str, ...] = ()
    state: State = field(default_factory=dict)
    first: State = field(default_factory=dict)
    desired: State = field(default_factory=dict)
    unsaved: tuple[str, ...] = ()
    hostname: Optional[str] = None
    settings: Mapping[str, Optional[str]] = field(default_factory=dict)
    filtered_macvtaps: tuple[str, ...] = ()
    record: bool = False
    changes: tuple[Change, ...] = ()
    leaving: tuple[str, ...] = ()
    down: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    identities: Mapping[str, Identity] = field(default_factory=dict)
    adopted: tuple[str, ...] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)
    moves: Mapping[str, str] = field(default_factory=dict)
    profile_settings: Mapping[str, Settings] = field(default_factory=dict)
    macs: Mapping[str, ChosenMac] = field(default_factory=dict)
    as_rendered: Optional[Bundle] = None

    @property
    def rendered(self) -> Bundle:
        """The bundle whose files and digest are recorded and saved."""
        return self.as_rendered or self.bundle

    copies: Mapping[str, ProfileCopy] = field(default_factory=dict)

    @cached_property
    def new_names(self) -> Mapping[str, str]:
        """The new names of the renamed NICs, by their old names."""
        return new_names_of(self.renames)

    @cached_property
    def old_names(self) -> Mapping[str, str]:
        """The old names of the renamed NICs, by their new names."""
        return {rename.new: rename.old for rename in self.renames}

    @property
    def removed_first(self) -> set[str]:
        """The interfaces that are removed before the NICs are renamed."""
        return {i["name"] for i in interfaces_of(self.first) if i["state"] == "absent"}

    @property
    def touched(self) -> set[str]:
        """Every interface that is changed, by its names before and after."""
        sent = [i["name"] for state in (self.state, self.first) for i in interfaces_of(state)]
        return {*sent, *self.leaving, *self.new_names, *self.old_names}

    @property
    def empty(self) -> bool:
        """Whether nothing is to be done: the host matches the bundle, on disk too."""
        return not self.changes

    @property
    def changes_host(self) -> bool:
        """Whether more is to be done than to write kvmnet's record."""
        return any(change.kind != "record" for change in self.changes)

    def changes_link_files(self, live: Live) -> bool:
        """Whether a `.link` file of kvmnet's that is on the host is removed or rewritten."""
        is_removal = not self.desired and bool(live.link_files)
        return is_removal or bool(self.stale_files) or bool(set(self.link_files) & set(live.link_files))


def make_plan(bundle: Bundle, live: Live) -> Plan:
    """Compare a bundle with the live host. Whether the host can take the change is judged by core/refusals."""
    rendered, renames = bundle, find_renames(bundle, live)
    macs = {**choose_macs(rendered, live), **find_replaced_macs(rendered, live, new_names_of(renames))}
    bundle, inactive = keep_spanning_tree(complete_bundle(rendered, macs), live), find_inactive_leaving(rendered, live)
    profiles = compare_profiles(bundle, live, {rename.new: rename.old for rename in renames})
    compared = compare_state(bundle, live, new_names_of(renames), profiles)
    link_files, stale_files, link_file_changes = compare_link_files(bundle, live)
    settings, setting_changes = compare_settings(bundle, live)
    stored = {name: found for name, found in profiles.stored.items() if name not in compared.sent}
    unsaved = [name for name in _find_unsaved(bundle, compared.sent, live) if name not in stored]
    hostname, hostname_changes = _compare_hostname(bundle.state, live.state)

    changes = [Change("rename", r.old, (NewName(r.new, r.mac),)) for r in renames]
    changes += [*link_file_changes, *_list_interface_changes(compared, stored, inactive)]
    changes += [Change("save", name, (Reason.ONLY_IN_MEMORY,)) for name in unsaved]
    changes += [*hostname_changes, *setting_changes]
    filtered = find_filtered_macvtaps(bundle, live)
    changes += [Change("change", name, (Reason.ALL_MULTICAST,)) for name in filtered]
    record = _must_record(bundle, live)
    copies = find_profile_copies(bundle, compared.state, renames, live)
    rebound = _find_rebound(renames, copies, {*compared.sent, *unsaved, *stored}, live)
    if record and not changes:
        changes.append(Change("record", bundle.host, (Reason.NOT_RECORDED,)))
    return Plan(
        bundle=bundle,
        renames=renames,
        link_files=link_files,
        stale_files=tuple(stale_files),
        state=compared.state,
        first=compared.first,
        desired=compared.desired,
        unsaved=(*unsaved, *stored, *rebound),
        hostname=hostname,
        settings=settings,
        filtered_macvtaps=tuple(filtered),
        record=record,
        changes=tuple(changes),
        leaving=tuple(compared.leaving),
        down={name: profile.uuid for name, profile in inactive.items()},
        dropped=compared.dropped,
        identities=compared.identities,
        adopted=compared.adopted,
        replaced=compared.replaced,
        moves=compared.moves,
        profile_settings=_find_set_settings(profiles, set(compared.sent)),
        macs=macs,
        as_rendered=rendered,
        copies=copies,
    )


def _list_interface_changes(
    compared: StateComparison, stored: Mapping[str, tuple[Detail, ...]], inactive: Mapping[str, ConnectionProfile]
) -> list[Change]:
    """Return the changes of interfaces, routes and name servers, and of profiles that only the disk has."""
    named = {change.name for change in compared.interface_changes}
    return [
        *compared.interface_changes,
        *(Change("change", name, details) for name, details in stored.items() if name not in named),
        *(Change("remove", p.file, (InactiveProfile(name, True),)) for name, p in inactive.items()),
        *compared.routing_changes,
    ]


def _find_set_settings(profiles: ProfileComparison, sent: set[str]) -> dict[str, Settings]:
    """Return the settings of the interfaces that are sent, which nmstate may overwrite, and of those of which only the
    profile differs."""
    settings = {name: profiles.desired[name] for name in profiles.desired if name in sent}
    for name in sent & set(profiles.adopted_macs):
        settings[name] = {**settings.get(name, {}), CLONED_MAC.name: profiles.adopted_macs[name]}
    for name, differences in profiles.stored.items():
        settings[name] = {**settings.get(name, {}), **{d.name: d.desired for d in differences}}
    return settings


def _find_unsaved(bundle: Bundle, sent: Collection[str], live: Live) -> list[str]:
    """Return the interfaces that match the bundle but whose connection profiles are only in memory."""
    return [
        i["name"]
        for i in interfaces_of(bundle.state)
        if i["name"] not in sent and i["name"] in live.profiles and not live.profiles[i["name"]].saved
    ]


def _find_rebound(
    renames: Collection[Rename], copies: Collection[str], known: Collection[str], live: Live
) -> list[str]:
    """Return the NICs that are only renamed, or only get a copy of their profile: the profile was bound to the MAC
    address in memory, so it is to be saved too."""
    renamed = [r.new for r in renames if r.old in live.profiles]
    return [name for name in dict.fromkeys([*renamed, *copies]) if name not in known]


def _compare_hostname(desired: State, live: State) -> tuple[Optional[str], list[Change]]:
    """Return the static hostname to set and the change; None when it has its value or the definition has none. It is
    a step of its own, because nmstate does not set it when it applies a state in memory only (nmstate 2.2)."""
    wanted = desired.get("hostname", {}).get("config")
    current = live.get("hostname", {}).get("config") or None
    if wanted is None or wanted == current:
        return None, []
    return str(wanted), [hostname_change(current, str(wanted))]


def _must_record(bundle: Bundle, live: Live) -> bool:
    """Whether kvmnet's record is to be written: another bundle was applied last, or the file that libvirt's hook reads
    is missing or corrupt. Only root can know."""
    is_recorded = live.applied == bundle.digest and live.hook in (format_hook_record(bundle), UNREADABLE)
    return live.applied != UNREADABLE and not is_recorded
