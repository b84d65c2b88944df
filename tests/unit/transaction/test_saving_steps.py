"""Steps that keep a change: what is written to disk, in which order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.live.live_host import Link
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.guest_settings import FILES, guest_settings
from kvmnet.core.rendering.macvtap_rule import RULES_FILE, macvtap_bases
from kvmnet.pipeline import load
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import touched_files, touched_profiles
from tests.unit.core.samples import after, before, with_inactive, with_leaving
from tests.unit.transaction.samples import BOND, BUNDLE, assert_steps_match_the_table, compile_sample, index_of


def test_bridges_are_saved_before_their_ports() -> None:
    compiled = compile_sample()
    assert compiled[index_of("save", compiled)]["interfaces"] == [["eth0"], ["peth0"]]


def test_the_hostname_is_set_in_a_step_of_its_own() -> None:
    live = before()
    bundle = replace(BUNDLE, state={**BUNDLE.state, "hostname": {"config": "new.local"}})
    live.state["hostname"] = {"running": "old", "config": "old.local"}
    compiled = compile_steps(make_plan(bundle, live), live, {}, Terms(120))
    step = compiled[index_of("hostname", compiled)]
    undo = {"op": "hostname", "name": "old.local", "running": live.hostname}
    assert (step["name"], step["undo"][0]) == ("new.local", undo)
    assert "/etc/hostname" in touched_files(compiled)
    live.state["hostname"]["config"] = "new.local"
    assert "hostname" not in [s["op"] for s in compile_steps(make_plan(bundle, live), live, {}, Terms(120))]


def test_a_bond_is_saved_after_its_bridge_and_before_its_ports(tmp_path: Path) -> None:
    """A bond saved as the port of a bridge that is not saved yet would have no address after a power cut."""
    (tmp_path / "cluster.yaml").write_text(BOND)
    live = before()
    live = replace(live, links={**live.links, "eth1": Link("eth1", "02:00:00:00:00:02", None)})
    compiled = compile_steps(make_plan(load(str(tmp_path / "cluster.yaml")).bundle("hv"), live), live, {}, Terms(120))
    assert compiled[index_of("save", compiled)]["interfaces"] == [
        ["br-bond0", "br-bond0.5"],
        ["bond0", "bond0.5", "bond0.2", "mvt-c00002"],
        ["eth0", "eth1"],
    ]


def test_profiles_of_interfaces_that_are_down_are_deleted_and_the_undo_keeps_them_down() -> None:
    live = with_inactive(with_leaving(BUNDLE))
    uuids = sorted(profile_uuid("vm-container-0-0", name) for name in ("peth0.5", "br5"))
    files = {"op": "files", "uuids": uuids}
    for link, down in ((None, ["peth0.5", "br5"]), (Link("br5", None, "bridge"), ["peth0.5"])):
        live = replace(live, links={**live.links, link.name: link}) if link else live
        compiled = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
        assert [s["op"] for s in compiled] == ["read back", "forget", "write files"]
        assert (compiled[1]["uuids"], compiled[1]["undo"]) == (uuids, [files, {"op": "links", "names": down}])
    assert set(uuids) <= set(touched_profiles(compiled)), "their keyfiles are in the snapshot"


def test_an_interface_that_is_to_be_down_stays_down_at_boot() -> None:
    """nmstate only deactivates its profile; on disk it is changed after the commit, with an undo."""
    live = before()
    uuid = live.profiles["eth0"].uuid
    bundle = replace(
        BUNDLE, state={"interfaces": [{"name": "peth0", "type": "ethernet", "state": "down"}]}, guests=None
    )
    compiled = compile_steps(make_plan(bundle, live), live, {}, Terms(120))
    step = compiled[index_of("stay down", compiled)]
    assert (step["uuids"], step["undo"]) == ([uuid], [{"op": "files", "uuids": [uuid]}])
    assert [s["op"] for s in compiled].index("commit") < compiled.index(step)
    assert {"name": "peth0", "down": True} in compiled[index_of("read back", compiled)]["expect"]
    assert_steps_match_the_table(compiled)
    without = replace(live, profiles={})
    assert "stay down" not in [s["op"] for s in compile_steps(make_plan(bundle, without), without, {}, Terms(120))]


def test_networkmanagers_settings_are_removed_from_a_host_without_guests() -> None:
    bundle = replace(BUNDLE, guests=None, state={"interfaces": []}, nics=(), links={})
    live = replace(after(BUNDLE), state={"interfaces": []})
    compiled = compile_steps(make_plan(bundle, live), live, {}, Terms(120))
    step = next(s for s in compiled if s.get("reload") == "NetworkManager")
    assert (step["files"], step["remove"]) == ({}, list(FILES))
    assert set(FILES) <= set(touched_files(compiled))


@pytest.mark.guarantee("G47")
@pytest.mark.parametrize("key", ["routes", "dns-resolver"])
def test_profiles_that_nmstate_may_have_changed_are_saved(key: str) -> None:
    """nmstate chooses the profiles that they go into, and changes them in memory."""
    live = after(BUNDLE)
    state = json.loads(json.dumps(dict(BUNDLE.state)))
    if key == "routes":
        state["routes"]["config"][0]["next-hop-address"] = "10.1.1.2"
    else:
        state["dns-resolver"] = {"config": {"server": ["10.1.1.53"], "search": []}}
    plan = make_plan(replace(BUNDLE, state=state), live)
    assert list(plan.state) == [key], "no interface is sent"
    compiled = compile_steps(plan, live, {}, Terms(120))
    step = compiled[index_of("save", compiled)]
    assert (step["interfaces"], step["perhaps"]) == ([["eth0"], ["peth0"]], ["peth0", "eth0"])
    assert {live.profiles[name].uuid for name in ("eth0", "peth0")} <= set(touched_profiles(compiled))
    assert index_of("commit", compiled) < index_of("save", compiled)


MACVTAP = Link("macvtap0", None, "macvtap", base="peth0.2", address="36:77:6e:c0:00:02")


def test_multicast_is_let_through_after_the_rule_is_written() -> None:
    """A macvtap that is created in between is left out by neither of the two."""
    live = replace(before(), links={**before().links, "macvtap0": MACVTAP})
    compiled = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
    step = compiled[index_of("multicast", compiled)]
    assert (step["bases"], step["exempt"]) == (macvtap_bases(BUNDLE), [])
    assert step["undo"] == [{"op": "multicast", "bases": step["bases"], "exempt": []}]
    before_it = compiled[compiled.index(step) - 1]
    assert RULES_FILE in before_it["files"]
    assert_steps_match_the_table(compiled)


def test_multicast_needs_no_step_without_macvtaps() -> None:
    compiled = compile_steps(make_plan(BUNDLE, before()), before(), {}, Terms(120))
    assert "multicast" not in [s["op"] for s in compiled]
    live = replace(after(BUNDLE), links={**after(BUNDLE).links, "macvtap0": replace(MACVTAP, allmulticast=True)})
    assert make_plan(BUNDLE, live).empty


def test_new_macvtaps_of_the_state_are_verified() -> None:
    bundle = load("tests/golden/good/attach/cluster.yaml").bundle("a")
    live = replace(before(), settings=guest_settings(bundle))
    compiled = compile_steps(make_plan(bundle, live), live, {}, Terms(120))
    assert "multicast" in [s["op"] for s in compiled]
