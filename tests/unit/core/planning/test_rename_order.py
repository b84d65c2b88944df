"""The order of renames, and what is removed before them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.expected_readback import make_expectations
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.planning.rename_order import Rename, order_renames
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import Step
from tests.unit.core.samples import (
    HEAD,
    MACS,
    PLAIN,
    ROCKS,
    applied,
    bare,
    bundle_of,
    refusals_of,
)


def steps_of(plan: Plan, live: Live) -> list[Step]:
    return compile_steps(plan, live, {}, Terms(120))


@pytest.mark.guarantee("G44")
def test_a_bridge_is_removed_before_its_nic_gets_the_name_and_the_nic_has_its_address_meanwhile(tmp_path: Path) -> None:
    live = applied(bundle_of(tmp_path, ROCKS), bare())
    assert {"peth0", "eth0", "peth0.5", "eth0.5"} <= live.links.keys()
    plan = make_plan(bundle_of(tmp_path, PLAIN), live)
    assert [(r.mac, r.old, r.new) for r in plan.renames] == [(MACS[0], "peth0", "eth0")]
    assert plan.removed_first == {"eth0", "eth0.5", "peth0.5"}
    address = [{"ip": "10.1.255.254", "prefix-length": 16}]
    carrier = next(i for i in plan.first["interfaces"] if i["name"] == "peth0")
    assert (carrier["controller"], carrier["ipv4"]["address"]) == ("", address)
    assert [r["next-hop-interface"] for r in plan.first["routes"]["config"]] == ["peth0"]
    sent = {i["name"]: i for i in plan.state["interfaces"]}
    assert {name: i["type"] for name, i in sent.items()} == {"eth0": "ethernet", "eth0.5": "vlan"}
    assert "absent" not in {i["state"] for i in sent.values()}
    assert "routes" not in plan.state, "the NIC has the route already"
    assert plan.stale_files == ("00-kvmnet-peth0.link",)
    assert refusals_of(plan, live) == []

    steps = steps_of(plan, live)
    told = [s["op"] for s in steps]
    assert told.index("clear") < told.index("rebind") < told.index("rename") < told.index("apply")
    (seed,) = next(s for s in steps if s["op"] == "seed")["profiles"]
    assert seed["interface"] == "eth0.5"
    assert seed["uuid"] != profile_uuid("host", "eth0.5"), "the bridge of that name uses it"
    assert [s["interface"] for s in steps if s["op"] == "unbind zone"] == ["peth0"], "no interface has that name"
    forget = next(s for s in steps if s["op"] == "forget")
    assert set(forget["uuids"]) == {live.profiles[n].uuid for n in ("eth0", "eth0.5", "peth0.5")}
    assert seed["uuid"] not in forget["uuids"]
    absent = {e["name"] for e in make_expectations(plan.desired)}
    assert absent == {"eth0", "eth0.5"}


def test_a_vlan_is_removed_first_when_its_id_and_name_are_needed(tmp_path: Path) -> None:
    """The old VLAN device has the VLAN ID and the name that the bridge needs."""
    first = bundle_of(tmp_path, PLAIN)
    live = applied(first, bare())
    plan = make_plan(bundle_of(tmp_path, ROCKS), live)
    assert plan.removed_first == {"eth0.5"}
    assert [(r.old, r.new) for r in plan.renames] == [("eth0", "peth0")]
    assert refusals_of(plan, live) == []
    back = applied(bundle_of(tmp_path, ROCKS), live)
    assert back.owned["eth0.5"].type == "linux-bridge"
    assert make_plan(bundle_of(tmp_path, PLAIN), back).removed_first == {"eth0", "eth0.5", "peth0.5"}


def test_a_bridge_that_kvmnet_did_not_create_is_not_removed_first(tmp_path: Path) -> None:
    live = applied(bundle_of(tmp_path, ROCKS), bare())
    theirs = {**live.owned, "eth0": replace(live.owned["eth0"], made=False)}
    live = replace(live, owned=theirs)
    plan = make_plan(bundle_of(tmp_path, PLAIN), live)
    assert "eth0" not in plan.removed_first
    assert "KVN522" in {r.code for r in refusals_of(plan, live)}


def test_without_a_renaming_policy_a_nic_gets_only_its_first_name_back(tmp_path: Path) -> None:
    live = applied(bundle_of(tmp_path, ROCKS), bare())
    unknown = replace(live, first_names={})
    plan = make_plan(bundle_of(tmp_path, PLAIN), unknown)
    assert "KVN520" in {r.code for r in refusals_of(plan, unknown)}
    by_mac = PLAIN.replace("eth0: {network", f"eth0: {{mac: {MACS[0]}, network")
    plan = make_plan(bundle_of(tmp_path, by_mac), unknown)
    assert "KVN521" in {r.code for r in refusals_of(plan, unknown)}
    assert refusals_of(make_plan(bundle_of(tmp_path, by_mac), live), live) == []


def test_each_rename_takes_a_free_name() -> None:
    one, two, three = (
        Rename(f"00:00:00:00:00:0{n}", o, n2) for n, (o, n2) in enumerate([("a", "b"), ("b", "c"), ("c", "d")])
    )
    assert [(h.old, h.new) for h in order_renames([one, two, three], {"a", "b", "c"})] == [
        ("c", "d"),
        ("b", "c"),
        ("a", "b"),
    ]
    back = replace(three, new="a")
    found = order_renames([one, two, back], {"a", "b", "c", "lo"})
    held = {"a", "b", "c", "lo"}
    for hop in found:
        assert hop.old in held
        assert hop.new not in held
        held = held - {hop.old} | {hop.new}
    assert held == {"a", "b", "c", "lo"}
    assert [hop.last for hop in found].count(False) == 1
    assert all(len(hop.new) <= 15 for hop in found)
    assert [(h.old, h.new) for h in order_renames([one], {"a", "b"})] == [("a", "b")], "taken: refused later"


@pytest.mark.guarantee("G44")
def test_two_nics_swap_their_names_by_a_temporary_one(tmp_path: Path) -> None:
    text = HEAD.format(profile="rocks") + "".join(
        f"      eth{n}: {{network: {network}, mac: {mac}, addresses: [{address}]}}\n"
        for n, network, mac, address in ((0, "private", MACS[0], "10.1.255.254"), (1, "servers", MACS[1], "10.6.0.7"))
    )
    swapped = text.replace(MACS[0], "x").replace(MACS[1], MACS[0]).replace("x", MACS[1])
    live = applied(bundle_of(tmp_path, text), bare())
    live = replace(live, zones={"peth0": "trusted", "eth0": "trusted"})
    plan = make_plan(bundle_of(tmp_path, swapped), live)
    assert refusals_of(plan, live) == []
    steps = steps_of(plan, live)
    assert [(s["mac"], s["to"]) for s in steps if s["op"] == "rename"] == [
        (MACS[1], "kvmnet80de01"),
        (MACS[0], "peth1"),
        (MACS[1], "peth0"),
    ]
    early = next(s for s in steps if s["op"] == "write files")["files"]
    assert all("/00-kvmnet--peth" in path for path in early), "files of the same name in /etc would override them"
    assert [s["interface"] for s in steps if s["op"] == "unbind zone"] == ["kvmnet80de01"]
    undo = [spec for s in steps if s["op"] == "rename" for spec in s["undo"] if spec["op"] == "rename"]
    assert [("unless" in spec) for spec in undo] == [False, False, True]
