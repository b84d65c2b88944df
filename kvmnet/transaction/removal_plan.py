"""The plan of `kvmnet remove`: what changes when the host from before kvmnet is restored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Optional

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.changes import (
    Change,
    FileRestored,
    InactiveProfile,
    Kind,
    NewName,
    Reason,
    Restored,
    hostname_change,
)
from kvmnet.core.planning.ownership import find_created, find_inactive_created
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.rename_order import Rename
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.system.types import Json
from kvmnet.transaction.naming_steps import ETC_DIR
from kvmnet.transaction.original_host import HOSTNAME_FILE, Original

#: nmstate's types of interfaces in the order in which they are removed: an interface before what it is based on.
_REMOVAL_ORDER = ("mac-vtap", "linux-bridge", "vrf", "vxlan", "mac-vlan", "vlan", "bond", "dummy")


def plan_removal(bundle: Bundle, original: Original, live: Live, records: Optional[Mapping[str, Json]] = None) -> Plan:
    """The plan of a removal. `bundle` is the applied bundle, `records` are the records of the original's files as they
    are now, by path. Raises Refused when a NIC is missing, or is a port of another tool's interface now."""
    renames = _renames_back(original, live)
    created = _created_interfaces(live)
    _require_no_foreign_controller(original, created, live)
    down = find_inactive_created(live)
    changes = [Change("remove", name, (Reason.CREATED_BY_KVMNET,)) for name in created]
    changes += [Change("remove", p.file, (InactiveProfile(name, left_definition=False),)) for name, p in down.items()]
    changes += [Change("rename", r.old, (NewName(r.new, r.mac),)) for r in renames]
    changes += [Change("change", nic.name, (Reason.PROFILE_RESTORED,)) for nic in original.nics if nic.profile]
    changes += [Change("remove", f"{ETC_DIR}/{name}") for name in bundle.links]
    changes += _other_changes(original, live, {change.name for change in changes}, records or {})
    handed_back = {new: old for old, new in original.replaced.items() if new in created}
    changes += [Change("add", old, (Restored(new),)) for new, old in handed_back.items()]
    state = {"interfaces": [{"name": n, "type": live.owned[n].type, "state": "absent"} for n in created]}
    return Plan(
        bundle=bundle,
        renames=tuple(renames),
        state=state,
        changes=tuple(changes),
        leaving=tuple(created),
        down={name: profile.uuid for name, profile in down.items()},
        replaced=handed_back,
    )


def _renames_back(original: Original, live: Live) -> list[Rename]:
    renames = []
    for nic in original.nics:
        link = live.nic(nic.mac)
        if link is None:
            raise Refused(
                f"the NIC {nic.mac} ({nic.name} before kvmnet) is missing",
                "install the NIC again, or restore the host by hand from the snapshots in /var/lib/kvmnet/history",
                "KVN562",
            )
        if link.name != nic.name:
            renames.append(Rename(nic.mac, link.name, nic.name, link.altnames))
    return renames


def _created_interfaces(live: Live) -> list[str]:
    """The virtual interfaces that kvmnet created and that still exist, in the order in which they are removed. An
    interface of the same name that another tool has created since does not count."""
    types = {name: kind for name, kind in find_created(live).items() if kind in _REMOVAL_ORDER}
    return sorted(types, key=lambda name: _REMOVAL_ORDER.index(types[name]))


def _require_no_foreign_controller(original: Original, created: Collection[str], live: Live) -> None:
    """Raises Refused when another tool has made a NIC a port since, though it was none before kvmnet: with its original
    profile, the NIC and its controller would have the same address."""
    for nic in original.nics:
        old_link, link = original.snapshot["links"].get(nic.name, {}), live.nic(nic.mac)
        if link and link.master and link.master not in created and link.master != old_link.get("master"):
            raise Refused(
                f"{link.name} is now a port of {link.master}, which was created by another tool; it was not a port "
                "of it before kvmnet",
                f"create a connection profile for {link.name} that does not make it a port, remove {link.master}, and "
                "try again",
                "KVN562",
            )


def _other_changes(
    original: Original, live: Live, planned_names: set[str], records: Mapping[str, Json]
) -> list[Change]:
    """The remaining changes, also where the administrator has changed or deleted something since: the hostname, and
    files that no change of `planned_names` covers."""
    changes = []
    planned_names = planned_names | {nic.keyfile for nic in original.nics}
    old_name, current_name = original.hostname, static_hostname(live)
    if old_name is not None and old_name != current_name:
        planned_names.add(HOSTNAME_FILE)
        changes.append(hostname_change(current_name or None, old_name or None))
    for record in original.snapshot["files"]:
        path = record["path"]
        current = records.get(path, record)
        if current == record or path in planned_names:
            continue
        date = original.since[path]
        if record.get("absent"):
            changes.append(Change("remove", path, (FileRestored(date, existed=False),)))
        else:
            kind: Kind = "add" if current.get("absent") else "change"
            changes.append(Change(kind, path, (FileRestored(date),)))
    return changes


def find_restored_interfaces(bundle: Bundle, original: Original) -> set[str]:
    """The interfaces that a removal changes, besides those that it removes or renames: the applied ones, and those
    whose original profiles it activates."""
    applied = {str(i["name"]) for i in interfaces_of(bundle.state)}
    return applied | {nic.name for nic in original.nics} | set(original.active)


def static_hostname(live: Live) -> str:
    """The static hostname now, empty when there is none."""
    return str(live.state.get("hostname", {}).get("config") or "")
