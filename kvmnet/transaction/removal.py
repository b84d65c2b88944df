"""`remove`: give the machine back as it was before kvmnet, as a transaction like any other.

What its steps do is what an undo does, by the same functions of the rescue program, from the snapshots of the
transactions that first took each NIC over; what undoes them is the state of now.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import NM_TYPES, interfaces_of
from kvmnet.core.base.probe import Probe
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.changes import Change, FileRestored, InactiveProfile, Kind, NewName, Reason, hostname_change
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.planning.ownership import made_by_us, profile_uuid, taken_down
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.rename_order import Rename, hops
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.rescue import restore
from kvmnet.system import files, networkmanager
from kvmnet.system.types import Json
from kvmnet.transaction.compile_steps import ask_step, down_again
from kvmnet.transaction.history import ended
from kvmnet.transaction.naming_steps import ETC_DIR, way_back
from kvmnet.transaction.step import STEP_LIMIT, Step, step

#: Those that stand on others go first.
_ORDER = ("mac-vtap", "linux-bridge", "vlan", "bond")


@dataclass(frozen=True)
class OldNic:
    """A NIC before kvmnet: its permanent MAC, kernel name, altnames, and the UUID of the connection profile that
    was active on it (None: none was), with its keyfile."""

    mac: str
    name: str
    altnames: tuple[str, ...]
    profile: Optional[str]
    keyfile: str = ""


@dataclass(frozen=True)
class Original:
    """The host before kvmnet: its NICs, the profile (UUID) that was active on each device, and a snapshot as
    `rescue.snapshot` makes it, of them alone. `seeded` are the profiles (UUIDs) that kvmnet made for NICs that had
    none; `since` is of which day each file (path) is."""

    nics: tuple[OldNic, ...]
    active: Mapping[str, str]
    snapshot: Json
    seeded: tuple[str, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict)


def find_original(state_dir: Path) -> Original:
    """Put it together from the transactions that took the NICs over. Raises Refused when there is none."""
    nics: dict[str, OldNic] = {}
    records: dict[str, Json] = {}
    since: dict[str, str] = {}
    links: Json = {}
    addresses: Json = {}
    zones: Json = {}
    devices: dict[str, str] = {}
    uuids: set[str] = set()
    keyfiles: set[str] = set()  # of those, as NetworkManager told: they need not say it themselves
    ours: set[str] = set()
    seeded: set[str] = set()
    dns: Json = {}
    for one in ended(state_dir):
        folder = state_dir / "history" / one.id
        transaction, snapshot = (files.read_json(folder / name) for name in ("transaction.json", "snapshot.json"))
        if not one.kept:
            continue
        if transaction.get("removes"):
            nics, records, links, addresses, zones, devices, uuids, seeded = {}, {}, {}, {}, {}, {}, set(), set()
            keyfiles, dns, since = set(), {}, {}
            continue
        adopts = transaction.get("adopts", ())
        dns = dns or {key: snapshot[key] for key in ("global dns", "intern") if key in snapshot}
        for record in snapshot["files"]:
            if not record["path"].startswith(str(state_dir / "applied")):
                records.setdefault(record["path"], record)
                since.setdefault(record["path"], time.strftime("%Y-%m-%d", time.localtime(one.at)))
        ours |= {profile_uuid(one.host, name) for name in snapshot.get("names", ())}
        seeds = [p for s in transaction.get("steps", ()) if s["op"] == "seed" for p in s["profiles"]]
        ours |= {s["uuid"] for s in seeds}
        seeded |= {s["uuid"] for s in seeds if s["type"] == NM_TYPES["ethernet"]}
        for profile in snapshot["profiles"]:  # also of what a person made and we adopted, active or not
            if profile["uuid"] not in {*ours, *uuids}:
                uuids.add(profile["uuid"])
                keyfiles.add(profile["file"])
                device = profile["device"]
                if device and device not in devices.values() and _comes_back(device, snapshot, adopts, nics, ours):
                    devices[profile["uuid"]] = device
                    if device in snapshot["links"]:  # a bond, a VLAN: of a NIC see below
                        links.setdefault(device, snapshot["links"][device])
        for mac in adopts:
            link = next((n for n in snapshot["links"].values() if n["mac"] == mac), None)
            if link is None:
                continue
            name = link["name"]
            active: Json = next((p for p in snapshot["profiles"] if p["device"] == name), {})
            nics[mac] = OldNic(mac, name, tuple(link["altnames"]), active.get("uuid"), active.get("file", ""))
            links[name], addresses[name] = link, snapshot["addresses"].get(name, [])
            zones[name] = (snapshot["zones"] or {}).get(name)
    if not nics:
        raise Refused("kvmnet has not taken over a NIC of this host", "there is nothing to give back", "KVN562")
    kept = [
        record
        for path, record in records.items()
        if path in keyfiles or _keyfile_of(record, sorted(uuids)) or not path.startswith(networkmanager.PROFILE_FOLDERS)
    ]
    return Original(
        tuple(nics[mac] for mac in sorted(nics)),
        {device: uuid for uuid, device in devices.items()},
        {
            "files": kept,
            "links": links,
            "addresses": addresses,
            "zones": zones,
            "uuids": sorted(uuids),
            "profiles": [{"uuid": uuid, "device": device} for uuid, device in devices.items()],
            **dns,
        },
        tuple(sorted(seeded - uuids)),
        since,
    )


def _comes_back(
    device: str, snapshot: Json, adopts: Collection[str], nics: Mapping[str, OldNic], ours: Collection[str]
) -> bool:
    """Whether a device that was first seen with a person's profile can be as it was: a NIC that was taken over then (of
    one that had been before that counts); a virtual one that was no port of what kvmnet had made, and did not stand on
    that or on a NIC that kvmnet had renamed."""
    link = snapshot["links"].get(device, {})
    if link.get("mac"):
        return link["mac"] in adopts
    active = {p["device"]: p["uuid"] for p in snapshot["profiles"]}
    for name in filter(None, (link.get("over"), link.get("master"))):
        nic = nics.get(snapshot["links"].get(name, {}).get("mac"))
        if active.get(name) in ours or (nic is not None and nic.name != name):
            return False
    return True


def _keyfile_of(record: Json, uuids: list[str]) -> bool:
    return networkmanager.has_uuid(base64.b64decode(record.get("data", "")), uuids)


def plan_removal(bundle: Bundle, original: Original, live: Live, records: Optional[Mapping[str, Json]] = None) -> Plan:
    """What giving back changes. `bundle` is what is applied, `records` are those of the files as they are
    now, by their paths. Raises Refused when a NIC is gone."""
    renames = []
    for nic in original.nics:
        now = live.nic(nic.mac)
        if now is None:
            raise Refused(
                f"the NIC {nic.mac}, {nic.name} before kvmnet, is not in this machine",
                "put it back; or give the rest back by hand, from the snapshots in /var/lib/kvmnet/history",
                "KVN562",
            )
        if now.name != nic.name:
            renames.append(Rename(nic.mac, now.name, nic.name, now.altnames))
    made = _made(live)
    _no_strangers_port(original, made, live)
    down = taken_down(live)
    changes = [Change("remove", name, (Reason.CREATED_BY_KVMNET,)) for name in made]
    changes += [Change("remove", p.file, (InactiveProfile(name, False),)) for name, p in down.items()]
    changes += [Change("rename", r.old, (NewName(r.new, r.mac),)) for r in renames]
    changes += [Change("change", nic.name, (Reason.PROFILE_RESTORED,)) for nic in original.nics if nic.profile]
    changes += [Change("remove", f"{ETC_DIR}/{name}") for name in bundle.links]
    changes += _further(original, live, {c.name for c in changes}, records or {})
    state = {"interfaces": [{"name": n, "type": live.owned[n].type, "state": "absent"} for n in made]}
    return Plan(
        bundle=bundle,
        renames=tuple(renames),
        state=state,
        changes=tuple(changes),
        leaving=tuple(made),
        down={name: profile.uuid for name, profile in down.items()},
    )


def _no_strangers_port(original: Original, made: Collection[str], live: Live) -> None:
    """Raises Refused when a person has made a NIC a port since, though it was none before kvmnet: with its profile of
    then it and what it is a port of would have the same address."""
    for nic in original.nics:
        was, now = original.snapshot["links"].get(nic.name, {}), live.nic(nic.mac)
        if now and now.master and now.master not in made and now.master != was.get("master"):
            raise Refused(
                f"{now.name} is a port of {now.master}, which kvmnet did not make, and was not before kvmnet",
                f"give {now.name} a connection profile of its own again, and take {now.master} away, first",
                "KVN562",
            )


def _further(original: Original, live: Live, told: set[str], records: Mapping[str, Json]) -> list[Change]:
    """What else is not as it was, also where a person has changed or deleted it since: the hostname, and files that
    nothing else of the plan (`told`) means."""
    changes = []
    told = told | {nic.keyfile for nic in original.nics}
    old, now = _old_hostname(original), _static_hostname(live)
    if old is not None and old != now:
        told.add("/etc/hostname")
        changes.append(hostname_change(now or None, old or None))
    for record in original.snapshot["files"]:
        path = record["path"]
        there = records.get(path, record)
        if there == record or path in told:
            continue
        day = original.since[path]
        if record.get("absent"):
            changes.append(Change("remove", path, (FileRestored(day, existed=False),)))
        else:
            kind: Kind = "add" if there.get("absent") else "change"
            changes.append(Change(kind, path, (FileRestored(day),)))
    return changes


def given_back(bundle: Bundle, original: Original) -> set[str]:
    """The interfaces that a removal touches beside those that go or get another name: whatever was applied, and what
    is activated as before."""
    applied = {str(i["name"]) for i in interfaces_of(bundle.state)}
    return applied | {nic.name for nic in original.nics} | set(original.active)


def _removals(made: list[str], live: Live) -> list[Step]:
    """All at once, but what carries the host's addresses, and what that stands on, at last: NetworkManager takes a
    second for each of many, and the host would be away meanwhile."""
    late = _beneath(_addressed(live), live)
    steps = []
    for names in ([n for n in made if n not in late], [n for n in made if n in late]):
        if names:
            profiles = {live.owned[name].uuid or name: name for name in reversed(names)}  # the undo begins at the end
            limit = STEP_LIMIT + 2 * len(names)
            file_undo = {"op": "files", "uuids": list(profiles)}
            title = f"remove {', '.join(names)}"
            steps.append(_give(title, [{"op": "profiles", "profiles": profiles}], [file_undo], limit=limit))
    return steps


def _profiles_down(plan: Plan, live: Live) -> list[Step]:
    """The profiles of what is down, before anything else that NetworkManager sees: undone last, when nothing that
    comes back can bring it up any more. Whatever has one of the names now is not theirs."""
    if not plan.down:
        return []
    uuids = sorted(plan.down.values())
    specs = [{"op": "profiles", "profiles": dict.fromkeys(uuids, "")}]
    title = "delete the profiles of " + ", ".join(plan.down)
    limit = STEP_LIMIT + len(uuids)
    return [_give(title, specs, [{"op": "files", "uuids": uuids}, *down_again(plan, live)], limit=limit)]


def _addressed(live: Live) -> set[str]:
    """The interfaces by which the host may be reached."""
    found = set()
    for interface in interfaces_of(live.state):
        held = [a for family in ("ipv4", "ipv6") for a in interface.get(family, {}).get("address", [])]
        if any(not is_link_local(str(a["ip"])) for a in held):
            found.add(interface["name"])
    return found


def _beneath(names: set[str], live: Live) -> set[str]:
    """These interfaces, their ports, what they lie over, and so on."""
    found: set[str] = set()
    new = set(names)
    while new:
        found |= new
        below = {link.base for link in live.links.values() if link.name in new and link.base}
        new = (below | {link.name for link in live.links.values() if link.master in new}) - found
    return found


def _made(live: Live) -> list[str]:
    """The virtual interfaces that are there and that kvmnet made, in the order in which they go. One of their names
    that a person has made since is not kvmnet's."""
    there = {name: kind for name, kind in made_by_us(live).items() if kind in _ORDER}
    return sorted(there, key=lambda name: _ORDER.index(there[name]))


def compile_removal(
    plan: Plan, original: Original, live: Live, probes: tuple[Probe, ...], record: list[str], confirm: int
) -> list[Step]:
    """The steps. `record` are the files that say what is applied."""
    steps = _files(original)
    made = [i["name"] for i in plan.state["interfaces"]]
    steps += _profiles_down(plan, live)
    steps += _removals(made, live)
    steps += _names(plan, original, live)
    uuids = list(original.snapshot["uuids"])
    ours = {uuid for nic in original.nics if (uuid := _our_profile(plan.bundle.host, nic, live)) not in uuids}
    now_active = sorted({*ours, *original.seeded})
    steps.append(
        _give(
            "give the connection profiles back",
            [*({"op": "profile", "uuid": u, "interface": ""} for u in now_active), {"op": "files", "uuids": uuids}],
            [{"op": "files", "uuids": sorted({*uuids, *now_active})}],
        )
    )
    if live.zones is not None:
        names = [*made, *sorted({hop.old for hop in hops(plan.renames, set(live.links) - set(made))})]
        zones = {**dict.fromkeys(names), **{n.name: original.snapshot["zones"].get(n.name) for n in original.nics}}
        undo = [{"op": "zones", "zones": {name: live.zones.get(name) for name in zones}}]
        limit = STEP_LIMIT + 2 * len(zones)
        steps.append(_give("bind the zones as before", [{"op": "zones", "zones": zones}], undo, limit=limit))
    if "global dns" in original.snapshot:
        steps.append(_give("give the global name servers back", [{"op": "global dns"}], [{"op": "global dns"}]))
    steps += _hostname(original, live)
    active = dict(original.active)
    limit = STEP_LIMIT + 70 * len(active)
    again = [n.name for n in original.nics if (link := live.nic(n.mac)) and link.name == n.name]
    again += [name for name in active if name not in made and (link := live.links.get(name)) and link.kind]
    again = [name for name in again if not live.links[name].master]
    title = "activate " + ", ".join(sorted(active))
    steps.append(step("activate", title, profiles=active, again=again, limit=limit))
    limit = STEP_LIMIT + restore.SETTLE_SECONDS
    gone = {uuid for name in made if (uuid := live.owned[name].uuid)} | {*plan.down.values(), *now_active}
    steps.append(step("as before", "compare with what was before kvmnet", limit=limit, gone=sorted(gone)))
    steps += ask_step(probes)
    if confirm:
        title = "wait for a word from outside"
        steps.append(step("confirm", title, limit=confirm + STEP_LIMIT // 2, seconds=confirm))
    undo = [{"op": "files", "paths": record}]
    steps.append(step("write files", "forget what was applied", files={}, remove=record, undo=undo))
    return steps


def _our_profile(host: str, nic: OldNic, live: Live) -> str:
    """The UUID of the profile that kvmnet made for a NIC that had none."""
    name = now.name if (now := live.nic(nic.mac)) else nic.name
    noted = live.owned.get(name)
    return noted.uuid if noted is not None and noted.uuid else profile_uuid(host, name)


def _names(plan: Plan, original: Original, live: Live) -> list[Step]:
    """The NICs' names, in an order in which each is free; of those that keep theirs the altnames."""
    nics = {nic.mac: nic for nic in original.nics}
    free = set(live.links) - {i["name"] for i in plan.state["interfaces"]}
    steps = []
    for hop in hops(plan.renames, free):
        nic = nics[hop.rename.mac]
        spec = {"op": "rename", "mac": nic.mac, "to": hop.new, "altnames": list(nic.altnames) if hop.last else []}
        zones = live.zones if live.zones is not None else {}
        bound = [{"op": "zone", "interface": n, "zone": zones.get(n)} for n in (hop.new, hop.old)]
        undo = [*bound, way_back(hop)] if live.zones is not None else [way_back(hop)]
        steps.append(_give(f"give {hop.old} its name {hop.new}", [spec], undo))
    for nic in original.nics:
        link = live.nic(nic.mac)
        if link is not None and link.name == nic.name:
            spec = {"op": "rename", "mac": nic.mac, "to": nic.name, "altnames": list(nic.altnames)}
            steps.append(_give(f"give {nic.name} its names", [spec], [{**spec, "altnames": list(link.altnames)}]))
    return steps


def _give(title: str, specs: list[dict[str, Any]], undo: list[dict[str, Any]], limit: int = STEP_LIMIT) -> Step:
    return step("give back", title, undo, specs=specs, limit=limit)


def _files(original: Original) -> list[Step]:
    """All but profiles and the hostname, which need more than their files: the `.link` files above all."""
    paths = [r["path"] for r in original.snapshot["files"]]
    paths = sorted(p for p in paths if not p.startswith(networkmanager.PROFILE_FOLDERS) and p != "/etc/hostname")
    undo = [{"op": "files", "paths": paths}]
    return [_give("let udev name the NICs as before", [{"op": "files", "paths": paths}], undo)] if paths else []


def _hostname(original: Original, live: Live) -> list[Step]:
    old, now = _old_hostname(original), _static_hostname(live)
    if old is None:
        return []
    file_undo = {"op": "files", "paths": ["/etc/hostname"]}
    return [
        _give(
            "give the hostname back",
            [{"op": "hostname", "name": old}, file_undo],
            [{"op": "hostname", "name": now, "running": live.hostname}, file_undo],
        )
    ]


def _old_hostname(original: Original) -> Optional[str]:
    """The static hostname from before kvmnet, empty where there was none; None where kvmnet has never set one."""
    record = next((r for r in original.snapshot["files"] if r["path"] == "/etc/hostname"), None)
    return base64.b64decode(record.get("data", "")).decode(errors="replace").strip() if record else None


def _static_hostname(live: Live) -> str:
    return str(live.state.get("hostname", {}).get("config") or "")
