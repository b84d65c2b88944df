"""Giving the machine back: what was before kvmnet is put together from the first transactions, not the last."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.probe import Probe
from kvmnet.core.live.live_host import Link, Live, Owned, Profile
from kvmnet.core.planning.changes import Change, FileRestored
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.refusals import GIVING_BACK
from kvmnet.core.reporting.report import plan_text
from kvmnet.pipeline import load
from kvmnet.rescue import undo
from kvmnet.system.journal import Journal
from kvmnet.transaction.history import ended
from kvmnet.transaction.removal import compile_removal, find_original, given_back, plan_removal
from kvmnet.transaction.step import touched_files, touched_profiles
from kvmnet.transaction.step_actions import DO
from tests.unit.core.samples import judge, notes_of

MAC = "00:14:4f:80:de:00"
KEYFILE = "/etc/NetworkManager/system-connections/eth0.nmconnection"
LINK = "/etc/systemd/network/00-kvmnet-peth0.link"
BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


def file(path: str, text: Optional[str]) -> dict[str, Any]:
    if text is None:
        return {"path": path, "absent": True}
    return {"path": path, "data": base64.b64encode(text.encode()).decode(), "mode": 384, "owner": [0, 0], "label": None}


def link(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "mac": MAC, "altnames": ["enp1s0"], "kind": None, **more}


def past(state: Path, name: str, *, kept: bool = True, snapshot: dict[str, Any], **transaction: Any) -> None:
    folder = state / "history" / name
    journal = Journal(folder)
    folder.mkdir(parents=True)
    journal.append("begin")
    journal.append("end", outcome="kept" if kept else "rolled back")
    empty: dict[str, Any] = {"files": [], "links": {}, "addresses": {}, "zones": None, "profiles": []}
    for file_name, data in (("transaction.json", transaction), ("snapshot.json", {**empty, **snapshot})):
        (folder / file_name).write_text(json.dumps(data))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A host that took the NIC over, changed it once more, and failed to once."""
    first = {
        "files": [file(KEYFILE, "[connection]\nuuid=u-1\n"), file(LINK, None)],
        "links": {"eth0": link("eth0")},
        "addresses": {"eth0": ["10.1.255.254/16"]},
        "zones": {"eth0": "trusted", "peth0": None},
        "profiles": [{"uuid": "u-1", "device": "eth0", "file": KEYFILE, "id": "eth0"}],
    }
    later = {
        "files": [
            file(KEYFILE, "[connection]\nuuid=u-1\ncontroller=eth0\n"),
            file(LINK, "ours"),
            file("/etc/NetworkManager/system-connections/bridge.nmconnection", "[connection]\nuuid=u-2\n"),
            file(str(tmp_path / "applied" / "bundle.json"), "{}"),
        ],
        "links": {"peth0": link("peth0")},
    }
    past(tmp_path, "0", kept=False, snapshot=later, adopts=[MAC])
    past(tmp_path, "1", snapshot=first, adopts=[MAC])
    past(tmp_path, "2", snapshot=later, adopts=[])
    return tmp_path


def live() -> Live:
    return Live(
        hostname="h",
        state={},
        links={"peth0": Link("peth0", MAC, None), "eth0": Link("eth0", None, "bridge")},
        profiles={
            "peth0": Profile("u-1", "peth0", "802-3-ethernet", "peth0", KEYFILE),
            "eth0": Profile("u-2", "eth0", "bridge", "eth0", "/etc/NetworkManager/system-connections/b.nmconnection"),
        },
        zones={"eth0": "trusted", "peth0": "trusted"},
        owned={"eth0": Owned("linux-bridge", True, "u-2"), "peth0": Owned("ethernet", False, "u-9")},
    )


def test_the_first_snapshot_of_a_nic_counts(state: Path) -> None:
    original = find_original(state)
    assert [(n.mac, n.name, n.altnames, n.profile) for n in original.nics] == [(MAC, "eth0", ("enp1s0",), "u-1")]
    kept = {r["path"]: r for r in original.snapshot["files"]}
    assert set(kept) == {KEYFILE, LINK}
    assert base64.b64decode(kept[KEYFILE]["data"]) == b"[connection]\nuuid=u-1\n"
    assert kept[LINK] == {"path": LINK, "absent": True}


def test_a_profile_whose_keyfile_does_not_name_it_is_given_back_too(tmp_path: Path) -> None:
    office, foreign = (f"/etc/NetworkManager/system-connections/{name}.nmconnection" for name in ("office", "foreign"))
    snapshot = {
        "files": [file(office, "[connection]\nid=office\n"), file(foreign, "[connection]\nid=foreign\n")],
        "links": {"eth0": link("eth0")},
        "profiles": [{"uuid": "u-1", "device": "eth0", "file": office, "id": "office"}],
    }
    past(tmp_path, "1", snapshot=snapshot, adopts=[MAC])
    assert [r["path"] for r in find_original(tmp_path).snapshot["files"]] == [office]


def test_a_bond_from_before_kvmnet_is_activated_and_compared_too(tmp_path: Path) -> None:
    bond: dict[str, Any] = {"name": "bond0", "mac": None, "kind": "bond", "address": MAC, "altnames": []}
    snapshot = {
        "links": {"eth0": link("eth0", master="bond0"), "bond0": bond},
        "profiles": [{"uuid": u, "device": d, "file": "", "id": d} for u, d in (("u-1", "eth0"), ("u-2", "bond0"))],
    }
    past(tmp_path, "1", snapshot=snapshot, adopts=[MAC])
    original = find_original(tmp_path)
    assert original.active == {"eth0": "u-1", "bond0": "u-2"}
    assert original.snapshot["links"]["bond0"] == bond
    assert {"uuid": "u-2", "device": "bond0"} in original.snapshot["profiles"]


def seen_later(state: Path) -> None:
    """What a person made comes into the definition: a VLAN that nothing of kvmnet's is in the way of, and some that
    are as they are by kvmnet alone; and a second profile that they have on the NIC."""
    told: dict[str, dict[str, Any]] = {
        "bond0.7": {"over": "bond0"},
        "peth0.7": {"over": "peth0"},
        "eth0.7": {"over": "eth0"},
        "port": {"master": "eth0"},
        "peth0": {"mac": MAC},
    }
    links = {name: {"name": name, "mac": None, "kind": "vlan", **more} for name, more in told.items()}
    bridge = {"name": "eth0", "mac": None, "kind": "bridge"}
    held = {**{f"u-{name}": name for name in links}, "u-idle": None, "u-second": "bond0.7"}
    held[profile_uuid("h", "eth0")] = "eth0"
    profiles = [{"uuid": uuid, "device": device, "file": "", "id": uuid} for uuid, device in held.items()]
    past(state, "3", snapshot={"names": ["eth0"], "links": {**links, "eth0": bridge}, "profiles": profiles}, host="h")


def test_what_is_adopted_later_is_activated_and_compared_too(state: Path) -> None:
    seen_later(state)
    original = find_original(state)
    assert original.active == {"eth0": "u-1", "bond0.7": "u-bond0.7"}
    assert set(original.snapshot["links"]) == {"eth0", "bond0.7"}
    assert {"u-peth0.7", "u-peth0", "u-idle"} <= set(original.snapshot["uuids"]), "their keyfiles are given back"


def test_what_stays_up_is_told_to_do_what_its_profile_says_again(state: Path) -> None:
    """Not what goes and only has the name, here the bridge eth0, nor what is a port until the bridge goes."""
    seen_later(state)
    original = find_original(state)
    vlan = Link("bond0.7", None, "vlan", base="bond0")
    for here, again in ((vlan, ["bond0.7"]), (replace(vlan, master="eth0"), [])):
        machine = replace(live(), links={**live().links, "bond0.7": here})
        steps = compile_removal(plan_removal(BUNDLE, original, machine), original, machine, (), [], 0)
        step = next(s for s in steps if s["op"] == "activate")
        assert (step["profiles"], step["again"]) == (original.active, again)


def test_after_a_removal_the_count_begins_anew(state: Path) -> None:
    past(state, "3", snapshot={}, removes=True)
    with pytest.raises(Refused, match="has not taken over a NIC"):
        find_original(state)


def test_what_is_given_back(state: Path) -> None:
    plan = plan_removal(BUNDLE, find_original(state), live())
    assert plan_text(plan).splitlines() == [
        "vm-container-0-0: 4 changes to make",
        "  - remove eth0: created by kvmnet",
        f"  > rename peth0: to eth0, the NIC with MAC {MAC}",
        "  ~ change eth0: its connection profile from before kvmnet is restored",
        f"  - remove {LINK}",
    ]


def test_what_a_person_has_changed_since_is_told(state: Path) -> None:
    """A second profile of the NIC that they deleted, one that they changed, the hostname; what came with kvmnet."""
    folder = "/etc/NetworkManager/system-connections"
    gone, other, same = (f"{folder}/{name}.nmconnection" for name in ("gone", "other", "same"))
    came, name = "/etc/NetworkManager/conf.d/90-kvmnet-guests.conf", "/etc/hostname"
    before = [file(path, path) for path in (gone, other, same)] + [file(came, None), file(name, "old\n")]
    profiles = [{"uuid": f"u-{path}", "device": None, "file": path, "id": ""} for path in (gone, other, same)]
    past(state, "3", snapshot={"files": before, "profiles": profiles})
    original = find_original(state)
    day = time.strftime("%Y-%m-%d", time.localtime(ended(state)[-1].at))
    there = {record["path"]: record for record in original.snapshot["files"]}
    there |= {gone: file(gone, None), other: {**there[other], "mode": 420}, came: file(came, "x")}
    there |= {KEYFILE: file(KEYFILE, "ours"), LINK: file(LINK, "ours"), name: file(name, "new\n")}
    machine = replace(live(), state={"hostname": {"config": "new"}})
    plan = plan_removal(BUNDLE, original, machine, there)
    assert plan_text(plan).splitlines()[5:] == [
        "  ~ change hostname: new -> old",
        f"  + add {gone}: restored as of {day}",
        f"  ~ change {other}: restored as of {day}",
        f"  - remove {came}: did not exist on {day}",
    ]
    machine = replace(live(), state={"hostname": {"config": "old"}})
    there = {name: {**there[name], "mode": 420, "data": ""}}
    told = Change("change", name, (FileRestored(day),))
    assert plan_removal(BUNDLE, original, machine, there).changes[-1] == told


def test_of_another_profile_that_fits_the_nic_nothing_is_told(state: Path) -> None:
    """Who had the NIC before kvmnet has it again; whoever else fits it did so then."""
    machine = replace(live(), idle=(Profile("u-9", "office", "802-3-ethernet", "", KEYFILE),))
    assert notes_of(plan_removal(BUNDLE, find_original(state), machine), machine) == []
    assert notes_of(make_plan(BUNDLE, machine), machine) != []


def test_a_removal_touches_all_that_was_applied_and_all_that_comes_back(state: Path) -> None:
    original = replace(find_original(state), active={"bond0": "u-3"})
    assert given_back(BUNDLE, original) == {"bond0", *(i["name"] for i in BUNDLE.state["interfaces"]), "eth0"}


def test_nothing_of_the_host_speaks_against_it(state: Path) -> None:
    machine = live()
    assert judge(plan_removal(BUNDLE, find_original(state), machine), machine, among=GIVING_BACK) == []
    plan, held = plan_removal(BUNDLE, find_original(state), machine), replace(machine, checkpoints=("/1",))
    with pytest.raises(Refused, match="open checkpoint of another tool"):
        judge(plan, held, among=GIVING_BACK)


def test_a_nic_that_is_gone_is_named(state: Path) -> None:
    machine = live()
    without = Live(hostname="h", state={}, links={"eth0": machine.links["eth0"]}, profiles=machine.profiles)
    with pytest.raises(Refused, match=f"the NIC {MAC}, eth0 before kvmnet"):
        plan_removal(BUNDLE, find_original(state), without)


def test_a_nic_that_a_person_has_bridged_since_is_named(state: Path) -> None:
    machine = live()
    held = replace(machine.links["peth0"], master="br-hand")
    machine = replace(machine, links={**machine.links, "peth0": held, "br-hand": Link("br-hand", None, "bridge")})
    with pytest.raises(Refused, match="peth0 is a port of br-hand, which kvmnet did not make") as told:
        plan_removal(BUNDLE, find_original(state), machine)
    assert told.value.code == "KVN562"


def test_every_step_can_be_done_and_undone(state: Path) -> None:
    """The bridge goes before its name is given to the NIC, the probes come before it is forgotten."""
    original = find_original(state)
    plan = plan_removal(BUNDLE, original, live())
    steps = compile_removal(
        plan, original, live(), (Probe("gateway", "10.1.1.1"),), [str(state / "applied" / "bundle.json")], 60
    )
    assert [s["op"] for s in steps] == [*["give back"] * 5, "activate", "as before", "probe", "confirm", "write files"]
    assert all(s["op"] in DO and s["limit"] > 0 for s in steps)
    assert all(spec["op"] in undo.UNDO for s in steps for spec in [*s["undo"], *s.get("specs", [])])
    titles = [s["title"] for s in steps]
    assert titles.index("remove eth0") < titles.index("give peth0 its name eth0")
    assert steps[titles.index("give peth0 its name eth0")]["undo"][-1] == {
        "op": "rename",
        "mac": MAC,
        "to": "peth0",
        "altnames": [],
    }
    assert {"u-1", "u-2"} <= set(touched_profiles(steps))
    assert touched_files(steps) == sorted([LINK, str(state / "applied" / "bundle.json")])


def ours(name: str) -> Profile:
    return Profile(f"u-{name}", name, "x", name, f"/etc/{name}")


def test_a_persons_vlan_on_a_nic_that_gets_its_old_name_back_speaks_against_it(state: Path) -> None:
    """Its profile names the NIC as it is now: it would be gone at the next boot. What the hook made has no profile."""
    machine = live()
    plan = plan_removal(BUNDLE, find_original(state), machine)
    hooks = replace(machine, links={**machine.links, "peth0.2": Link("peth0.2", None, "vlan", base="peth0")})
    assert judge(plan, hooks, among=GIVING_BACK) == []
    theirs = replace(hooks, profiles={**machine.profiles, "peth0.2": ours("peth0.2")})
    with pytest.raises(Refused, match=r"vlan peth0\.2 is on peth0, which would be renamed to eth0") as told:
        judge(plan, theirs, among=GIVING_BACK)
    assert told.value.hint == "nmcli connection modify u-peth0.2 vlan.parent eth0, and --allow KVN528"
    assert [r.code for r in judge(plan, theirs, ("KVN528",), GIVING_BACK)] == ["KVN528"]


@pytest.mark.guarantee("G52")
def test_what_a_person_made_since_is_not_removed_nor_cut_off(state: Path) -> None:
    """They deleted a bridge of kvmnet's and made one of its name; and a VLAN of theirs stands on one of kvmnet's."""
    machine = live()
    machine = replace(
        machine,
        links={**machine.links, "br5": Link("br5", None, "bridge"), "br6": Link("br6", None, "bridge")},
        profiles={**machine.profiles, "br5": replace(ours("br5"), uuid="u-theirs"), "br6": ours("br6")},
        owned={**machine.owned, **{name: Owned("linux-bridge", True, f"u-{name}") for name in ("br5", "br6")}},
    )
    original = find_original(state)
    plan = plan_removal(BUNDLE, original, machine)
    assert {change.name for change in plan.changes if change.kind == "remove"} == {"eth0", "br6", LINK}
    assert judge(plan, machine, among=GIVING_BACK) == []
    on_it = {**machine.links, "br6.7": Link("br6.7", None, "vlan", base="br6")}
    with pytest.raises(Refused, match=r"br6 would be removed but is in use by br6\.7"):
        judge(plan, replace(machine, links=on_it), among=GIVING_BACK)
    over = {**machine.links, "br6": replace(machine.links["br6"], master="br5")}
    with pytest.raises(Refused, match="br6 would be removed but is in use by br5"):
        judge(plan, replace(machine, links=over), among=GIVING_BACK)


def test_what_kvmnet_made_and_is_down_does_not_come_back_at_boot(state: Path) -> None:
    """Its profile alone goes: of a link of its name that is there a person is the master."""
    machine = live()
    machine = replace(
        machine,
        links={**machine.links, "br6": Link("br6", None, "bridge")},
        profiles={**machine.profiles, "br6": replace(ours("br6"), uuid="u-theirs")},
        idle=(*(replace(ours(name), device="") for name in ("br5", "br6")), Profile("u-x", "br7", "bridge", "", "/x")),
        owned={**machine.owned, **{n: Owned("linux-bridge", True, f"u-{n}") for n in ("br5", "br6", "br7")}},
    )
    original = find_original(state)
    plan = plan_removal(BUNDLE, original, machine)
    assert (
        "  - remove /etc/br5: the connection profile of br5, which is inactive and was created by kvmnet\n"
        in plan_text(plan)
    )
    steps = compile_removal(plan, original, machine, (), [], 0)
    first, before_all = steps[1], steps[0]
    assert before_all["specs"] == [{"op": "files", "paths": [LINK]}]
    assert first["specs"] == [{"op": "profiles", "profiles": {"u-br5": "", "u-br6": ""}}]
    assert first["undo"] == [{"op": "files", "uuids": ["u-br5", "u-br6"]}, {"op": "links", "names": ["br5"]}]
    compared = next(s for s in steps if s["op"] == "as before")
    assert {"u-br5", "u-br6", "u-2"} <= set(compared["gone"])
    assert not {"u-1", "u-x"} & set(compared["gone"])


def test_what_carries_the_hosts_addresses_goes_last(state: Path) -> None:
    """All others at once before it: the management address is away for one removal, not for sixty."""
    machine = live()
    vlans = {f"peth0.{tag}": Link(f"peth0.{tag}", None, "vlan", master=f"br{tag}", base="peth0") for tag in (2, 3)}
    bridges = {f"br{tag}": Link(f"br{tag}", None, "bridge") for tag in (2, 3)}
    shown = [
        {"name": "eth0", "ipv6": {"address": [{"ip": "fe80::1", "prefix-length": 64}]}},
        {"name": "br2", "ipv6": {"address": [{"ip": "fe80::2", "prefix-length": 64}]}},
        {"name": "br3", "ipv4": {"address": [{"ip": "10.1.0.3", "prefix-length": 16}]}},
    ]
    machine = replace(
        machine,
        state={"interfaces": shown},
        links={**machine.links, **vlans, **bridges},
        profiles={**machine.profiles, **{n: ours(n) for n in (*vlans, *bridges)}},
        owned={
            **machine.owned,
            **{name: Owned("vlan", True, f"u-{name}") for name in vlans},
            **{name: Owned("linux-bridge", True, f"u-{name}") for name in bridges},
        },
    )
    original = find_original(state)
    steps = compile_removal(plan_removal(BUNDLE, original, machine), original, machine, (), [], 0)
    gone = [s for s in steps if s["title"].startswith("remove ")]
    assert [s["title"] for s in gone] == ["remove eth0, br2, peth0.2", "remove br3, peth0.3"]
    assert gone[0]["specs"][0]["profiles"] == {"u-peth0.2": "peth0.2", "u-br2": "br2", "u-2": "eth0"}
    assert set(gone[0]["undo"][0]["uuids"]) == {"u-peth0.2", "u-br2", "u-2"}
    assert gone[0]["limit"] > gone[1]["limit"]
