"""Assessments of hosts: plans with their refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core import assessment
from kvmnet.core.assessment import assess
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.running_guests import Running
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import (
    HEAD,
    MACS,
    PLAIN,
    ROCKS,
    after,
    applied,
    bare,
    before,
    bundle_of,
    refusals_of,
)


def test_each_value_is_computed_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counting(name: str) -> Any:
        original = getattr(assessment, name)

        def counted(*arguments: Any) -> Any:
            calls.append(name)
            return original(*arguments)

        return counted

    for name in ("find_refusals", "find_notes", "basis_of"):
        monkeypatch.setattr(assessment, name, counting(name))
    made = assess(bundle, before())
    assert calls == [], "nothing is computed before it is used"
    for _ in range(2):
        assert made.refusals == () and made.notes == () and made.basis
        assert made.impacts is made.impacts and made.view_after_renames is made.view_after_renames
    assert sorted(calls) == ["basis_of", "find_notes", "find_refusals"]


def test_the_view_after_the_renames_has_the_new_names(bundle: Bundle) -> None:
    made = assess(bundle, before())
    assert [i["name"] for i in made.view_after_renames["interfaces"]] == ["lo", "peth0"]
    assert (made.plan.new_names, made.plan.old_names) == ({"eth0": "peth0"}, {"peth0": "eth0"})


def test_the_surroundings_are_added_to_the_same_plan(bundle: Bundle) -> None:
    first = assess(bundle, before())
    made = first.with_surroundings(Surroundings(running=Running(problem="no reply")))
    assert made.plan is first.plan
    assert made.guests_to_json() == {"guests": [], "guests_unknown": "no reply"}
    assert first.guests_to_json() == {"guests": [], "guests_unknown": None}


def test_an_empty_plan_has_no_impacts(bundle: Bundle) -> None:
    live = after(bundle)
    live = replace(live, links={**live.links, "vnet0": Link("vnet0", None, "tun", (), "eth0")})
    made = assess(bundle, live)
    assert made.plan.empty and made.impacts == ()


def test_another_tools_vlan_on_a_renamed_nic_is_refused(tmp_path: Path) -> None:
    live = bare()
    vlan = Link("eth0.7", None, "vlan", (), None, "eth0")
    live = replace(live, links={**live.links, "eth0.7": vlan})
    found = refusals_of(make_plan(bundle_of(tmp_path, ROCKS), live), live)
    assert [r.code for r in found] == ["KVN528"]
    assert "vlan eth0.7 is on eth0, which would be renamed to peth0" in found[0].message
    tap = replace(live, links={**bare().links, "macvtap0": replace(vlan, name="macvtap0", kind="macvtap")})
    assert "KVN528" not in {r.code for r in refusals_of(make_plan(bundle_of(tmp_path, ROCKS), tap), tap)}
    assert refusals_of(make_plan(bundle_of(tmp_path, PLAIN), live), live) == [], "nothing is renamed"


def test_another_tools_vlan_with_a_vlan_id_of_the_definition_is_refused(tmp_path: Path) -> None:
    live = bare()
    vlan = {"name": "old5", "type": "vlan", "state": "up", "vlan": {"base-iface": "eth0", "id": 5}}
    live = replace(
        live,
        state={"interfaces": [*live.state["interfaces"], vlan]},
        links={**live.links, "old5": Link("old5", None, "vlan", (), None, "eth0")},
    )
    found = refusals_of(make_plan(bundle_of(tmp_path, ROCKS), live), live)
    assert [r.code for r in found] == ["KVN528", "KVN529"]
    assert "old5 already has VLAN ID 5 on eth0, so peth0.5 cannot be created" in found[1].message
    assert [r.code for r in refusals_of(make_plan(bundle_of(tmp_path, PLAIN), live), live)] == ["KVN529"]
    ours = applied(bundle_of(tmp_path, PLAIN), bare())
    assert refusals_of(make_plan(bundle_of(tmp_path, ROCKS), ours), ours) == []


def test_a_name_that_the_kernel_gives_to_another_nic_at_boot_is_refused(tmp_path: Path) -> None:
    """udev cannot rename a NIC to a name that another one still has (seen in the lab: File exists, NIC ignored)."""
    text = HEAD.format(profile="rocks") + (
        f"      eth0: {{network: private, bridge: false, mac: {MACS[1]}, addresses: [10.1.255.254]}}\n"
        f"      eth1: {{network: servers, mac: {MACS[0]}, addresses: [10.6.0.7]}}\n"
    )
    live = bare()
    found = refusals_of(make_plan(bundle_of(tmp_path, text), live), live)
    assert [r.code for r in found] == ["KVN544"]
    assert (
        f"NIC {MACS[1]} would be named eth0, but at boot the kernel gives this name to NIC {MACS[0]}"
        in found[0].message
    )
    lan = text.replace("eth0:", "lan0:")
    assert refusals_of(make_plan(bundle_of(tmp_path, lan), live), live) == []
    right = text.replace(MACS[0], "x").replace(MACS[1], MACS[0]).replace("x", MACS[1])
    assert refusals_of(make_plan(bundle_of(tmp_path, right), live), live) == []
    later = applied(bundle_of(tmp_path, right), live)
    assert [r.code for r in refusals_of(make_plan(bundle_of(tmp_path, text), later), later)] == ["KVN544"]
