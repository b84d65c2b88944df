"""Steps of the trial: connection profiles in memory, the state, the undo of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional

import pytest

from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.ownership import make_ownership_record, profile_uuid
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import Step, touched_profiles
from tests.unit.core.profile_samples import FILTERING, PIN, filtering, host
from tests.unit.core.samples import KEYFILES, after, bare, before
from tests.unit.transaction.samples import (
    BOND,
    BUNDLE,
    assert_steps_match_the_table,
    bond_seeds,
    compile_sample,
    index_of,
)


@pytest.mark.parametrize(("version", "bound"), [("2.2.24", True), ("2.2.33", True), ("2.2.54", False), ("", False)])
def test_a_profile_is_bound_to_the_name_for_an_older_nmstate(version: str, bound: bool) -> None:
    live = replace(before(), nmstate=version)
    compiled = compile_steps(make_plan(BUNDLE, live), live, {("eth0", "802-3-ethernet"): ["u-1"]}, Terms(120))
    ops = [s["op"] for s in compiled]
    assert ("bind name" in ops) is bound
    if bound:
        assert ops.index("rename") < ops.index("bind name") < ops.index("apply")
        step = compiled[index_of("bind name", compiled)]
        assert (step["uuid"], step["interface"]) == ("u-1", "peth0")
        assert step["undo"] == [{"op": "unbind name", "uuid": "u-1"}]
        assert_steps_match_the_table(compiled)


@pytest.mark.parametrize("name", ["peth0", ""])
def test_a_nic_that_keeps_its_name_is_bound_to_it_only_if_its_profile_is_not(name: str) -> None:
    live = replace(after(BUNDLE), nmstate="2.2.33")
    live.state["interfaces"][0]["accept-all-mac-addresses"] = False
    profiles = {**live.profiles, "peth0": replace(live.profiles["peth0"], interface_name=name)}
    plan = make_plan(BUNDLE, replace(live, profiles=profiles))
    compiled = compile_steps(plan, replace(live, profiles=profiles), {}, Terms(120))
    assert [i["name"] for i in plan.state["interfaces"]] == ["peth0"]
    assert ("bind name" in [s["op"] for s in compiled]) is (name == "")
    if not name:  # the profile in memory takes precedence over the keyfile
        uuid = live.profiles["peth0"].uuid
        assert compiled[index_of("bind name", compiled)]["undo"] == [{"op": "files", "uuids": [uuid]}]


@pytest.mark.guarantee("G31")
def test_a_new_bridge_has_its_zone_before_it_exists() -> None:
    compiled = compile_sample()
    (seed,) = compiled[index_of("seed", compiled)]["profiles"]
    assert (seed["zone"], seed["uuid"]) == ("trusted", profile_uuid("vm-container-0-0", "eth0"))


def test_every_interface_without_a_profile_gets_one_with_a_known_uuid(tmp_path: Path) -> None:
    """NICs and macvtaps too: profiles that nmstate creates have unknown UUIDs, so an undo could not delete them."""
    seeds = bond_seeds(tmp_path, {}, addressed="eth0")
    assert list(seeds) == ["eth1", "bond0", "bond0.5", "br-bond0", "br-bond0.5", "bond0.2", "mvt-c00002"]
    assert seeds["mvt-c00002"]["over"] == {"base-iface": "bond0.2", "mode": "bridge"}
    assert "eth1" not in bond_seeds(tmp_path, {}, addressed="eth0", known={("eth1", "802-3-ethernet"): ["u-9"]})


def test_inactive_profiles_are_restored_too(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(BOND)
    live = before()
    live = replace(live, links={**live.links, "eth1": Link("eth1", "02:00:00:00:00:02", None)})
    plan = make_plan(load(str(tmp_path / "cluster.yaml")).bundle("hv"), live)
    compiled = compile_steps(plan, live, {("eth1", "802-3-ethernet"): ["u-9"]}, Terms(120))
    assert {"u-1", "u-9"} <= set(touched_profiles(compiled))


@pytest.mark.guarantee("G15")
def test_an_interface_that_an_inactive_profile_creates_is_removed_by_the_undo() -> None:
    live = before()
    assert "links" not in [u["op"] for u in compile_sample()[index_of("apply", compile_sample())]["undo"]]
    compiled = compile_steps(make_plan(BUNDLE, live), live, {("eth0", "bridge"): ["u-old"]}, Terms(120))
    undo = compiled[index_of("apply", compiled)]["undo"]
    assert [u["op"] for u in undo] == ["checkpoint", "global dns", "links", "ports", "files"]
    assert undo[2]["names"] == ["eth0"]
    assert "u-old" in touched_profiles(compiled)


def bond_without_options(tmp_path: Path, **options: str) -> list[Step]:
    """The steps for a bond whose options have left the definition; `options` are those of the running bond."""
    (tmp_path / "cluster.yaml").write_text(BOND)
    bundle = load(str(tmp_path / "cluster.yaml")).bundle("hv")
    live = before()
    bond = {"name": "bond0", "type": "bond", "state": "up", "link-aggregation": {"options": options}}
    live = replace(
        live,
        state={**live.state, "interfaces": [*live.state["interfaces"], bond]},
        links={**live.links, "bond0": Link("bond0", None, "bond")},
        profiles={
            **live.profiles,
            "bond0": ConnectionProfile("u-b", "bond0", "bond", "bond0", f"{KEYFILES}/b.nmconnection"),
        },
    )
    plan = replace(make_plan(bundle, live), dropped={"bond0": ("primary", "miimon")})
    return compile_steps(plan, live, {("bond0", "bond"): ["u-b"]}, Terms(120))


def test_options_removed_from_the_definition_are_removed_from_the_bonds_profile(tmp_path: Path) -> None:
    compiled = bond_without_options(tmp_path, primary="eth0")
    assert_steps_match_the_table(compiled)
    step = compiled[index_of("drop options", compiled)]
    assert (step["uuid"], step["options"]) == ("u-b", ["primary", "miimon"])
    assert step["undo"] == [{"op": "files", "uuids": ["u-b"]}]
    assert index_of("drop options", compiled) < index_of("apply", compiled), "nmstate merges into the profile"


def test_the_primary_port_of_a_running_bond_is_cleared(tmp_path: Path) -> None:
    compiled = bond_without_options(tmp_path, primary="eth0")
    step = compiled[index_of("bond option", compiled)]
    assert (step["option"], step["value"]) == ("primary", "")
    assert step["undo"] == [{"op": "bond option", "interface": "bond0", "option": "primary", "value": "eth0"}]
    assert index_of("apply", compiled) < index_of("bond option", compiled) < index_of("read back", compiled)
    assert "bond option" not in [step["op"] for step in bond_without_options(tmp_path)]


def steps_with_settings(folder: Path, live: Live, bundle: Bundle) -> dict[str, Step]:
    compiled = compile_steps(make_plan(bundle, live), live, {}, Terms(120))
    assert_steps_match_the_table(compiled)
    return {step["op"]: step for step in compiled}


def test_a_new_interface_gets_its_settings_with_its_profile(tmp_path: Path) -> None:
    steps = steps_with_settings(tmp_path, bare(), filtering(tmp_path))
    (seed,) = (row for row in steps["seed"]["profiles"] if row["interface"] == "br-eth0")
    assert seed["settings"] == {FILTERING: True}
    assert "set settings" not in steps
    assert steps["check settings"]["interfaces"] == {"br-eth0": {FILTERING: True}}
    (expected,) = (entry for entry in steps["read back"]["expect"] if entry["name"] == "br-eth0")
    assert expected["options"] == {"vlan_filtering": 1}


def test_the_profile_of_an_existing_interface_is_changed_before_nmstate_runs(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    live = host(bundle)
    uuid = live.profiles["br-eth0"].uuid
    compiled = compile_steps(make_plan(bundle, live), live, {}, Terms(120))
    ops = [step["op"] for step in compiled]
    assert ops.index("set settings") < ops.index("apply") < ops.index("check settings") < ops.index("read back")
    step = compiled[ops.index("set settings")]
    assert step["title"] == "set bridge.vlan-filtering in the connection profile of br-eth0"
    assert (step["profiles"], step["as_applied"]) == ({uuid: {FILTERING: True}}, {})
    assert step["undo"] == [{"op": "files", "uuids": [uuid]}]
    assert_steps_match_the_table(compiled)


def test_an_inactive_profile_is_changed_too_because_nmstate_uses_it(tmp_path: Path) -> None:
    compiled = compile_steps(
        make_plan(filtering(tmp_path), bare()), bare(), {("br-eth0", "bridge"): ["u-7"]}, Terms(120)
    )
    assert compiled[index_of("set settings", compiled)]["profiles"] == {"u-7": {FILTERING: True}}


def test_a_difference_of_the_profile_alone_is_saved_without_nmstate(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    live = host(bundle, kernel=1, stored="no")
    steps = steps_with_settings(tmp_path, live, bundle)
    assert {"apply", "check settings", "commit"}.isdisjoint(steps)
    assert steps["set settings"]["profiles"] == {live.profiles["br-eth0"].uuid: {FILTERING: True}}
    assert steps["save"]["interfaces"] == [["br-eth0"]]


def test_the_mac_of_an_adopted_bridge_is_set_after_nmstate_has_applied_its_profile(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    live = host(bundle, mac="", made=False)
    steps = steps_with_settings(tmp_path, live, bundle)
    uuid, mac = live.profiles["br-eth0"].uuid, make_plan(bundle, live).macs["br-eth0"].mac
    assert steps["set settings"]["profiles"] == {uuid: {FILTERING: True}}
    assert steps["set settings"]["as_applied"] == {uuid: "br-eth0"}
    assert "mac-address" not in steps["apply"]["state"]["interfaces"][0]
    assert steps["check settings"]["interfaces"] == {"br-eth0": {FILTERING: True, PIN: mac}}


@pytest.mark.parametrize("shown", ["02:00:00:00:00:99", None])
def test_a_mac_that_was_changed_by_hand_is_set_by_a_step_of_its_own(tmp_path: Path, shown: Optional[str]) -> None:
    """NetworkManager reapplies a profile that already has the MAC address without setting it."""
    bundle = filtering(tmp_path, None)
    live = host(bundle)
    note = make_ownership_record(make_plan(bundle, live).bundle, live)
    interfaces = [
        {**i, "mac-address": shown} if shown and i["name"] == "br-eth0" else i for i in live.state["interfaces"]
    ]
    live = replace(live, state={**live.state, "interfaces": interfaces}, applied_state=note.state)
    steps = steps_with_settings(tmp_path, live, bundle)
    if shown:
        assert steps["set macs"]["macs"] == {"br-eth0": "00:14:4f:80:de:00"}
    else:
        assert "set macs" not in steps
