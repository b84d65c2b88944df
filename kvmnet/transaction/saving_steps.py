"""The steps that keep a verified change: the trial's checkpoint ends, and everything is written to disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kvmnet.core.base.nmstate import ETHERNET, interfaces_of
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.ownership import choose_profile_uuid
from kvmnet.core.planning.plan import Plan
from kvmnet.system import operations
from kvmnet.transaction import copy_steps
from kvmnet.transaction.naming_steps import write_permanent_link_files
from kvmnet.transaction.step import STEP_LIMIT, Step, step, undo_spec
from kvmnet.transaction.trial_steps import TRIAL_LOG, maybe_changed


def keep_change(plan: Plan, live: Live) -> list[Step]:
    """The steps from the commit to the deletion of profiles. Deleting comes after saving: until then the profiles on
    disk would create what leaves again, which is harmless; without them a NIC that was a port of one of them would have
    no address."""
    return [
        *_commit(plan),
        *_write_rebound_profiles(plan, live),
        *copy_steps.write_copies(plan),
        *write_permanent_link_files(plan, live),
        *_set_hostname(plan, live),
        *_stay_down_at_boot(plan, live),
        *_save_profiles(plan, live),
        *copy_steps.remove_interim_files(plan),
        *_delete_profiles(plan, live),
    ]


def _commit(plan: Plan) -> list[Step]:
    return [step(operations.COMMIT, "commit the trial", log=TRIAL_LOG)] if plan.state else []


def _write_rebound_profiles(plan: Plan, live: Live) -> list[Step]:
    steps = []
    for rename in plan.renames:
        profile = live.profiles.get(rename.old) if rename.new not in plan.copies else None
        if profile is not None and profile.saved and profile.file.endswith(".nmconnection"):
            steps.append(
                step(
                    operations.WRITE_PROFILE,
                    f"bind the connection profile of {rename.old} to its MAC address on disk",
                    [undo_spec(operations.UNDO_FILES, paths=[profile.file])],
                    uuid=profile.uuid,
                    path=profile.file,
                )
            )
    return steps


def _set_hostname(plan: Plan, live: Live) -> list[Step]:
    if plan.hostname is None:
        return []
    old_name = live.state.get("hostname", {}).get("config") or ""
    return [
        step(
            operations.HOSTNAME,
            f"set the hostname to {plan.hostname}",
            [
                undo_spec(operations.UNDO_HOSTNAME, name=old_name, running=live.hostname),
                undo_spec(operations.UNDO_FILES, paths=["/etc/hostname"]),
            ],
            name=plan.hostname,
        )
    ]


def _stay_down_at_boot(plan: Plan, live: Live) -> list[Step]:
    """nmstate deactivates the profile of an interface that is to be down (2.2), but the next boot would activate it
    again."""
    down = [i["name"] for i in interfaces_of(plan.state) if i["state"] == "down"]
    profiles = {name: p.uuid for name in down if (p := live.profiles.get(plan.old_names.get(name, name))) and p.saved}
    if not profiles:
        return []
    uuids = sorted(set(profiles.values()))
    undo = undo_spec(operations.UNDO_FILES, uuids=uuids)
    return [step(operations.STAY_DOWN, f"keep {', '.join(profiles)} down at boot", [undo], uuids=uuids)]


def _save_profiles(plan: Plan, live: Live) -> list[Step]:
    perhaps = maybe_changed(plan, live)
    groups = _save_order(plan, perhaps)
    names = [name for group in groups for name in group]
    if not names:
        return []
    surely_changed = [name for name in names if name not in perhaps]
    uuids = [live.profiles[r.old].uuid for r in plan.renames if r.old in live.profiles]
    uuids += [live.profiles[n].uuid for n in names if n in live.profiles]
    types = {i["name"]: i["type"] for i in interfaces_of(plan.bundle.state)}
    uuids += [copy.uuid for copy in plan.copies.values()]
    uuids += [choose_profile_uuid(plan.bundle.host, n, types.get(n, ETHERNET), live) for n in names]
    return [
        step(
            operations.SAVE,
            "save the connection profiles to disk" + (": " + ", ".join(surely_changed) if surely_changed else ""),
            [undo_spec(operations.UNDO_FILES, uuids=sorted(set(uuids)))],
            limit=STEP_LIMIT + 2 * len(names),
            interfaces=groups,
            perhaps=perhaps,
        )
    ]


def _save_order(plan: Plan, perhaps: Sequence[str]) -> list[list[str]]:
    """The interfaces whose profiles are saved, controllers before their ports: bridges, then bonds and VLANs, then
    NICs. On disk a bridge without its port is harmless, because the port still has the address; a port without its
    bridge is not."""
    active = [i["name"] for i in interfaces_of(plan.state) if i.get("state") == "up"]
    types = {i["name"]: i["type"] for i in interfaces_of(plan.bundle.state)}
    groups: list[list[str]] = [[], [], []]
    for name in dict.fromkeys([*active, *plan.unsaved, *perhaps]):
        groups[{"linux-bridge": 0, ETHERNET: 2}.get(types.get(name, ETHERNET), 1)].append(name)
    return [group for group in groups if group]


def _delete_profiles(plan: Plan, live: Live) -> list[Step]:
    idle = [p.uuid for p in live.idle if p.type == "bridge" and p.interface_name in plan.replaced]
    uuids = sorted({*(live.profiles[n].uuid for n in plan.leaving if n in live.profiles), *plan.down.values(), *idle})
    if not uuids:
        return []
    title = "delete the connection profiles of " + ", ".join([*plan.leaving, *plan.down])
    undo = [undo_spec(operations.UNDO_FILES, uuids=uuids), *undo_activation(plan, live)]
    return [step(operations.FORGET, title, undo, uuids=uuids)]


def undo_activation(plan: Plan, live: Live) -> list[Step]:
    """The undo for interfaces that are down now. It comes after the one that restores their profiles: NetworkManager
    activates a profile that it reads as a new one."""
    names = [name for name in plan.down if name not in live.links]
    return [undo_spec(operations.UNDO_LINKS, names=names)] if names else []


def write_guest_settings(plan: Plan) -> list[Step]:
    """The step that writes NetworkManager's settings that leave guests' devices unmanaged; none when they are
    unchanged."""
    if not plan.settings:
        return []
    return [
        step(
            operations.WRITE_FILES,
            "write NetworkManager's settings for guests' devices",
            [undo_spec(operations.UNDO_FILES, paths=sorted(plan.settings))],
            files={path: text for path, text in plan.settings.items() if text is not None},
            remove=[path for path, text in plan.settings.items() if text is None],
            reload="NetworkManager",
        )
    ]


def record_applied(record: Mapping[str, str], stale: Collection[str]) -> Step:
    """The step that writes the files that record the applied bundle (path to text), and removes stale ones."""
    return step(
        operations.WRITE_FILES,
        "record the applied bundle",
        [undo_spec(operations.UNDO_FILES, paths=sorted({*record, *stale}))],
        files=dict(record),
        remove=list(stale),
    )
