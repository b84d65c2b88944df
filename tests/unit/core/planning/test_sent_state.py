"""The state as nmstate is given it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.planning.sent_state import make_sent_state
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.profile_samples import FILTERING, PIN, filtering, host
from tests.unit.core.samples import bare


def entries(plan: Plan, live: Live) -> dict[str, Any]:
    return {i["name"]: i for i in make_sent_state(plan, live)["interfaces"]}


def changed(bundle: Bundle) -> Bundle:
    """The bundle with another MTU of the bridge, so that it is sent."""
    wanted = [{**i, "mtu": 1400} if i["name"] == "br-eth0" else i for i in bundle.state["interfaces"]]
    return replace(bundle, state={**bundle.state, "interfaces": wanted})


def test_a_new_filtering_bridge_is_named_by_its_port_so_that_nmstate_keeps_the_filtering(tmp_path: Path) -> None:
    plan = make_plan(filtering(tmp_path), bare())
    sent = entries(plan, bare())
    assert sent["br-eth0"]["bridge"] == {"options": {"stp": {"enabled": False}}}
    assert sent["eth0"]["controller"] == "br-eth0"
    assert all("controller" not in entry for name, entry in sent.items() if name != "eth0")
    assert "port" in next(i for i in plan.state["interfaces"] if i["name"] == "br-eth0")["bridge"]


@pytest.mark.parametrize(
    ("wanted", "kernel", "stored", "with_ports"),
    [
        (True, 1, "yes", False),
        (True, 0, "no", False),
        (None, 1, "no", False),  # another tool has turned it on: kvmnet leaves it on
        (None, 0, "yes", False),
        (None, 0, "no", True),
        (False, 1, "yes", True),
    ],
)
def test_an_existing_bridge_is_sent_without_ports_if_it_filters(
    tmp_path: Path, wanted: Optional[bool], kernel: int, stored: str, with_ports: bool
) -> None:
    bundle = filtering(tmp_path, wanted)
    live = host(bundle, kernel=kernel, stored=stored)
    sent = entries(make_plan(changed(bundle), live), live)
    assert ("port" in sent["br-eth0"]["bridge"]) is with_ports
    assert list(sent) == ["br-eth0"]


def test_a_port_with_vlans_of_its_own_is_listed_because_nmstate_turns_filtering_on_for_it(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    for interface in bundle.state["interfaces"]:
        for port in interface.get("bridge", {}).get("port", []):
            port["vlan"] = {"mode": "trunk", "trunk-tags": [{"id": 2}]}
    assert "port" in entries(make_plan(bundle, bare()), bare())["br-eth0"]["bridge"]


def test_a_port_that_leaves_a_filtering_bridge_names_no_controller(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    live = host(bundle, kernel=1, stored="yes")
    live = replace(live, links={**live.links, "eth1": Link("eth1", "02:00:00:00:00:77", None, (), "br-eth0")})
    plan = make_plan(changed(bundle), live)
    port = {"name": "eth1", "type": "ethernet", "state": "up"}
    plan = replace(plan, state={"interfaces": [*plan.state["interfaces"], port]})
    assert entries(plan, live)["eth1"] == {**port, "controller": ""}


def test_an_adopted_bridge_that_has_its_mac_is_sent_without_it(tmp_path: Path) -> None:
    """NetworkManager could not reapply its profile, and nmstate would activate it again."""
    bundle = filtering(tmp_path, None)
    live = host(bundle, mac="", made=False)
    plan = make_plan(changed(bundle), live)
    assert PIN in plan.profile_settings["br-eth0"]
    assert "mac-address" not in entries(plan, live)["br-eth0"]
    live.state["interfaces"] = [
        {**i, "mac-address": "02:00:00:00:00:99"} if i["name"] == "br-eth0" else i for i in live.state["interfaces"]
    ]
    stated = replace(changed(bundle), stated_macs=("br-eth0",))
    mac = "02:00:00:00:00:0B"
    stated.state["interfaces"] = [
        {**i, "mac-address": mac} if i["name"] == "br-eth0" else i for i in stated.state["interfaces"]
    ]
    assert entries(make_plan(stated, live), live)["br-eth0"]["mac-address"] == mac


def test_a_state_without_interfaces_stays(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    assert make_sent_state(Plan(bundle, state={"routes": {"config": []}}), bare()) == {"routes": {"config": []}}
    assert FILTERING in bundle.profile_settings["br-eth0"]
