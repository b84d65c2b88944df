"""Which VLANs of a guest leave the host through a VLAN-aware bridge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.bridge_vlans import Membership
from kvmnet.core.base.nmstate import State
from kvmnet.core.effects.impact import DISCONNECTED, INTERRUPTED
from kvmnet.core.effects.vlan_paths import BridgePorts, find_vlan_loss
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import bundle_of, impacts_of, live_of

UNTAGGED, IN_20 = Membership(frozenset(), 1), Membership(frozenset(), 20)
TRUNK = Membership(frozenset({20, 21}), 1)


def bridge(uplink: Membership, tap: Membership, is_aware: bool = True) -> BridgePorts:
    return BridgePorts(is_aware, {"eth0": uplink, "vnet0": tap}, 1)


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (bridge(TRUNK, IN_20), bridge(TRUNK, IN_20), None),
        (bridge(TRUNK, IN_20), bridge(UNTAGGED, IN_20), "VLAN 20 is no longer carried by an uplink of the bridge"),
        (bridge(TRUNK, TRUNK), bridge(IN_20, TRUNK), "VLAN 1, 21 is no longer carried by an uplink of the bridge"),
        (bridge(UNTAGGED, IN_20), bridge(UNTAGGED, IN_20), None),  # it had no network before
        (bridge(TRUNK, UNTAGGED), bridge(UNTAGGED, UNTAGGED), None),
        (
            bridge(TRUNK, IN_20),
            bridge(TRUNK, IN_20, False),
            "the bridge no longer knows VLANs, and the guest is in VLAN 20",
        ),
        (bridge(TRUNK, UNTAGGED), bridge(TRUNK, UNTAGGED, False), None),
        (bridge(UNTAGGED, UNTAGGED, False), bridge(TRUNK, UNTAGGED), None),
        (
            bridge(UNTAGGED, UNTAGGED, False),
            bridge(IN_20, UNTAGGED),
            "VLAN 1 is no longer carried by an uplink of the bridge",
        ),
        (bridge(TRUNK, IN_20, False), bridge(UNTAGGED, IN_20, False), None),
    ],
)
def test_a_guest_loses_a_vlan_that_no_uplink_carries_any_more(
    before: BridgePorts, after: BridgePorts, lost: object
) -> None:
    assert find_vlan_loss(before, after, "vnet0", (["eth0"], ["eth0"])) == lost


def test_a_new_tap_is_in_the_default_vlan() -> None:
    assert BridgePorts(True, {}, 1).of("vnet9") == UNTAGGED
    assert BridgePorts(True, {}, 0).of("vnet9").all() == frozenset()


DEFINITION = """kvmnet: 1
cluster: c
profile: plain
networks: {lan: {subnets: [10.1.0.0/16]}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {network: lan, addresses: [10.1.0.1], bridge: {name: br0, vlan_filtering: true}, trunk: [VLANS]}
"""


def with_tap(bundle: Bundle, vlan: int) -> Live:
    """The host as the bundle has it, and a tap in a VLAN."""
    live = live_of(bundle, Link("vnet0", None, "tun", master="br0"))
    br0 = next(i for i in live.state["interfaces"] if i["name"] == "br0")
    tap: dict[str, Any] = {"name": "vnet0", "vlan": {"mode": "access", "tag": vlan, "trunk-tags": []}}
    changed = {**br0, "bridge": {**br0["bridge"], "port": [*br0["bridge"]["port"], tap]}}
    state: State = {**live.state, "interfaces": [changed if i is br0 else i for i in live.state["interfaces"]]}
    filters = replace(live.links["br0"], options={"vlan_filtering": 1})
    return replace(live, state=state, links={**live.links, "br0": filters}, applied_state=bundle.state)


@pytest.mark.parametrize(("vlans", "how"), [("20, 22", INTERRUPTED), ("21", DISCONNECTED), ("", DISCONNECTED)])
def test_a_plan_that_takes_the_vlan_of_a_guest_disconnects_it(tmp_path: Path, vlans: str, how: str) -> None:
    live = with_tap(bundle_of(tmp_path, DEFINITION.replace("VLANS", "20, 21")), 20)
    plan = make_plan(bundle_of(tmp_path, DEFINITION.replace("VLANS", vlans)), live)
    (impact,) = impacts_of(plan, live)
    assert (impact.device, impact.how) == ("vnet0", how)
    if how == DISCONNECTED:
        assert impact.why == "br0: VLAN 20 is no longer carried by an uplink of the bridge"
    assert [c.name for c in plan.changes if c.kind == "change"] == ["eth0", "br0"]
