"""The steps that name NICs for udev, in the kernel and in firewalld, with their undo."""

from __future__ import annotations

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.rename_order import RenameStep, order_renames
from kvmnet.system import operations
from kvmnet.transaction.step import Step, step, undo_spec
from kvmnet.transaction.zone_choice import choose_zone

RUN_DIR = "/run/systemd/network"
ETC_DIR = "/etc/systemd/network"


def write_runtime_link_files(plan: Plan, live: Live) -> list[Step]:
    """The steps that write the .link files to /run, where they last until the next boot, and check that they take
    effect. They come before the renaming: udev handles the `move` event of a rename by the file that matches then, and
    99-default.link would restore the NIC's old name as an alternative name (udev 252)."""
    if not plan.link_files:
        return []
    runtime_names = _runtime_file_names(plan, live)
    files = {f"{RUN_DIR}/{runtime_names[name]}": text for name, text in sorted(plan.link_files.items())}
    macs = {
        str(nic.mac): runtime_names[nic.link_file]
        for nic in plan.bundle.nics
        if nic.link_file and nic.link_file in runtime_names
    }
    return [
        step(
            operations.WRITE_FILES,
            "write the .link files to /run (until the next boot)",
            [undo_spec(operations.UNDO_FILES, paths=sorted(files))],
            files=files,
            reload="udev",
        ),
        step(operations.CHECK_LINKS, "check which .link files udev uses", macs=macs),
    ]


def _runtime_file_names(plan: Plan, live: Live) -> dict[str, str]:
    """The names of the .link files in /run, by their names in /etc. When a file of kvmnet in /etc is going to be
    removed or changed, the new file gets a name that sorts before it: the old one must not take effect while it is
    still there, and a file in /etc hides one of the same name in /run."""
    prefix = "00-kvmnet-"
    has_old_files = plan.stale_files or set(plan.link_files) & set(live.link_files)
    return {name: name.replace(prefix, prefix + "-", 1) if has_old_files else name for name in plan.link_files}


def rename_nics(plan: Plan, live: Live) -> list[Step]:
    """The steps that rename the NICs, in an order in which each new name is free (core/planning/rename_order)."""
    steps: list[Step] = []
    rebound_macs: set[str] = set()
    for hop in order_renames(plan.renames, set(live.links) - plan.removed_first):
        if hop.rename.mac not in rebound_macs:
            steps += _rebind(hop, plan, live)
            rebound_macs.add(hop.rename.mac)
        steps += _bind_new_zone(hop, plan, live)
        steps.append(_rename(hop, plan, live))
    return steps


def _rebind(hop: RenameStep, plan: Plan, live: Live) -> list[Step]:
    """A profile that is bound to the old name would leave the NIC without an address after the rename. Its id must not
    be the name of a desired interface: nmstate (2.2.10 and later) takes that interface for this NIC then."""
    rename = hop.rename
    profile = live.profiles.get(rename.old)
    if profile is None or rename.new in plan.copies:
        return []
    return [
        step(
            operations.REBIND,
            f"bind the connection profile of {rename.old} to its MAC address",
            [undo_spec(operations.UNDO_FILES, uuids=[profile.uuid])],
            uuid=profile.uuid,
            id=rename.new,
            mac=rename.mac,
            **({"has_name_pattern": True} if profile.match else {}),
        )
    ]


def _bind_new_zone(hop: RenameStep, plan: Plan, live: Live) -> list[Step]:
    """The zone is bound before the NIC has the name, so the NIC is never in the default zone."""
    zone = choose_zone(hop.rename.new, plan, live)
    if not zone or live.zones is None:
        return []
    return [
        step(
            operations.ZONE,
            f"bind {hop.new} to zone {zone}",
            [undo_spec(operations.UNDO_ZONE, interface=hop.new, zone=live.zones.get(hop.new))],
            interface=hop.new,
            zone=zone,
        )
    ]


def _rename(hop: RenameStep, plan: Plan, live: Live) -> Step:
    undo = [undo_rename(hop)]
    if live.zones is not None:
        undo.insert(0, undo_spec(operations.UNDO_ZONE, interface=hop.old, zone=live.zones.get(hop.old)))
    return step(
        operations.RENAME,
        f"rename {hop.old} to {hop.new}",
        undo,
        mac=hop.rename.mac,
        to=hop.new,
        free=[i["name"] for i in interfaces_of(plan.state) if i["name"] != hop.new],
        active=hop.rename.old in live.profiles,
    )


def undo_rename(hop: RenameStep) -> Step:
    """The undo of one rename. A temporary name is restored only while the NIC does not have its original name: an undo
    that is carried out twice must not rename the NIC away from it again."""
    rename = hop.rename
    if hop.old == rename.old:
        return undo_spec(operations.UNDO_RENAME, mac=rename.mac, to=hop.old, altnames=list(rename.altnames))
    return undo_spec(operations.UNDO_RENAME, mac=rename.mac, to=hop.old, altnames=[], unless=rename.old)


def unbind_old_zones(plan: Plan, live: Live) -> list[Step]:
    """The steps that remove old names from their zones. firewalld keeps a name that no interface has any more, because
    NetworkManager does not remove it after a rename."""
    if live.zones is None:
        return []
    current_names = {i["name"] for i in interfaces_of(plan.bundle.state)} | {nic.name for nic in plan.bundle.nics}
    old_names = {hop.old for hop in order_renames(plan.renames, set(live.links) - plan.removed_first)} - current_names
    return [
        step(
            operations.UNBIND_ZONE,
            f"remove the old name {name} from its zone",
            [undo_spec(operations.UNDO_ZONE, interface=name, zone=live.zones.get(name))],
            interface=name,
        )
        for name in sorted(old_names)
    ]


def write_permanent_link_files(plan: Plan, live: Live) -> list[Step]:
    """The steps that write the .link files to /etc, remove those in /run and stale ones, and check that they take
    effect."""
    if not plan.link_files and not plan.stale_files:
        return []
    runtime_names = _runtime_file_names(plan, live)
    runtime_paths = [f"{RUN_DIR}/{runtime_names[name]}" for name in sorted(plan.link_files)]
    stale_paths = [f"{ETC_DIR}/{name}" for name in plan.stale_files]
    files = {f"{ETC_DIR}/{name}": text for name, text in sorted(plan.link_files.items())}
    undo = [undo_spec(operations.UNDO_FILES, paths=[*files, *stale_paths, *runtime_paths])]
    # A NIC that keeps its name loses its alternative names too, when the host boots with our file.
    undo += [
        undo_spec(operations.UNDO_RENAME, mac=link.mac, to=link.name, altnames=list(link.altnames))
        for nic in plan.bundle.nics
        if nic.link_file in plan.link_files and nic.mac and (link := live.nic(nic.mac)) and link.name == nic.name
    ]
    macs = {str(nic.mac): nic.link_file for nic in plan.bundle.nics if nic.link_file in plan.bundle.links}
    return [
        step(
            operations.WRITE_FILES,
            "write the .link files to /etc (permanent)",
            undo,
            files=files,
            remove=[*stale_paths, *runtime_paths],
            reload="udev",
        ),
        step(operations.CHECK_LINKS, "check again which .link files udev uses", macs=macs),
    ]
