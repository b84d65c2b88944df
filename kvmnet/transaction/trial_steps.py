"""The steps of the trial: nmstate changes the host in memory, and NetworkManager's checkpoint stays open."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional

from kvmnet.core.base.nmstate import ETHERNET, LOOPBACK, NM_TYPES, interfaces_of
from kvmnet.core.base.profile_settings import CLONED_MAC
from kvmnet.core.live.live_host import Live, version_of
from kvmnet.core.planning.carried_settings import carried_settings
from kvmnet.core.planning.expected_readback import make_expectations
from kvmnet.core.planning.ownership import choose_profile_uuid
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.sent_state import make_sent_state
from kvmnet.system import operations
from kvmnet.transaction.adoption_steps import find_hand_overs
from kvmnet.transaction.step import STEP_LIMIT, Step, step, undo_spec
from kvmnet.transaction.zone_choice import choose_zone

#: The oldest nmstate that was seen to take the profile that is active on a NIC. Older ones (2.2.24, 2.2.33) find a
#: profile by its interface-name only, and create a second one beside a profile that is bound to the MAC address.
FINDS_ACTIVE_PROFILE = (2, 2, 54)

#: The log of nmstate for the trial, in the transaction's folder, and for the removal before the renaming.
TRIAL_LOG, CLEAR_LOG = "nmstate.log", "nmstate-first.log"

KnownProfiles = Mapping[tuple[str, str], Sequence[str]]
"""The UUIDs of NetworkManager's connection profiles, active or not, by interface name and type."""


def clear_names(plan: Plan, live: Live, known: KnownProfiles, timeout: int) -> list[Step]:
    """The step that removes interfaces whose names or VLAN IDs are needed, in a trial of its own that ends before the
    NICs are renamed: NetworkManager has one checkpoint over a device, and a checkpoint does not survive the device's
    renaming. From its end to the next trial only the journal can roll back. `timeout` is in seconds."""
    if not plan.first:
        return []
    uuids = _profiles_of(plan.first["interfaces"], live, known)
    return [
        step(
            operations.CLEAR,
            f"remove {', '.join(sorted(plan.removed_first))} before the NICs are renamed",
            [
                undo_spec(operations.UNDO_CHECKPOINT, log=CLEAR_LOG),
                undo_spec(operations.UNDO_GLOBAL_DNS),
                undo_spec(operations.UNDO_FILES, uuids=uuids),
            ],
            limit=timeout + STEP_LIMIT // 2,
            state=plan.first,
            verify=True,  # NetworkManager must be done before the renaming
            timeout=timeout,
            log=CLEAR_LOG,
            expect=make_expectations(plan.first, None, live.virtual_ips),
        )
    ]


def _profiles_of(interfaces: Sequence[Mapping[str, Any]], live: Live, known: KnownProfiles) -> list[str]:
    """The UUIDs of the profiles of these interfaces, active or not."""
    uuids = {live.profiles[i["name"]].uuid for i in interfaces if i["name"] in live.profiles}
    for interface in interfaces:
        uuids.update(known.get((interface["name"], NM_TYPES.get(interface["type"], "")), ()))
    return sorted(uuids)


def bind_names(plan: Plan, live: Live) -> list[Step]:
    """The steps for an older nmstate that bind a NIC's profile, which is bound to the MAC address, to the NIC's name
    too, in memory. The name is removed before the NIC is renamed back: under another name the profile would leave it
    without an address."""
    version = version_of(live.nmstate)
    if not version or version >= FINDS_ACTIVE_PROFILE:
        return []
    steps = []
    for interface in interfaces_of(plan.state):
        name = interface["name"]
        profile = live.profiles.get(plan.old_names.get(name, name))
        if interface["type"] != ETHERNET or interface["state"] != "up" or profile is None:
            continue
        uuid = plan.copies[name].uuid if name in plan.copies else profile.uuid
        if name not in plan.old_names and uuid == profile.uuid and profile.interface_name == name:
            continue
        if name in plan.old_names or uuid != profile.uuid:
            undo = undo_spec(operations.UNDO_UNBIND_NAME, uuid=uuid)
        else:  # no earlier step restores this profile
            undo = undo_spec(operations.UNDO_FILES, uuids=[uuid])
        title = f"bind the connection profile of {name} to its name too"
        steps.append(step(operations.BIND_NAME, title, [undo], uuid=uuid, interface=name))
    return steps


def prepare_profiles(plan: Plan, live: Live, known: KnownProfiles) -> list[Step]:
    """The step that creates a profile in memory for each interface that has none. nmstate merges into it and keeps its
    firewalld zone, which nmstate does not manage, and its UUID, which marks the profile as created by kvmnet."""
    rows = []
    for interface in interfaces_of(plan.state):
        name, kind = interface["name"], NM_TYPES.get(interface["type"])
        if kind is None or interface["state"] != "up" or (name, kind) in known or name == LOOPBACK:
            continue
        if interface["type"] == ETHERNET and plan.old_names.get(name, name) in live.profiles:
            continue  # bound to the MAC address
        rows.append(
            {
                "uuid": choose_profile_uuid(plan.bundle.host, name, interface["type"], live),
                "interface": name,
                "type": kind,
                "zone": choose_zone(name, plan, live),
                "over": _section_of(interface),
                "carried": carried_settings(name, plan, live),
                "settings": dict(plan.profile_settings.get(name, {})),
            }
        )
    if not rows:
        return []
    names = ", ".join(row["interface"] for row in rows)
    return [
        step(
            operations.SEED,
            f"prepare {'a connection profile' if len(rows) == 1 else 'connection profiles'} for {names}",
            [undo_spec(operations.UNDO_PROFILES, profiles={row["uuid"]: row["interface"] for row in rows})],
            limit=STEP_LIMIT + len(rows),
            profiles=rows,
        )
    ]


def _section_of(interface: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    """Return the settings without which NetworkManager refuses a profile of this type; None if there are none."""
    kind = interface["type"]
    if kind == "mac-vlan":
        return {**interface[kind], "tap": False}
    return dict(interface[kind]) if kind in ("vlan", "mac-vtap", "vxlan", "vrf") else None


def set_profile_settings(plan: Plan, live: Live, known: KnownProfiles) -> list[Step]:
    """The step that changes settings, which nmstate cannot express, in existing profiles, in memory. nmstate merges
    into the profile and activates it. Where only the profile differs, no device is touched.

    The MAC address of an adopted interface is left out where nmstate applies the profile (`as_applied`): see
    planning/sent_state."""
    types = {i["name"]: i["type"] for i in interfaces_of(plan.bundle.state)}
    sent = {i["name"] for i in interfaces_of(plan.state)}
    profiles: dict[str, dict[str, Any]] = {}
    as_applied: dict[str, str] = {}
    for name, settings in plan.profile_settings.items():
        kind, active = NM_TYPES.get(types[name], ""), live.profiles.get(plan.old_names.get(name, name))
        is_active = active is not None and active.type == kind
        uuids = [active.uuid] if active is not None and is_active else known.get((name, kind), ())
        profiles.update({uuid: dict(settings) for uuid in uuids})
        if name in sent and CLONED_MAC.name in settings and active is not None and is_active:
            del profiles[active.uuid][CLONED_MAC.name]
            as_applied[active.uuid] = active.device
    if not profiles:
        return []
    title = f"set {_settings_text(plan)} in the connection {_profiles_text(profiles)} of "
    return [
        step(
            operations.SET_SETTINGS,
            title + ", ".join(plan.profile_settings),
            [undo_spec(operations.UNDO_FILES, uuids=sorted(profiles))],
            limit=STEP_LIMIT + len(profiles),
            profiles=profiles,
            as_applied=as_applied,
        )
    ]


def check_profile_settings(plan: Plan) -> list[Step]:
    """The step that finds out whether nmstate has kept these settings, and sets and activates them again otherwise. The
    trial's checkpoint undoes this step too."""
    sent = {i["name"] for i in interfaces_of(plan.state)}
    settings = {name: dict(values) for name, values in plan.profile_settings.items() if name in sent}
    if not settings:
        return []
    title = f"keep {_settings_text(plan)} in the connection {_profiles_text(settings)} of {', '.join(settings)}"
    return [step(operations.CHECK_SETTINGS, title, limit=STEP_LIMIT + len(settings), interfaces=settings)]


def set_macs(plan: Plan, live: Live) -> list[Step]:
    """The step that sets the MAC address of bridges and bonds that have another one, in case nmstate does not:
    NetworkManager (1.42 to 1.54) sets the MAC address of a device only when it activates it, and it reapplies a profile
    that already contains the MAC address. The trial's checkpoint undoes this step too."""
    live_macs = {i["name"]: str(i.get("mac-address", "")).lower() for i in interfaces_of(live.state)}
    macs = {
        name: plan.macs[name].mac
        for name in (i["name"] for i in interfaces_of(plan.state) if i["state"] == "up" and i["name"] in plan.macs)
        if live_macs.get(name) not in (None, "", plan.macs[name].mac) and _is_controller(name, live)
    }
    if not macs:
        return []
    return [step(operations.SET_MACS, f"set the MAC address of {', '.join(macs)}", macs=macs)]


def _is_controller(name: str, live: Live) -> bool:
    return name in live.links and live.links[name].kind in ("bridge", "bond")


def _settings_text(plan: Plan) -> str:
    return ", ".join(dict.fromkeys(key for settings in plan.profile_settings.values() for key in settings))


def _profiles_text(profiles: Collection[str]) -> str:
    return "profile" if len(profiles) == 1 else "profiles"


def drop_bond_options(plan: Plan, live: Live) -> list[Step]:
    """The steps that remove options that are no longer defined from a bond's profile, in memory. nmstate merges into
    the profile, and cannot express the default of every option."""
    return [
        step(
            operations.DROP_OPTIONS,
            f"remove {', '.join(options)} from the connection profile of {name}",
            [undo_spec(operations.UNDO_FILES, uuids=[live.profiles[name].uuid])],
            uuid=live.profiles[name].uuid,
            options=list(options),
        )
        for name, options in plan.dropped.items()
        if name in live.profiles and live.profiles[name].type == "bond"
    ]


def apply_state(plan: Plan, live: Live, known: KnownProfiles, timeout: int, confirm: int) -> list[Step]:
    """The step in which nmstate applies the state; none without a state. `timeout` and `confirm` are in seconds; their
    sum is the checkpoint's timeout."""
    if not plan.state:
        return []
    names = ", ".join(i["name"] for i in interfaces_of(plan.state)) or "routes, rules and name servers"
    # NetworkManager's rollback restores a profile's settings but leaves the profile in memory, over its file. nmstate
    # also takes an inactive profile, when there is no active one.
    interfaces = [i for state in (plan.bundle.state, plan.state) for i in interfaces_of(state)]
    activated = activated_by_old_profiles(plan, live, known)
    return [
        step(
            operations.APPLY,
            f"apply {names} as a trial",
            [
                undo_spec(operations.UNDO_CHECKPOINT, log=TRIAL_LOG),
                undo_spec(operations.UNDO_GLOBAL_DNS),
                *([undo_spec(operations.UNDO_LINKS, names=activated)] if activated else []),
                undo_spec(operations.UNDO_PORTS),
                undo_spec(operations.UNDO_FILES, uuids=_profiles_of(interfaces, live, known)),
            ],
            limit=timeout + STEP_LIMIT // 2,
            state=make_sent_state(plan, live),
            timeout=timeout + confirm,
            log=TRIAL_LOG,
            **({"hand_over": hand_overs} if (hand_overs := find_hand_overs(plan, live)) else {}),
        )
    ]


def activated_by_old_profiles(plan: Plan, live: Live, known: KnownProfiles) -> list[str]:
    """The virtual interfaces that NetworkManager creates from an inactive profile that existed before. No other undo
    removes them, because their profiles stay."""
    kernel_names = {link.name for link in live.links.values() if link.kind}
    return [
        i["name"]
        for i in interfaces_of(plan.state)
        if i["state"] == "up"
        and i["type"] != ETHERNET
        and i["name"] not in kernel_names
        and (i["name"], NM_TYPES.get(i["type"], "")) in known
    ]


def keep_dhcp_iaids(plan: Plan, live: Live) -> list[Step]:
    """The step that keeps the DHCPv6 IAIDs. nmstate lets every profile that it changes request DHCPv6 with an IAID made
    from the MAC address, and cannot express another one. The trial's checkpoint undoes this step too."""
    if not plan.state:
        return []
    changed = {i["name"] for i in interfaces_of(plan.state)} | set(maybe_changed(plan, live))
    iaids = {name: identity.iaid for name, identity in plan.identities.items() if identity.iaid and name in changed}
    if not iaids:
        return []
    title = f"keep the DHCPv6 IAID of {', '.join(iaids)}"
    return [step(operations.ASSOCIATIONS, title, limit=STEP_LIMIT + len(iaids), interfaces=iaids)]


def maybe_changed(plan: Plan, live: Live) -> list[str]:
    """The interfaces that nmstate may change although they are not sent to it: it chooses the profiles into which it
    puts routes, rules and name servers."""
    if not any(plan.state.get(part) for part in ("routes", "route-rules", "dns-resolver")):
        return []
    surely_changed = {i["name"] for i in interfaces_of(plan.state)} | set(plan.unsaved)
    active = [i["name"] for i in interfaces_of(plan.bundle.state) if i.get("state") == "up"]
    return [name for name in active if name not in surely_changed and plan.old_names.get(name, name) in live.profiles]


def clear_primary_ports(plan: Plan, live: Live) -> list[Step]:
    """The steps that clear the primary port of running bonds: a bond keeps it when its profile has none any more
    (NetworkManager 1.42 and 1.52)."""
    interfaces = {i["name"]: i for i in interfaces_of(live.state)}
    steps = []
    for name, options in plan.dropped.items():
        primary = interfaces.get(name, {}).get("link-aggregation", {}).get("options", {}).get("primary")
        if "primary" in options and primary:
            undo = undo_spec(operations.UNDO_BOND_OPTION, interface=name, option="primary", value=str(primary))
            title = f"clear the primary port of {name}"
            steps.append(step(operations.BOND_OPTION, title, [undo], interface=name, option="primary", value=""))
    return steps
