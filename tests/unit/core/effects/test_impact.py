"""What a change does to running guests."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core import refusals
from kvmnet.core.base.errors import Refused
from kvmnet.core.effects.impact import DISCONNECTED, INTERRUPTED, UNTOUCHED
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.live.running_guests import GuestNic, RoutedNetwork, Running, RunningGuest
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.transaction.original_host import OldNic, Original
from kvmnet.transaction.removal_plan import plan_removal
from tests.unit.core.samples import (
    GUEST_LINE,
    MAC,
    NIC_LINE,
    PLAIN,
    ROCKS,
    VLAN_LINE,
    VNET0,
    VNET5,
    applied,
    bare,
    bundle_of,
    impacts_of,
    judge,
    live_of,
    refusals_of,
)


def outcomes(plan: Plan, live: Live) -> list[tuple[str, str, str]]:
    return [(i.name, i.how, i.why) for i in impacts_of(plan, live)]


def refused_codes(plan: Plan, live: Live, lose: tuple[str, ...] = ()) -> list[str]:
    """The codes that speak against it, among those about guests."""
    try:
        judge(plan, live, among=("KVN525", "KVN526", "KVN527", "KVN534"), lose=lose)
    except Refused as error:
        return [str(e.code) for e in (error, *error.additional)]
    return []


@pytest.mark.guarantee("G70")
def test_an_unrelated_change_leaves_guests_untouched(make_bundle: Any) -> None:
    """Another VLAN with its bridge on the same NIC, other addresses: no frame of the guest passes through them."""
    live = live_of(make_bundle(NIC_LINE), VNET0, running=running_guest(device="vnet0"))
    assert outcomes(make_plan(make_bundle(NIC_LINE + VLAN_LINE), live), live) == [("g", UNTOUCHED, "")]
    other = make_bundle(NIC_LINE.replace("10.1.255.254", "10.1.255.253"))
    plan = make_plan(other, live)
    assert [c.name for c in plan.changes if c.kind == "change"] == ["br-eth0"]
    assert outcomes(plan, live) == [("g", UNTOUCHED, "")]
    assert refused_codes(plan, live) == []


def test_a_changed_device_on_its_path_interrupts_a_guest_briefly(make_bundle: Any) -> None:
    live = live_of(make_bundle(NIC_LINE), VNET0, running=running_guest(device="vnet0"))
    plan = make_plan(make_bundle(NIC_LINE, mtu=", mtu: 1400"), live)
    assert outcomes(plan, live) == [("g", INTERRUPTED, "br-eth0: mtu: none -> 1400; eth0: mtu: none -> 1400")]
    assert refused_codes(plan, live) == []


def test_a_bridged_nic_interrupts_a_macvtap_on_its_vlan_and_disconnects_one_on_itself(
    make_bundle: Any,
) -> None:
    """KVN534 reports the macvtap on the NIC itself, with its guest."""
    rocks = make_bundle(NIC_LINE, profile="rocks")
    live = live_of(make_bundle(NIC_LINE.replace("addresses", "bridge: false, addresses")))
    links = {
        **live.links,
        "eth0.9": Link("eth0.9", None, "vlan", base="eth0"),
        "macvtap0": Link("macvtap0", None, "macvtap", base="eth0.9"),
        "macvtap1": Link("macvtap1", None, "macvtap", base="eth0"),
    }
    nics = tuple(GuestNic("direct", d, s) for d, s in (("macvtap0", "eth0.9"), ("macvtap1", "eth0")))
    running = Running(guests=(RunningGuest("g", nics),))
    live = replace(live, links=links, surroundings=Surroundings(running=running), owned={}, link_files={})
    plan = make_plan(rocks, live)
    assert [(r.old, r.new) for r in plan.renames] == [("eth0", "peth0")]
    assert outcomes(plan, live) == [
        ("g", INTERRUPTED, "eth0 is renamed to peth0"),
        ("g", DISCONNECTED, "peth0 becomes a port of eth0, and a port cannot carry macvtaps"),
    ]
    found = refusals_of(plan, live, ("KVN527", "KVN534"))
    assert [(r.code, r.message) for r in found] == [
        ("KVN534", "eth0 would become a port of eth0, but is the base interface of macvtap macvtap1 (g)")
    ]


@pytest.mark.guarantee("G70")
def test_a_removed_bridge_disconnects_its_guests_and_is_refused(make_bundle: Any) -> None:
    live = live_of(make_bundle(), VNET0, VNET5, running=running_guest(device="vnet5"))
    plan = make_plan(make_bundle(NIC_LINE), live)
    assert outcomes(plan, live) == [("g", DISCONNECTED, "br-eth0.5 is removed"), ("vnet0", UNTOUCHED, "")]
    found = refusals_of(plan, live, ("KVN525", "KVN527"))
    assert [(r.code, r.guest) for r in found] == [("KVN527", "g")]
    words = "guest g would be disconnected permanently (vnet5 on br-eth0.5: br-eth0.5 is removed)"
    assert found[0].message == words
    assert found[0].hint.endswith("--allow-guest-loss g")
    assert refused_codes(plan, live) == ["KVN527"]
    assert refused_codes(plan, live, ("vnet5",)) == ["KVN527"], "a guest is given by its name"
    assert refused_codes(plan, live, ("g",)) == []
    allowed = judge(plan, live, lose=("g",), among=("KVN527",))
    assert [r.guest for r in allowed] == ["g"]


def test_a_tap_of_no_domain_is_named_by_its_device(make_bundle: Any) -> None:
    live = live_of(make_bundle(), VNET5, Link("veth5", None, "veth", (), "br-eth0.5"))
    plan = make_plan(make_bundle(NIC_LINE), live)
    assert refused_codes(plan, live) == ["KVN525", "KVN527"], "a device of no guest is reported by another refusal"
    assert refused_codes(plan, live, ("vnet5",)) == ["KVN525"]
    found = refusals_of(plan, live, ("KVN527",))
    assert found[0].message.startswith("vnet5 (not a device of a libvirt domain) would be disconnected permanently")


def test_a_bridge_without_an_uplink_disconnects_its_guests(make_bundle: Any) -> None:
    """The NIC below the bridge is taken down."""
    live = live_of(make_bundle(NIC_LINE), VNET0, running=running_guest(device="vnet0"))
    plan = make_plan(make_bundle(NIC_LINE.replace("addresses", "state: down, addresses")), live)
    assert [how for _, how, _ in outcomes(plan, live)] == [DISCONNECTED]
    assert refused_codes(plan, live) == ["KVN527"]


def other_tag(live: Live, tag: int) -> Live:
    """The host, whose eth0.5 was created by hand with another VLAN ID."""
    state = copy.deepcopy(live.state)
    next(i for i in state["interfaces"] if i["name"] == "eth0.5")["vlan"]["id"] = tag
    return replace(live, state=state)


def test_another_vlan_id_disconnects_guests(make_bundle: Any) -> None:
    """The VLAN device is recreated below a bridge that stays; a macvtap is removed with the device."""
    live = other_tag(live_of(make_bundle(), VNET5, running=running_guest(device="vnet5")), 6)
    assert outcomes(make_plan(make_bundle(), live), live) == [
        ("g", DISCONNECTED, "br-eth0.5 will be connected to VLAN 5 instead of VLAN 6"),
    ]
    free = make_bundle(NIC_LINE + VLAN_LINE.replace("bridge: true", "bridge: false"))
    tap = Link("macvtap0", None, "macvtap", base="eth0.5")
    live = other_tag(live_of(free, tap, running=running_guest(kind="direct", device="macvtap0")), 6)
    words = "eth0.5 is recreated with VLAN ID 5, which removes the macvtap"
    assert outcomes(make_plan(free, live), live) == [("g", DISCONNECTED, words)]


def test_a_removed_macvtap_disconnects_its_guest_unless_no_process_uses_it(make_bundle: Any) -> None:
    live = live_of(make_bundle(NIC_LINE + GUEST_LINE), running=running_guest(kind="ethernet", device="mvt-c00002"))
    plan = make_plan(make_bundle(NIC_LINE), live)
    assert outcomes(plan, live) == [("g", DISCONNECTED, "eth0.2 is removed")]
    assert refused_codes(plan, live) == ["KVN527"]
    idle = replace(live, surroundings=Surroundings(running=Running(idle=("mvt-c00002",))))
    assert (outcomes(plan, idle), refused_codes(plan, idle)) == ([], []), "no process uses it"


def test_a_passed_through_function_is_affected_by_its_nic(make_bundle: Any) -> None:
    running = replace(running_guest(kind="hostdev", pci="0000:03:10.1"), functions={"0000:03:10.1": "eth0"})
    live = live_of(make_bundle(NIC_LINE), running=running)
    assert [i.how for i in impacts_of(make_plan(make_bundle(NIC_LINE, mtu=", mtu: 1400"), live), live)] == [INTERRUPTED]
    down = make_plan(make_bundle(NIC_LINE.replace("addresses", "state: down, addresses")), live)
    assert [(i.device, i.over, i.how) for i in impacts_of(down, live)] == [("0000:03:10.1", "eth0", DISCONNECTED)]
    foreign = replace(live, surroundings=Surroundings(running=replace(running, functions={})))
    assert [i.how for i in impacts_of(down, foreign)] == [UNTOUCHED], "a disk, a graphics card"


def test_a_macvtap_on_a_virtual_function_is_affected_by_the_nic(make_bundle: Any) -> None:
    running = replace(running_guest(kind="direct", device="macvtap0", source="eth0v0"), parents={"eth0v0": "eth0"})
    more = (Link("eth0v0", "02:00:00:00:00:09", None), Link("macvtap0", None, "macvtap", base="eth0v0"))
    live = live_of(make_bundle(NIC_LINE), *more, running=running)
    assert [i.how for i in impacts_of(make_plan(make_bundle(NIC_LINE, mtu=", mtu: 1400"), live), live)] == [INTERRUPTED]


def test_a_libvirt_network_is_affected_by_the_device_that_it_names_or_by_the_default_route(make_bundle: Any) -> None:
    """The device of libvirt's rules must exist under that name; without one the default route counts."""
    nic = running_guest(kind="network", device="vnet0", network="default")
    tap, bridge = Link("vnet0", None, "tun", (), "virbr0"), Link("virbr0", None, "bridge")
    running = replace(nic, networks=(RoutedNetwork("default", ("br-eth0.5",)),))
    live = live_of(make_bundle(), tap, bridge, running=running)
    assert outcomes(make_plan(make_bundle(NIC_LINE), live), live) == [
        ("g", DISCONNECTED, "libvirt network default uses br-eth0.5, which is removed")
    ]
    anywhere = replace(live, surroundings=Surroundings(running=replace(nic, networks=(RoutedNetwork("default"),))))
    assert outcomes(make_plan(make_bundle(NIC_LINE), anywhere), anywhere) == [("g", UNTOUCHED, "")]
    route = {"destination": "0.0.0.0/0", "next-hop-interface": "br-eth0.5", "next-hop-address": "10.5.0.1"}
    out = replace(anywhere, state={**anywhere.state, "routes": {"running": [route]}})
    assert [how for _, how, _ in outcomes(make_plan(make_bundle(NIC_LINE), out), out)] == [INTERRUPTED]
    isolated = replace(live, surroundings=Surroundings(running=nic))
    assert outcomes(make_plan(make_bundle(NIC_LINE), isolated), isolated) == [("g", UNTOUCHED, "")]


def test_a_removal_of_kvmnet_disconnects_guests_on_its_bridge(make_bundle: Any) -> None:
    """The bridge eth0 is removed and the NIC peth0 becomes eth0: two devices of one name, one after the other."""
    rocks = make_bundle(NIC_LINE, profile="rocks")
    live = live_of(rocks, Link("vnet0", None, "tun", (), "eth0"), running=running_guest(device="vnet0"))
    nic = OldNic(MAC, "eth0", (), "u-1")
    original = Original((nic,), {}, {"files": [], "links": {}, "addresses": {}, "zones": {}, "uuids": []})
    plan = plan_removal(rocks, original, live)
    assert outcomes(plan, live) == [("g", DISCONNECTED, "eth0 is removed")]
    with pytest.raises(Refused) as error:
        judge(plan, live, among=refusals.REMOVAL_CODES)
    assert error.value.code == "KVN527"


def test_guests_on_a_bridge_that_is_removed_first_are_disconnected(tmp_path: Path) -> None:
    """The bridge is removed, and another interface has its name afterwards."""
    live = applied(bundle_of(tmp_path, ROCKS), bare())
    taps = {f"vnet{n}": Link(f"vnet{n}", None, "tun", (), over) for n, over in enumerate(("eth0", "eth0.5"))}
    live = replace(live, links={**live.links, **taps})
    plan = make_plan(bundle_of(tmp_path, PLAIN), live)
    outcomes_by_device = {i.device: (i.how, i.why) for i in impacts_of(plan, live)}
    assert outcomes_by_device == {
        "vnet0": (DISCONNECTED, "eth0 is removed"),
        "vnet1": (DISCONNECTED, "eth0.5 is removed, and another interface gets its name"),
    }
    assert "KVN527" in {r.code for r in refusals_of(plan, live)}


def running_guest(name: str = "g", **nic: str) -> Running:
    return Running(guests=(RunningGuest(name, (GuestNic(**{"kind": "bridge", **nic}),)),))
