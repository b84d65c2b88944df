"""A plan becomes a transaction: steps written out as plain data, each with its undo.

The order is what makes it safe; the reasons stand beside the steps. What was tried by hand, in both
generations of udev and kernel, is told in docs/explanation/transaction.md.

Until the keeping begins nothing is on disk but the journal: `.link` files and profiles are under /run, so
that a power cut gives the machine back as it was. While it is being kept, what is on disk boots at every
moment: the NIC's profile is first bound to its MAC there (it serves the NIC under either name), then the
NIC gets its name for good, then come the bridges, then the NICs as their ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import NM_TYPES, dns_of, interfaces_of
from kvmnet.core.base.probe import Probe
from kvmnet.core.live.live_host import Live, version_of
from kvmnet.core.planning.expected_readback import expectations
from kvmnet.core.planning.ownership import new_uuid
from kvmnet.core.planning.plan import Plan
from kvmnet.transaction.naming_steps import names_for_good, names_until_boot, old_names_unbound, renames
from kvmnet.transaction.step import STEP_LIMIT, Step, step
from kvmnet.transaction.zone_choice import zone_to_be

#: The oldest nmstate that was seen to take the profile that is active on a NIC. Older ones (2.2.24, 2.2.33) know a
#: profile by its interface-name alone, and make a second one beside a profile that is bound by MAC.
TAKES_THE_ACTIVE = (2, 2, 54)
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
    what is applied, `stale` those of an earlier bundle."""

    timeout: int
    probes: tuple[Probe, ...] = ()
    record: Mapping[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    confirm: int = 0


def compile_steps(plan: Plan, live: Live, known: Known, terms: Terms) -> list[Step]:
    """The steps, in order."""
    steps: list[Step] = []
    steps += names_until_boot(plan, live)
    steps += _first(plan, live, known, terms)
    steps += renames(plan, live)
    steps += _names_bound(plan, live)
    steps += _seeds(plan, live, known)
    steps += _drops(plan, live)
    if plan.state:
        steps.append(_trial(plan, live, known, terms))
        steps += _associations(plan, live)
    steps += _no_primary(plan, live)
    known_names = {i["name"] for i in interfaces_of(plan.bundle.state)}
    expect = expectations(plan.desired)
    expect += [e for e in expectations(plan.state) if e["name"] not in known_names]  # what left the definition
    sent = [i["name"] for i in interfaces_of(plan.state) if i["state"] == "up"]
    dns = dns_of(plan.state)
    limit = STEP_LIMIT + len(expect)
    zones = {name: zone for name in _awakened(plan, live, known) if (zone := zone_to_be(name, plan, live))}
    look = step("read back", "read the kernel back", limit=limit, expect=expect, sent=sent, dns=dns, zones=zones)
    steps.append(look)
    steps += ask_step(terms.probes, terms.timeout)
    if terms.confirm:
        steps.append(
            step(
                "confirm",
                "wait for a word from outside",
                limit=terms.confirm + STEP_LIMIT // 2,
                seconds=terms.confirm,
            )
        )
        steps.append({**look, "title": "read the kernel back once more"})  # much may happen while a person looks
    steps += _keep(plan, live)
    steps += old_names_unbound(plan, live)
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
            verify=True,  # the renaming that comes next must not meet what NetworkManager is still doing
            timeout=terms.timeout,
            log="nmstate-first.log",
            expect=expectations(plan.first),
            undo=[
                {"op": "checkpoint", "log": "nmstate-first.log"},
                {"op": "global dns"},
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
    there = {i["name"]: i for i in interfaces_of(live.state)}
    steps = []
    for name, options in plan.dropped.items():
        primary = there.get(name, {}).get("link-aggregation", {}).get("options", {}).get("primary")
        if "primary" in options and primary:
            title = f"take the primary port from {name}"
            undo = [{"op": "bond option", "interface": name, "option": "primary", "value": str(primary)}]
            steps.append(step("bond option", title, undo, interface=name, option="primary", value=""))
    return steps


def _names_bound(plan: Plan, live: Live) -> list[Step]:
    """For an older nmstate a NIC's profile that is bound by MAC gets the NIC's name too, in memory. It loses it again
    before the NIC is renamed back: under another name the profile would leave it without address."""
    version = version_of(live.nmstate)
    if not version or version >= TAKES_THE_ACTIVE:
        return []
    names = [i["name"] for i in interfaces_of(plan.state) if i["type"] == "ethernet" and i["state"] == "up"]
    found = [(name, live.profiles.get(plan.old_names.get(name, name))) for name in names]
    return [
        step(
            "bind name",
            f"bind the profile of {name} to its name too",
            uuid=profile.uuid,
            interface=name,
            undo=[
                {"op": "unbind name", "uuid": profile.uuid}
                if name in plan.old_names
                else {"op": "files", "uuids": [profile.uuid]}  # nothing before this step gives the profile back
            ],
        )
        for name, profile in found
        if profile is not None and (name in plan.old_names or profile.interface_name != name)
    ]


def _seeds(plan: Plan, live: Live, known: Known) -> list[Step]:
    """A profile in memory for each interface that has none, so that nmstate finds one: it keeps the zone,
    of which it knows nothing, and the UUID, by which we know what is ours."""
    rows = []
    for interface in interfaces_of(plan.state):
        name, kind = interface["name"], NM_TYPES.get(interface["type"])
        if kind is None or interface["state"] != "up" or (name, kind) in known:
            continue
        if interface["type"] == "ethernet" and plan.old_names.get(name, name) in live.profiles:
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
    names = ", ".join(i["name"] for i in interfaces_of(plan.state)) or "routes and name servers"
    # NetworkManager's rollback gives a profile its settings back, but leaves it in memory, over its file.
    # Of those that are not active nmstate takes one too, where there is no other.
    interfaces = [i for state in (plan.bundle.state, plan.state) for i in interfaces_of(state)]
    uuids = _held(interfaces, live, known)
    return step(
        "apply",
        f"apply {names}, on trial",
        limit=terms.timeout + STEP_LIMIT // 2,
        state=plan.state,
        timeout=terms.timeout + terms.confirm,
        log="nmstate.log",
        undo=[
            {"op": "checkpoint", "log": "nmstate.log"},
            {"op": "global dns"},
            *({"op": "links", "names": names} for names in [_awakened(plan, live, known)] if names),
            {"op": "ports"},
            {"op": "files", "uuids": uuids},
        ],
    )


def _associations(plan: Plan, live: Live) -> list[Step]:
    """nmstate has every profile that it changes ask DHCPv6 with an IAID from the MAC, and has no word for another. What
    this changes is in the trial's checkpoint, and undone by that."""
    sent = {i["name"] for i in interfaces_of(plan.state)} | set(_changed_beside(plan, live))
    found = {name: who.iaid for name, who in plan.identities.items() if who.iaid and name in sent}
    if not found:
        return []
    title = f"have {', '.join(found)} ask DHCPv6 with the IAID of now"
    return [step("associations", title, limit=STEP_LIMIT + len(found), interfaces=found)]


def _awakened(plan: Plan, live: Live, known: Known) -> list[str]:
    """Virtual interfaces that come by a profile which was there before, and not active: nothing of ours takes them away
    with the profiles that we make."""
    new = [i for i in interfaces_of(plan.state) if i["state"] == "up" and i["type"] != "ethernet"]
    there = {link.name for link in live.links.values() if link.kind}
    return [i["name"] for i in new if i["name"] not in there and (i["name"], NM_TYPES.get(i["type"], "")) in known]


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
    steps += names_for_good(plan, live)
    if plan.hostname is not None:
        old = live.state.get("hostname", {}).get("config") or ""
        steps.append(
            step(
                "hostname",
                f"set the hostname {plan.hostname}",
                name=plan.hostname,
                undo=[
                    {"op": "hostname", "name": old, "running": live.hostname},
                    {"op": "files", "paths": ["/etc/hostname"]},
                ],
            )
        )
    steps += _stays_down(plan, live)
    perhaps = _changed_beside(plan, live)
    kinds = _save_order(plan, perhaps)
    names = [name for kind in kinds for name in kind]
    if names:
        certain = [name for name in names if name not in perhaps]
        uuids = [live.profiles[r.old].uuid for r in plan.renames if r.old in live.profiles]
        uuids += [live.profiles[n].uuid for n in names if n in live.profiles]
        types = {i["name"]: i["type"] for i in interfaces_of(plan.bundle.state)}
        uuids += [new_uuid(plan.bundle.host, n, types.get(n, "ethernet"), live) for n in names]
        steps.append(
            step(
                "save",
                "write the profiles to disk" + (": " + ", ".join(certain) if certain else ""),
                limit=STEP_LIMIT + 2 * len(names),
                interfaces=kinds,
                perhaps=perhaps,
                undo=[{"op": "files", "uuids": sorted(set(uuids))}],
            )
        )
    # After the saving: until then what is on disk makes them again, which is harmless; without them before it
    # a NIC that was the port of one would be without address.
    uuids = sorted({*(live.profiles[n].uuid for n in plan.leaving if n in live.profiles), *plan.down.values()})
    if uuids:
        title = "delete the profiles of " + ", ".join([*plan.leaving, *plan.down])
        steps.append(step("forget", title, [{"op": "files", "uuids": uuids}, *down_again(plan, live)], uuids=uuids))
    return steps


def _stays_down(plan: Plan, live: Live) -> list[Step]:
    """nmstate deactivates the profile of what is to be down (2.2), which the next boot would activate again."""
    down = [i["name"] for i in interfaces_of(plan.state) if i["state"] == "down"]
    found = {name: p.uuid for name in down if (p := live.profiles.get(plan.old_names.get(name, name))) and p.saved}
    if not found:
        return []
    uuids = sorted(set(found.values()))
    undo = [{"op": "files", "uuids": uuids}]
    return [step("stay down", f"have {', '.join(found)} stay down at boot", undo, uuids=uuids)]


def down_again(plan: Plan, live: Live) -> list[dict[str, Any]]:
    """To be undone behind the profiles of what was down: NetworkManager brings up what it reads as new."""
    names = [name for name in plan.down if name not in live.links]
    return [{"op": "links", "names": names}] if names else []


def _changed_beside(plan: Plan, live: Live) -> list[str]:
    """Interfaces that are not sent, and that nmstate may change all the same: the profiles that it puts routes and name
    servers into, of its own choice."""
    if not plan.state.get("routes") and not plan.state.get("dns-resolver"):
        return []
    certain = {i["name"] for i in interfaces_of(plan.state)} | set(plan.unsaved)
    up = [i["name"] for i in interfaces_of(plan.bundle.state) if i.get("state") == "up"]
    return [name for name in up if name not in certain and plan.old_names.get(name, name) in live.profiles]


def _save_order(plan: Plan, perhaps: Sequence[str]) -> list[list[str]]:
    """Controllers before their ports, so bridges, then bonds and VLANs, then NICs: a bridge without its port
    is harmless on disk beside a port that still has the address; a port without its bridge is not."""
    up = [i["name"] for i in interfaces_of(plan.state) if i.get("state") == "up"]
    types = {i["name"]: i["type"] for i in interfaces_of(plan.bundle.state)}
    kinds: list[list[str]] = [[], [], []]
    for name in dict.fromkeys([*up, *plan.unsaved, *perhaps]):
        kinds[{"linux-bridge": 0, "ethernet": 2}.get(types.get(name, "ethernet"), 1)].append(name)
    return [kind for kind in kinds if kind]
