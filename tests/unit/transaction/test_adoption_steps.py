"""Steps of an adoption: guests' ports, and settings that go with addresses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.planning.plan import make_plan
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import STEP_LIMIT, Step, touched_profiles
from tests.unit.core.adoption_samples import bridged_host, load_site, with_profile_settings
from tests.unit.core.planning.test_carried_settings import RICH, host_of_one_nic
from tests.unit.transaction.samples import assert_steps_match_the_table, index_of

KNOWN = {("br0", "bridge"): ["u-br0"], ("eth0", "802-3-ethernet"): ["u-eth0"]}


def compiled(tmp_path: Path, bridge: str, profile: str = "plain", **settings: Any) -> list[Step]:
    bundle = load_site(tmp_path, bridge, profile)
    live = with_profile_settings(bridged_host(bundle), **settings)
    return compile_steps(make_plan(bundle, live), live, KNOWN, Terms(120))


def test_a_replaced_bridge_hands_its_ports_over_in_the_trial(tmp_path: Path) -> None:
    steps = compiled(tmp_path, "br-eth0")
    assert_steps_match_the_table(steps)
    ops = [step["op"] for step in steps]
    assert ops.index("apply") + 1 == ops.index("hand over") < ops.index("read back")
    apply, hand_over = steps[index_of("apply", steps)], steps[index_of("hand over", steps)]
    assert apply["hand_over"] == [{"from": "br0", "to": "br-eth0", "uplinks": ["eth0"]}]
    assert hand_over["bridges"] == {"br0": "br-eth0"}
    links = bridged_host(load_site(tmp_path, "br-eth0", "plain")).links
    ports = [link for link in links.values() if link.master == "br0"]
    assert ports and hand_over["limit"] == STEP_LIMIT + 2 * len(ports)
    assert hand_over["undo"] == [{"op": "ports"}]
    assert {"op": "ports"} in apply["undo"]


def test_the_old_bridge_is_deleted_when_the_change_is_saved(tmp_path: Path) -> None:
    steps = compiled(tmp_path, "br-eth0")
    save, forget = steps[index_of("save", steps)], steps[index_of("forget", steps)]
    assert save["interfaces"] == [["br-eth0"], ["eth0"]]
    assert forget["uuids"] == ["u-br0"]
    assert index_of("save", steps) < index_of("forget", steps)
    assert "u-br0" in touched_profiles(steps), "a rollback and `kvmnet remove` restore it"


def test_an_inactive_profile_of_the_old_bridge_is_deleted_too(tmp_path: Path) -> None:
    """The next boot would create the bridge again."""
    bundle = load_site(tmp_path, "br-eth0")
    live = bridged_host(bundle)
    idle = replace(live.profiles["br0"], uuid="u-old", device="", interface_name="br0")
    live = replace(live, idle=(idle, replace(idle, uuid="u-other", interface_name="br1")))
    steps = compile_steps(make_plan(bundle, live), live, KNOWN, Terms(120))
    assert steps[index_of("forget", steps)]["uuids"] == ["u-br0", "u-old"]


def test_the_uplinks_of_a_renamed_nic_have_their_new_name(tmp_path: Path) -> None:
    steps = compiled(tmp_path, "eth0", "rocks")
    assert steps[index_of("apply", steps)]["hand_over"] == [{"from": "br0", "to": "eth0", "uplinks": ["peth0"]}]
    assert "clear" not in [step["op"] for step in steps]


def test_the_snapshot_contains_the_profiles_of_adopted_interfaces(tmp_path: Path) -> None:
    steps = compiled(tmp_path, "br0")
    assert {"u-br0", "u-eth0"} <= set(touched_profiles(steps))
    assert "hand over" not in [step["op"] for step in steps]
    assert steps[index_of("save", steps)]["interfaces"] == [["br0"]]


def test_settings_go_with_the_address(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = with_profile_settings(host_of_one_nic(bundle), eth0=RICH)
    plan = make_plan(bundle, live)
    steps = compile_steps(plan, live, {("eth0", "802-3-ethernet"): ["u-1"]}, Terms(120))
    assert_steps_match_the_table(steps)
    [seed] = steps[index_of("seed", steps)]["profiles"]
    assert seed["carried"]["connection"]["llmnr"] == ["i", 0]
    keep = steps[index_of("keep settings", steps)]
    assert keep["settings"] == {"br0": seed["carried"]}
    assert keep["undo"] == [], "the trial's checkpoint undoes it"
    assert keep["title"] == "keep what br0 takes over from eth0"
    assert [i["name"] for i in interfaces_of(plan.state)] == ["eth0", "br0"]


def test_nothing_is_kept_without_settings(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = host_of_one_nic(bundle)
    ops = [step["op"] for step in compile_steps(make_plan(bundle, live), live, {}, Terms(120))]
    assert "keep settings" not in ops and "hand over" not in ops
