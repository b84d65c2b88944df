"""Tests of kvmnet/core/review/guest_ports.py."""

from __future__ import annotations

from kvmnet.core.assessment import assess
from kvmnet.core.base.bridge_vlans import read_membership
from kvmnet.core.effects.impact import UNTOUCHED
from kvmnet.core.review.applied_host import make_applied_host
from kvmnet.core.review.guest_ports import with_guests
from tests.unit.core.review.samples import CLUSTER, define

AWARE = CLUSTER.replace("{network: lan}}}\nhosts", "{network: lan, bridge: {vlan_filtering: true}}}}\nhosts")


def test_guests_are_on_taps_and_macvtaps() -> None:
    definition = define(CLUSTER)
    bundle = definition.bundle("a")
    live = with_guests(make_applied_host(bundle), bundle, definition.views["a"].guest_ports)
    (guest,) = live.surroundings.running.guests
    assert [(nic.device, nic.source) for nic in guest.nics] == [("vnet0", "eth0"), ("macvtap0", "peth0.100")]
    assert live.links["vnet0"].master == "eth0"
    assert live.links["macvtap0"].base == "peth0.100" and live.links["macvtap0"].address == "52:54:00:00:00:02"
    shown = {i["name"]: i for i in live.state["interfaces"]}
    assert shown["peth0.100"]["state"] == "ignore" and shown["peth0.100"]["vlan"]["id"] == 100
    assert assess(bundle, live).plan.empty


def test_a_bridge_without_a_guest_of_the_definition_has_a_tap_for_any() -> None:
    definition = define(CLUSTER)
    bundle = definition.bundle("a")
    live = with_guests(make_applied_host(bundle), bundle, ())
    assert live.surroundings.running.guests == ()
    assert [link.master for link in live.links.values() if link.kind == "tun"] == ["eth0"]


def test_taps_on_a_vlan_aware_bridge_are_in_their_vlans() -> None:
    trunk = '{networks: [tenant], native: lan, mac: "52:54:00:00:00:03"}'
    definition = define(AWARE.replace('{network: lan, mac: "52:54:00:00:00:01"}', trunk))
    bundle = definition.bundle("a")
    live = with_guests(make_applied_host(bundle), bundle, definition.views["a"].guest_ports)
    bridge = next(i for i in live.state["interfaces"] if i["name"] == "eth0")
    vlans = {port["name"]: read_membership(port["vlan"]) for port in bridge["bridge"]["port"] if "vlan" in port}
    assert vlans["vnet0"].tagged == {100}
    assert vlans["vnet1"] == (frozenset(), 100)
    assert assess(bundle, live).plan.empty
    assert {impact.how for impact in assess(bundle, live).impacts} <= {UNTOUCHED}
