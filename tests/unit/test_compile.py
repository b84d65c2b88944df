"""The transaction as data: the order that makes it safe, and an undo for everything that is done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.core.live.live_host import Link, Live, Profile
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import make_plan
from kvmnet.pipeline import load
from kvmnet.rescue import undo
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import Step, touched_files, touched_profiles
from kvmnet.transaction.step_actions import DO
from tests.unit.core.samples import KEYFILES, after, before, with_inactive, with_leaving

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


def steps(zones: bool = True) -> list[Step]:
    live = before()
    if zones:
        live = type(live)(**{**live.__dict__, "zones": {"eth0": "trusted"}})
    terms = Terms(120, (Probe("gateway", "10.1.1.1"),), {"/var/lib/kvmnet/applied/bundle.json": "{}"})
    return compile_steps(make_plan(BUNDLE, live), live, {("eth0", "802-3-ethernet"): ["u-1"]}, terms)


def place(op: str, found: list[Step]) -> int:
    return [s["op"] for s in found].index(op)


def test_the_order() -> None:
    assert [s["op"] for s in steps()] == [
        "write files",
        "check links",
        "rebind",
        "zone",
        "rename",
        "seed",
        "apply",
        "read back",
        "probe",
        "commit",
        "write profile",
        "write files",
        "check links",
        "save",
        "write files",
        "write files",
    ]


@pytest.mark.parametrize(("version", "bound"), [("2.2.24", True), ("2.2.33", True), ("2.2.54", False), ("", False)])
def test_an_older_nmstate_finds_the_profile_by_the_interfaces_name(version: str, bound: bool) -> None:
    live = replace(before(), nmstate=version)
    found = compile_steps(make_plan(BUNDLE, live), live, {("eth0", "802-3-ethernet"): ["u-1"]}, Terms(120))
    ops = [s["op"] for s in found]
    assert ("bind name" in ops) is bound
    if bound:
        assert ops.index("rename") < ops.index("bind name") < ops.index("apply")
        step = found[place("bind name", found)]
        assert (step["uuid"], step["interface"]) == ("u-1", "peth0")
        assert step["undo"] == [{"op": "unbind name", "uuid": "u-1"}]
        assert {s["op"] for s in found} <= set(DO)
        assert "unbind name" in undo.UNDO


@pytest.mark.parametrize("name", ["peth0", ""])
def test_a_nic_that_keeps_its_name_needs_it_only_where_its_profile_has_it_not(name: str) -> None:
    live = replace(after(BUNDLE), nmstate="2.2.33")
    live.state["interfaces"][0]["accept-all-mac-addresses"] = False
    profiles = {**live.profiles, "peth0": replace(live.profiles["peth0"], interface_name=name)}
    plan = make_plan(BUNDLE, replace(live, profiles=profiles))
    found = compile_steps(plan, replace(live, profiles=profiles), {}, Terms(120))
    assert [i["name"] for i in plan.state["interfaces"]] == ["peth0"]
    assert ("bind name" in [s["op"] for s in found]) is (name == "")
    if not name:  # the memory that it is bound in lies over its keyfile
        uuid = live.profiles["peth0"].uuid
        assert found[place("bind name", found)]["undo"] == [{"op": "files", "uuids": [uuid]}]


@pytest.mark.guarantee("G17")
def test_nothing_is_written_to_etc_before_the_commit() -> None:
    found = steps()
    early = json.dumps(found[: place("commit", found)])
    assert "/run/systemd/network/00-kvmnet-peth0.link" in early
    assert "/etc/" not in early


def test_bridges_are_saved_before_their_ports() -> None:
    found = steps()
    assert found[place("save", found)]["interfaces"] == [["eth0"], ["peth0"]]


@pytest.mark.guarantee("G31")
def test_the_bridge_inherits_the_zone_before_it_exists() -> None:
    found = steps()
    (seed,) = found[place("seed", found)]["profiles"]
    assert (seed["zone"], seed["uuid"]) == ("trusted", profile_uuid("vm-container-0-0", "eth0"))


def test_the_hostname_is_a_step_of_its_own_with_its_undo() -> None:
    live = before()
    bundle = replace(BUNDLE, state={**BUNDLE.state, "hostname": {"config": "new.local"}})
    live.state["hostname"] = {"running": "old", "config": "old.local"}
    found = compile_steps(make_plan(bundle, live), live, {}, Terms(120))
    step = found[place("hostname", found)]
    undo = {"op": "hostname", "name": "old.local", "running": live.hostname}
    assert (step["name"], step["undo"][0]) == ("new.local", undo)
    assert "/etc/hostname" in touched_files(found)
    live.state["hostname"]["config"] = "new.local"
    assert "hostname" not in [s["op"] for s in compile_steps(make_plan(bundle, live), live, {}, Terms(120))]


def test_without_firewalld_no_zone_is_bound() -> None:
    assert "zone" not in [s["op"] for s in steps(zones=False)]


def test_steps_are_plain_data_that_both_sides_know() -> None:
    found = steps()
    assert json.loads(json.dumps(found)) == found
    assert {s["op"] for s in found} <= set(DO)
    assert {spec["op"] for s in found for spec in s["undo"]} <= set(undo.UNDO)


@pytest.mark.guarantee("G17")
def test_every_effect_has_an_undo() -> None:
    without = {"check links", "read back", "probe", "commit"}  # these change nothing that a snapshot holds
    assert [s["op"] for s in steps() if not s["undo"] and s["op"] not in without] == []


@pytest.mark.guarantee("G17")
def test_what_is_written_is_in_the_snapshot() -> None:
    found = steps()
    written = {path for s in found for path in [*s.get("files", {}), *s.get("remove", []), s.get("path")] if path}
    assert written <= set(touched_files(found))
    assert {"u-1", profile_uuid("vm-container-0-0", "eth0")} <= set(touched_profiles(found))


@pytest.mark.guarantee("G42")
def test_a_host_that_is_as_defined_needs_only_a_note() -> None:
    live = after(BUNDLE)
    live = type(live)(**{**live.__dict__, "applied": None})
    found = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
    assert [s["op"] for s in found] == ["read back", "write files"]


BOND = """kvmnet: 1
cluster: bonded
profile: plain
networks:
  servers: {subnets: [10.1.0.0/16]}
  storage: {subnets: [10.5.0.0/24], vlan: 5}
  tenant: {vlan: 2, over: servers, attach: always}
hosts:
  hv:
    kvm: true
    interfaces:
      eth0: {}
      eth1: {}
      bond0: {network: servers, ports: [eth0, eth1], addresses: [10.1.255.254]}
      bond0.5: {network: storage, bridge: true}
guests:
  g: {host: hv, nics: [{network: tenant, mac: 36:77:6e:c0:00:02}]}
"""


def bond_seeds(
    folder: Path,
    zones: dict[str, str],
    *,
    speaking: str = "",
    links: tuple[Link, ...] = (),
    known: dict[tuple[str, str], list[str]] | None = None,
) -> dict[str, Step]:
    """The profiles that are made ahead for a bond of two NICs, by interface; `speaking` has an address today."""
    (folder / "cluster.yaml").write_text(BOND)
    bundle = load(str(folder / "cluster.yaml")).bundle("hv")
    macs = {"eth0": "02:00:00:00:00:01", "eth1": "02:00:00:00:00:02"}
    state: dict[str, Any] = {"interfaces": [{"name": name, "type": "ethernet"} for name in macs]}
    for interface in state["interfaces"]:
        if interface["name"] == speaking:
            interface["ipv4"] = {"address": [{"ip": "10.1.255.254", "prefix-length": 16}]}
    live = Live(
        hostname="hv",
        state=state,
        links={link.name: link for link in (*(Link(name, mac, None) for name, mac in macs.items()), *links)},
        profiles={
            name: Profile(f"u-{name}", name, "802-3-ethernet", name, f"{KEYFILES}/{name}.nmconnection", name)
            for name in (speaking,)
            if name
        },
        zones=zones,
        nmstate="2.2.62",
    )
    found = compile_steps(make_plan(bundle, live), live, known or {}, Terms(120))
    return {row["interface"]: row for step in found if step["op"] == "seed" for row in step["profiles"]}


def zones_of(seeds: dict[str, Step]) -> dict[str, str]:
    return {name: seed["zone"] for name, seed in seeds.items() if seed["zone"]}


@pytest.mark.parametrize("port", ["eth0", "eth1"])
def test_a_bond_and_its_bridge_take_the_zone_of_the_port_that_has_the_address(tmp_path: Path, port: str) -> None:
    other = {"eth0": "eth1", "eth1": "eth0"}[port]
    found = zones_of(bond_seeds(tmp_path, {port: "public", other: "dmz"}, speaking=port))
    assert found == {other: "dmz", "bond0": "public", "br-bond0": "public"}
    found = zones_of(bond_seeds(tmp_path, {other: "dmz"}, speaking=port))
    assert found == {other: "dmz"}, "the address was in the default zone"


def test_a_bond_of_silent_ports_takes_the_first_zone_of_theirs(tmp_path: Path) -> None:
    found = zones_of(bond_seeds(tmp_path, {"eth1": "public"}))
    assert found == {"eth1": "public", "bond0": "public", "br-bond0": "public"}


def test_what_is_there_already_keeps_its_zone(tmp_path: Path) -> None:
    there = Link("bond0", None, "bond"), Link("bond0.5", None, "vlan")
    zones = {"eth0": "dmz", "bond0": "public", "bond0.5": "trusted"}
    found = zones_of(bond_seeds(tmp_path, zones, links=there, known={("bond0", "bond"): ["u-b"]}))
    assert found == {"eth0": "dmz", "br-bond0": "public", "bond0.5": "trusted", "br-bond0.5": "trusted"}


def test_a_new_vlan_is_in_the_default_zone_whatever_is_under_it(tmp_path: Path) -> None:
    seeds = bond_seeds(tmp_path, {"eth0": "public"}, speaking="eth0")
    assert (seeds["bond0.5"]["zone"], seeds["br-bond0.5"]["zone"]) == ("", "")


def test_everything_without_a_profile_gets_one_that_is_known_to_be_ours(tmp_path: Path) -> None:
    """NICs and macvtaps too: nmstate's own have a UUID that nobody knows before, so an undo would leave them."""
    seeds = bond_seeds(tmp_path, {}, speaking="eth0")
    assert list(seeds) == ["eth1", "bond0", "bond0.5", "br-bond0", "br-bond0.5", "bond0.2", "mvt-c00002"]
    assert seeds["mvt-c00002"]["over"] == {"base-iface": "bond0.2", "mode": "bridge"}
    assert "eth1" not in bond_seeds(tmp_path, {}, speaking="eth0", known={("eth1", "802-3-ethernet"): ["u-9"]})


def test_a_bond_is_saved_after_its_bridge_and_before_its_ports(tmp_path: Path) -> None:
    """A bond that is on disk as the port of a bridge that is not would have no address after a power cut."""
    (tmp_path / "cluster.yaml").write_text(BOND)
    live = before()
    live = replace(live, links={**live.links, "eth1": Link("eth1", "02:00:00:00:00:02", None)})
    found = compile_steps(make_plan(load(str(tmp_path / "cluster.yaml")).bundle("hv"), live), live, {}, Terms(120))
    assert found[place("save", found)]["interfaces"] == [
        ["br-bond0", "br-bond0.5"],
        ["bond0", "bond0.5", "bond0.2", "mvt-c00002"],
        ["eth0", "eth1"],
    ]


def test_a_profile_that_is_not_active_is_given_back_too(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(BOND)
    live = before()
    live = replace(live, links={**live.links, "eth1": Link("eth1", "02:00:00:00:00:02", None)})
    plan = make_plan(load(str(tmp_path / "cluster.yaml")).bundle("hv"), live)
    found = compile_steps(plan, live, {("eth1", "802-3-ethernet"): ["u-9"]}, Terms(120))
    assert {"u-1", "u-9"} <= set(touched_profiles(found))


def test_a_nic_that_keeps_its_name_gets_its_altnames_back() -> None:
    """A boot under our .link file leaves it without them."""
    live = before()
    profile = replace(live.profiles["eth0"], device="peth0", interface_name="peth0")
    live = replace(
        live,
        links={"peth0": replace(live.links["eth0"], name="peth0")},
        profiles={"peth0": profile},
        state={"interfaces": [{**live.state["interfaces"][1], "name": "peth0"}]},
    )
    found = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
    kept = next(s for s in found if s["title"] == "name the NICs for udev, for good")
    assert kept["undo"][1] == {"op": "rename", "mac": "00:14:4f:80:de:00", "to": "peth0", "altnames": ["enp1s0"]}


def test_what_left_goes_on_trial_and_is_forgotten_last() -> None:
    live = with_leaving(BUNDLE)
    found = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
    assert [s["op"] for s in found] == ["apply", "read back", "commit", "forget", "write files"]
    uuids = sorted(profile_uuid("vm-container-0-0", name) for name in ("peth0.5", "br5"))
    forget = found[place("forget", found)]
    assert (forget["uuids"], forget["undo"]) == (uuids, [{"op": "files", "uuids": uuids}])
    assert set(uuids) <= set(touched_profiles(found)), "their keyfiles are in the snapshot"
    assert {"name": "br5", "absent": True} in found[place("read back", found)]["expect"]
    trial = found[place("apply", found)]
    assert set(uuids) <= set(trial["undo"][-1]["uuids"])


def test_what_left_and_is_down_is_forgotten_and_is_down_after_an_undo() -> None:
    live = with_inactive(with_leaving(BUNDLE))
    uuids = sorted(profile_uuid("vm-container-0-0", name) for name in ("peth0.5", "br5"))
    files = {"op": "files", "uuids": uuids}
    for link, down in ((None, ["peth0.5", "br5"]), (Link("br5", None, "bridge"), ["peth0.5"])):
        live = replace(live, links={**live.links, link.name: link}) if link else live
        found = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
        assert [s["op"] for s in found] == ["read back", "forget", "write files"]
        assert (found[1]["uuids"], found[1]["undo"]) == (uuids, [files, {"op": "links", "names": down}])
    assert set(uuids) <= set(touched_profiles(found)), "their keyfiles are in the snapshot"


def test_a_file_of_the_nics_old_name_never_wins_and_goes_with_the_keeping() -> None:
    """00-kvmnet-eth0.link sorts before 00-kvmnet-peth0.link: while it is in /etc ours in /run must sort earlier."""
    live = before()
    old = BUNDLE.links["00-kvmnet-peth0.link"].replace("Name=peth0", "Name=eth0")
    live = replace(live, link_files={"00-kvmnet-eth0.link": old})
    found = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
    early, late = (s for s in found if s.get("reload") == "udev")
    assert list(early["files"]) == ["/run/systemd/network/00-kvmnet--peth0.link"]
    assert "00-kvmnet--peth0.link" < "00-kvmnet-eth0.link" < "00-kvmnet-peth0.link"
    assert found[1]["macs"] == {"00:14:4f:80:de:00": "00-kvmnet--peth0.link"}
    assert list(late["files"]) == ["/etc/systemd/network/00-kvmnet-peth0.link"]
    gone = ["/etc/systemd/network/00-kvmnet-eth0.link", "/run/systemd/network/00-kvmnet--peth0.link"]
    assert late["remove"] == gone
    assert set(gone) <= set(touched_files(found))


def test_what_is_to_be_down_is_so_at_boot_too() -> None:
    """nmstate deactivates its profile, no more; on disk after the commit, with its way back."""
    live = before()
    uuid = live.profiles["eth0"].uuid
    bundle = replace(
        BUNDLE, state={"interfaces": [{"name": "peth0", "type": "ethernet", "state": "down"}]}, guests=None
    )
    found = compile_steps(make_plan(bundle, live), live, {}, Terms(120))
    step = found[place("stay down", found)]
    assert (step["uuids"], step["undo"]) == ([uuid], [{"op": "files", "uuids": [uuid]}])
    assert [s["op"] for s in found].index("commit") < found.index(step)
    assert {"name": "peth0", "down": True} in found[place("read back", found)]["expect"]
    assert {s["op"] for s in found} <= set(DO)
    without = replace(live, profiles={})
    assert "stay down" not in [s["op"] for s in compile_steps(make_plan(bundle, without), without, {}, Terms(120))]


def test_networkmanagers_settings_go_when_no_guest_can_run_here() -> None:
    bundle = replace(BUNDLE, guests=None, state={"interfaces": []}, nics=(), links={})
    live = replace(after(BUNDLE), state={"interfaces": []})
    found = compile_steps(make_plan(bundle, live), live, {}, Terms(120))
    step = next(s for s in found if s.get("reload") == "NetworkManager")
    assert (step["files"], step["remove"]) == ({}, ["/etc/NetworkManager/conf.d/90-kvmnet-guests.conf"])
    assert step["remove"][0] in touched_files(found)


def test_the_fault_matrix_knows_the_steps() -> None:
    """Its points are named by their numbers."""
    from tests.lab.matrix_hosts import STEPS

    assert tuple(s["title"] for s in steps()) == STEPS


@pytest.mark.guarantee("G38")
@pytest.mark.parametrize("confirm", [0, 90])
def test_a_change_of_names_alone_waits_for_the_word_from_outside_too(tmp_path: Path, confirm: int) -> None:
    """No trial of nmstate's is needed for it, and it is the NIC that carries the operator all the same."""
    text = "kvmnet: 1\ncluster: c\nprofile: rocks\nhosts:\n  h:\n    kvm: false\n    interfaces:\n"
    (tmp_path / "cluster.yaml").write_text(text + "      lan0: {mac: 00:14:4f:80:de:00}\n")
    live = before()
    live = replace(live, state={"interfaces": [{**i, "ipv4": {}, "ipv6": {}} for i in live.state["interfaces"]]})
    plan = make_plan(load(str(tmp_path / "cluster.yaml")).bundle("h"), live)
    plan = replace(plan, state={})
    assert [r.new for r in plan.renames] == ["lan0"]
    found = [s["op"] for s in compile_steps(plan, live, {}, Terms(120, confirm=confirm))]
    assert ("confirm" in found) == bool(confirm)
    assert "apply" not in found
    assert found.count("read back") == (2 if confirm else 1), "much may happen while a person looks"
    if confirm:
        assert found.index("rename") < found.index("confirm") < found.index("write profile")
        assert found[found.index("confirm") + 1] == "read back"


@pytest.mark.guarantee("G47")
@pytest.mark.parametrize("key", ["routes", "dns-resolver"])
def test_routes_and_name_servers_alone_are_saved_wherever_they_were_put(key: str) -> None:
    """nmstate chooses the profiles that they go into, and changes them in memory."""
    live = after(BUNDLE)
    state = json.loads(json.dumps(dict(BUNDLE.state)))
    if key == "routes":
        state["routes"]["config"][0]["next-hop-address"] = "10.1.1.2"
    else:
        state["dns-resolver"] = {"config": {"server": ["10.1.1.53"], "search": []}}
    plan = make_plan(replace(BUNDLE, state=state), live)
    assert list(plan.state) == [key], "no interface is sent"
    found = compile_steps(plan, live, {}, Terms(120))
    step = found[place("save", found)]
    assert (step["interfaces"], step["perhaps"]) == ([["eth0"], ["peth0"]], ["peth0", "eth0"])
    assert {live.profiles[name].uuid for name in ("eth0", "peth0")} <= set(touched_profiles(found))
    assert place("commit", found) < place("save", found)


@pytest.mark.guarantee("G15")
def test_what_an_inactive_profile_brings_is_taken_away_by_the_undo() -> None:
    live = before()
    assert "links" not in [u["op"] for u in steps()[place("apply", steps())]["undo"]]
    found = compile_steps(make_plan(BUNDLE, live), live, {("eth0", "bridge"): ["u-old"]}, Terms(120))
    undo = found[place("apply", found)]["undo"]
    assert [u["op"] for u in undo] == ["checkpoint", "global dns", "links", "ports", "files"]
    assert undo[2]["names"] == ["eth0"]
    assert "u-old" in touched_profiles(found)
