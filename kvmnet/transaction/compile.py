"""A plan becomes a transaction: steps written out as plain data, each with its undo.

The order is what makes it safe; the reasons stand beside the steps. What was tried by hand, in both
generations of udev and kernel, is told in docs/safety.md.

Until the keeping begins nothing is on disk but the journal: `.link` files and profiles are under /run, so
that a power cut gives the machine back as it was. While it is being kept, what is on disk boots at every
moment: the NIC's profile is first bound to its MAC there (it serves the NIC under either name), then the
NIC gets its name for good, then come the bridges, then the NICs as their ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.expectations import expectations
from kvmnet.core.live import Live
from kvmnet.core.order import Hop, hops
from kvmnet.core.owned import new_uuid
from kvmnet.core.plan import Plan
from kvmnet.core.probe import Probe
from kvmnet.transaction.zones import zone_to_be

Step = dict[str, Any]

RUN_DIR = "/run/systemd/network"
ETC_DIR = "/etc/systemd/network"
#: NetworkManager's name of a profile's type, for nmstate's of an interface.
NM_TYPES = {
    "ethernet": "802-3-ethernet",
    "linux-bridge": "bridge",
    "vlan": "vlan",
    "bond": "bond",
    "mac-vtap": "macvlan",
}
#: Seconds that a step may take before the watchdog undoes it all.
STEP_LIMIT = 60
#: For how many seconds those that must answer are asked, and for how many where a link went down.
ASK, AFTER_LINK_LOSS = 15, 60
#: What of the trial's seconds is left for reading back and for the last try of a probe.
ROOM = 30
Known = Mapping[tuple[str, str], Sequence[str]]
"""The UUIDs of the profiles that NetworkManager has, active or not, by interface name and type."""


@dataclass(frozen=True)
class Terms:
    """What the caller decides: `timeout` (seconds) is how long the trial may take before NetworkManager
    undoes it by itself, `confirm` for how long (seconds; 0: not at all) it then waits for `kvmnet confirm`,
    `probes` what is answered now and must be answered after, `record` the files (path -> text) that say
    what is applied, `stale` those of an earlier bundle, `in_process` whether nmstate is a library that works
    in our process."""

    timeout: int
    probes: tuple[Probe, ...] = ()
    record: Mapping[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    in_process: bool = False
    confirm: int = 0


def compile_steps(plan: Plan, live: Live, known: Known, terms: Terms) -> list[Step]:
    """The steps, in order."""
    steps: list[Step] = []
    steps += _name_files(plan, live)
    steps += _first(plan, live, known, terms)
    steps += _renames(plan, live)
    steps += _seeds(plan, live, known)
    steps += _drops(plan, live)
    if plan.state:
        steps.append(_trial(plan, live, known, terms))
    steps += _no_primary(plan, live)
    known_names = {i["name"] for i in plan.bundle.state.get("interfaces", [])}
    expect = expectations(plan.desired)
    expect += [e for e in expectations(plan.state) if e["name"] not in known_names]  # what left the definition
    sent = [i["name"] for i in plan.state.get("interfaces", []) if i["state"] == "up"]
    dns = plan.state.get("dns-resolver", {}).get("config", {})
    limit = STEP_LIMIT + len(expect)
    steps.append(step("read back", "read the kernel back", limit=limit, expect=expect, sent=sent, dns=dns))
    steps += ask_step(terms.probes, terms.timeout)
    if terms.confirm and plan.state:
        steps.append(
            step(
                "confirm",
                "wait for a word from outside",
                limit=terms.confirm + STEP_LIMIT // 2,
                seconds=terms.confirm,
            )
        )
    steps += _keep(plan, live)
    steps += _unbind(plan, live)
    if plan.settings:
        steps.append(
            step(
                "write files",
                "tell NetworkManager which devices are the guests'",
                files={path: text for path, text in plan.settings.items() if text is not None},
                remove=[path for path, text in plan.settings.items() if text is None],
                reload="NetworkManager",
                undo=[{"op": "files", "paths": sorted(plan.settings)}],
            )
        )
    steps.append(
        step(
            "write files",
            "note what is applied",
            files=dict(terms.record),
            remove=list(terms.stale),
            undo=[{"op": "files", "paths": sorted({*terms.record, *terms.stale})}],
        )
    )
    return steps


def ask_step(probes: Sequence[Probe], timeout: Optional[int] = None) -> list[Step]:
    """The step that asks, where there is anybody to be asked. A link that went down may need long: a switch's port
    with spanning tree and no portfast passes nothing on for 30 s, LACP or a slow PHY may take their time on top. The
    trial, which NetworkManager ends after `timeout` seconds, leaves room for the reading back and the last try."""
    if not probes:
        return []
    patience = AFTER_LINK_LOSS if timeout is None else min(AFTER_LINK_LOSS, max(ASK, timeout - ROOM))
    return [
        step(
            "probe",
            "ask " + ", ".join(p.text for p in probes),
            limit=patience + STEP_LIMIT,
            targets=[p.to_json() for p in probes],
            seconds=ASK,
            patience=patience,
        )
    ]


def touched_files(steps: list[Step]) -> list[str]:
    """Every file that a step writes or removes: to be in the snapshot."""
    found: set[str] = set()
    for step in steps:
        for spec in step["undo"]:
            found.update(spec.get("paths", []))
    return sorted(found)


def touched_profiles(steps: list[Step]) -> list[str]:
    """The UUID of every profile that a step changes or makes."""
    found = {step["uuid"] for step in steps if "uuid" in step}
    for step in steps:
        for spec in step["undo"]:
            found.update(spec.get("uuids", []), spec.get("profiles", {}))
    return sorted(found)


def step(
    op: str, title: str, undo: Optional[list[dict[str, Any]]] = None, *, limit: int = STEP_LIMIT, **fields: Any
) -> Step:
    return {"op": op, "title": title, **fields, "limit": limit, "undo": undo or []}


def _name_files(plan: Plan, live: Live) -> list[Step]:
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


def _first(plan: Plan, live: Live, known: Known, terms: Terms) -> list[Step]:
    """What is in the way goes, in a trial of its own: NetworkManager has one checkpoint over a device, and what is
    renamed then would not be in it. From its end to the next one the way back is the journal's alone."""
    if not plan.first:
        return []
    uuids = _held(plan.first["interfaces"], live, known)
    return [
        step(
            "clear",
            "make room: " + ", ".join(sorted(plan.goes_first)) + " must go first",
            limit=terms.timeout + STEP_LIMIT // 2,
            state=plan.first,
            timeout=terms.timeout,
            log="nmstate-first.log",
            expect=expectations(plan.first),
            undo=[
                {"op": "checkpoint", "log": "nmstate-first.log", "in_process": terms.in_process},
                {"op": "files", "uuids": uuids},
            ],
        )
    ]


def _held(interfaces: Sequence[Mapping[str, Any]], live: Live, known: Known) -> list[str]:
    """The UUIDs of the profiles that these interfaces have, active or not."""
    found = {live.profiles[i["name"]].uuid for i in interfaces if i["name"] in live.profiles}
    for interface in interfaces:
        found.update(known.get((interface["name"], NM_TYPES.get(interface["type"], "")), ()))
    return sorted(found)


def _renames(plan: Plan, live: Live) -> list[Step]:
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
            free=[i["name"] for i in plan.state.get("interfaces", []) if i["name"] != hop.new],
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


def _unbind(plan: Plan, live: Live) -> list[Step]:
    """firewalld goes on with a name that no interface has any more: NetworkManager forgets it at a renaming."""
    if live.zones is None:
        return []
    names = {i["name"] for i in plan.bundle.state.get("interfaces", [])} | {nic.name for nic in plan.bundle.nics}
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


def _drops(plan: Plan, live: Live) -> list[Step]:
    """Options that left a bond are taken out of its profile, in memory: nmstate, which merges into the profile that
    it finds, has no word for the default of every option."""
    return [
        step(
            "drop options",
            f"take {', '.join(options)} out of the profile of {name}",
            uuid=live.profiles[name].uuid,
            options=list(options),
            undo=[{"op": "files", "uuids": [live.profiles[name].uuid]}],
        )
        for name, options in plan.dropped.items()
        if name in live.profiles and live.profiles[name].type == "bond"
    ]


def _no_primary(plan: Plan, live: Live) -> list[Step]:
    """A bond that runs keeps its primary port when its profile has none any more (NetworkManager 1.42 and 1.52)."""
    there = {i["name"]: i for i in live.state.get("interfaces", [])}
    steps = []
    for name, options in plan.dropped.items():
        primary = there.get(name, {}).get("link-aggregation", {}).get("options", {}).get("primary")
        if "primary" in options and primary:
            title = f"take the primary port from {name}"
            undo = [{"op": "bond option", "interface": name, "option": "primary", "value": str(primary)}]
            steps.append(step("bond option", title, undo, interface=name, option="primary", value=""))
    return steps


def _seeds(plan: Plan, live: Live, known: Known) -> list[Step]:
    """A profile in memory for each interface that has none, so that nmstate finds one: it keeps the zone,
    of which it knows nothing, and the UUID, by which we know what is ours."""
    rows = []
    old = {r.new: r.old for r in plan.renames}
    for interface in plan.state.get("interfaces", []):
        name, kind = interface["name"], NM_TYPES.get(interface["type"])
        if kind is None or interface["state"] != "up" or (name, kind) in known:
            continue
        if interface["type"] == "ethernet" and old.get(name, name) in live.profiles:
            continue  # bound by MAC
        rows.append(
            {
                "uuid": new_uuid(plan.bundle.host, name, interface["type"], live),
                "interface": name,
                "type": kind,
                "zone": zone_to_be(name, plan, live),
                "over": interface.get(interface["type"]) if interface["type"] in ("vlan", "mac-vtap") else None,
            }
        )
    if not rows:
        return []
    names = ", ".join(row["interface"] for row in rows)
    return [
        step(
            "seed",
            f"make a profile for {names}" if len(rows) == 1 else f"make profiles for {names}",
            limit=STEP_LIMIT + len(rows),
            profiles=rows,
            undo=[{"op": "profiles", "profiles": {row["uuid"]: row["interface"] for row in rows}}],
        )
    ]


def _trial(plan: Plan, live: Live, known: Known, terms: Terms) -> Step:
    names = ", ".join(i["name"] for i in plan.state.get("interfaces", [])) or "routes and name servers"
    # NetworkManager's rollback gives a profile its settings back, but leaves it in memory, over its file.
    # Of those that are not active nmstate takes one too, where there is no other.
    interfaces = [i for state in (plan.bundle.state, plan.state) for i in state.get("interfaces", [])]
    uuids = _held(interfaces, live, known)
    return step(
        "apply",
        f"apply {names}, on trial",
        limit=terms.timeout + STEP_LIMIT // 2,
        state=plan.state,
        timeout=terms.timeout + terms.confirm,
        log="nmstate.log",
        undo=[
            {"op": "checkpoint", "log": "nmstate.log", "in_process": terms.in_process},
            {"op": "ports"},
            {"op": "files", "uuids": uuids},
        ],
    )


def _keep(plan: Plan, live: Live) -> list[Step]:
    steps: list[Step] = []
    if plan.state:
        steps.append(step("commit", "end the trial", log="nmstate.log"))
    for rename in plan.renames:
        profile = live.profiles.get(rename.old)
        if profile is not None and profile.saved and profile.file.endswith(".nmconnection"):
            steps.append(
                step(
                    "write profile",
                    f"bind the profile of {rename.old} to its MAC, on disk",
                    uuid=profile.uuid,
                    path=profile.file,
                    undo=[{"op": "files", "paths": [profile.file]}],
                )
            )
    if plan.link_files or plan.stale_files:
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
        steps.append(step("write files", title, files=files, remove=[*gone, *run], reload="udev", undo=undo))
        macs = {n.link_file: n.mac for n in plan.bundle.nics if n.link_file in plan.bundle.links}
        steps.append(step("check links", "ask udev once more", macs={str(m): f for f, m in macs.items()}))
    if plan.hostname is not None:
        old = live.state.get("hostname", {}).get("config") or ""
        steps.append(
            step(
                "hostname",
                f"set the hostname {plan.hostname}",
                name=plan.hostname,
                undo=[{"op": "hostname", "name": old}, {"op": "files", "paths": ["/etc/hostname"]}],
            )
        )
    kinds = _save_order(plan)
    names = [name for kind in kinds for name in kind]
    if names:
        uuids = [live.profiles[r.old].uuid for r in plan.renames if r.old in live.profiles]
        uuids += [live.profiles[n].uuid for n in names if n in live.profiles]
        types = {i["name"]: i["type"] for i in plan.bundle.state.get("interfaces", [])}
        uuids += [new_uuid(plan.bundle.host, n, types.get(n, "ethernet"), live) for n in names]
        steps.append(
            step(
                "save",
                "write the profiles to disk: " + ", ".join(names),
                limit=STEP_LIMIT + 2 * len(names),
                interfaces=kinds,
                undo=[{"op": "files", "uuids": sorted(set(uuids))}],
            )
        )
    # After the saving: until then what is on disk makes them again, which is harmless; without them before it
    # a NIC that was the port of one would be without address.
    uuids = sorted({live.profiles[n].uuid for n in plan.leaving if n in live.profiles})
    if uuids:
        steps.append(
            step(
                "forget",
                "delete the profiles of " + ", ".join(plan.leaving),
                uuids=uuids,
                undo=[{"op": "files", "uuids": uuids}],
            )
        )
    return steps


def _save_order(plan: Plan) -> list[list[str]]:
    """Controllers before their ports, so bridges, then bonds and VLANs, then NICs: a bridge without its port
    is harmless on disk beside a port that still has the address; a port without its bridge is not."""
    up = [i["name"] for i in plan.state.get("interfaces", []) if i.get("state") == "up"]
    types = {i["name"]: i["type"] for i in plan.bundle.state.get("interfaces", [])}
    kinds: list[list[str]] = [[], [], []]
    for name in dict.fromkeys([*up, *plan.unsaved]):
        kinds[{"linux-bridge": 0, "ethernet": 2}.get(types.get(name, "ethernet"), 1)].append(name)
    return [kind for kind in kinds if kind]
