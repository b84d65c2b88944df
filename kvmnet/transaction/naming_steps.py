"""The steps that name NICs: for udev, in the kernel, in firewalld, and their ways back."""

from __future__ import annotations

from typing import Any

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.rename_order import Hop, hops
from kvmnet.transaction.step import Step, step
from kvmnet.transaction.zone_choice import zone_to_be

RUN_DIR = "/run/systemd/network"
ETC_DIR = "/etc/systemd/network"


def names_until_boot(plan: Plan, live: Live) -> list[Step]:
    """The .link files first: udev handles the rename's `move` event by the file that matches then, and
    99-default.link would give the NIC its old name back as an altname (udev 252)."""
    if not plan.link_files:
        return []
    early = _early_names(plan, live)
    files = {f"{RUN_DIR}/{early[name]}": text for name, text in sorted(plan.link_files.items())}
    macs = {early[n.link_file]: n.mac for n in plan.bundle.nics if n.link_file and n.link_file in early}
    return [
        step(
            "write files",
            "name the NICs for udev, until the next boot",
            files=files,
            reload="udev",
            undo=[{"op": "files", "paths": sorted(files)}],
        ),
        step("check links", "ask udev whose file names the NICs", macs={str(m): f for f, m in macs.items()}),
    ]


def _early_names(plan: Plan, live: Live) -> dict[str, str]:
    """What the .link files are called in /run: a file of ours in /etc that is going to go or to change, and may sort
    before the one that comes or hide it (one of the same name in /etc does), must not win while it is still there."""
    first = "00-kvmnet-"
    changed = plan.stale_files or set(plan.link_files) & set(live.link_files)
    return {n: n.replace(first, first + "-", 1) if changed else n for n in plan.link_files}


def renames(plan: Plan, live: Live) -> list[Step]:
    """Each NIC when its name is free (core/planning/rename_order)."""
    steps: list[Step] = []
    done: set[str] = set()
    for hop in hops(plan.renames, set(live.links) - plan.goes_first):
        if hop.rename.mac not in done:
            steps += _rebind(hop, live)
            done.add(hop.rename.mac)
        steps += _hop(hop, plan, live)
    return steps


def _rebind(hop: Hop, live: Live) -> list[Step]:
    rename, steps = hop.rename, []
    profile = live.profiles.get(rename.old)
    if profile is not None:
        # A profile that is bound to the old name leaves the NIC without address after a rename; its id must
        # not be a desired interface's name: nmstate (2.2.10 on) takes that interface for this NIC then.
        steps.append(
            step(
                "rebind",
                f"bind the profile of {rename.old} to its MAC",
                uuid=profile.uuid,
                id=rename.new,
                mac=rename.mac,
                undo=[{"op": "files", "uuids": [profile.uuid]}],
            )
        )
    return steps


def _hop(hop: Hop, plan: Plan, live: Live) -> list[Step]:
    rename, steps = hop.rename, []
    zone = zone_to_be(rename.new, plan, live)
    if zone and live.zones is not None:
        # Before the NIC has the name: so there is no moment in which it is in the default zone.
        steps.append(
            step(
                "zone",
                f"bind {hop.new} to zone {zone}",
                interface=hop.new,
                zone=zone,
                undo=[{"op": "zone", "interface": hop.new, "zone": live.zones.get(hop.new)}],
            )
        )
    undo: list[dict[str, Any]] = []
    if live.zones is not None:
        undo.append({"op": "zone", "interface": hop.old, "zone": live.zones.get(hop.old)})
    undo.append(way_back(hop))
    steps.append(
        step(
            "rename",
            f"rename {hop.old} to {hop.new}",
            mac=rename.mac,
            to=hop.new,
            free=[i["name"] for i in interfaces_of(plan.state) if i["name"] != hop.new],
            active=rename.old in live.profiles,
            undo=undo,
        )
    )
    return steps


def way_back(hop: Hop) -> dict[str, Any]:
    """The undo of one renaming. To a temporary name only where the NIC has not the one from before already: an undo
    that is done twice must not go that way again."""
    rename = hop.rename
    more = {"altnames": list(rename.altnames)} if hop.old == rename.old else {"altnames": [], "unless": rename.old}
    return {"op": "rename", "mac": rename.mac, "to": hop.old, **more}


def old_names_unbound(plan: Plan, live: Live) -> list[Step]:
    """firewalld goes on with a name that no interface has any more: NetworkManager forgets it at a renaming."""
    if live.zones is None:
        return []
    names = {i["name"] for i in interfaces_of(plan.bundle.state)} | {nic.name for nic in plan.bundle.nics}
    left = {hop.old for hop in hops(plan.renames, set(live.links) - plan.goes_first)} - names
    return [
        step(
            "unbind zone",
            f"unbind {name}, which is no more, from its zone",
            interface=name,
            undo=[{"op": "zone", "interface": name, "zone": live.zones.get(name)}],
        )
        for name in sorted(left)
    ]


def names_for_good(plan: Plan, live: Live) -> list[Step]:
    """The .link files in /etc, in the place of those in /run, and udev asked whose file wins there."""
    if not plan.link_files and not plan.stale_files:
        return []
    early = _early_names(plan, live)
    run = [f"{RUN_DIR}/{early[n]}" for n in sorted(plan.link_files)]
    gone = [f"{ETC_DIR}/{n}" for n in plan.stale_files]
    etc = [*(f"{ETC_DIR}/{n}" for n in sorted(plan.link_files)), *gone]
    files = {f"{ETC_DIR}/{name}": text for name, text in sorted(plan.link_files.items())}
    undo: list[dict[str, Any]] = [{"op": "files", "paths": [*etc, *run]}]
    # A boot under our file leaves a NIC without the altnames that it has otherwise, also one that keeps its name.
    undo += [
        {"op": "rename", "mac": link.mac, "to": link.name, "altnames": list(link.altnames)}
        for nic in plan.bundle.nics
        if nic.link_file in plan.link_files and nic.mac and (link := live.nic(nic.mac)) and link.name == nic.name
    ]
    title = "name the NICs for udev, for good"
    written = step("write files", title, files=files, remove=[*gone, *run], reload="udev", undo=undo)
    macs = {n.link_file: n.mac for n in plan.bundle.nics if n.link_file in plan.bundle.links}
    return [written, step("check links", "ask udev once more", macs={str(m): f for f, m in macs.items()})]
