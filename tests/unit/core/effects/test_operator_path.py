"""The path by which the operator reached the host."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.effects.operator_path import affects_operator, find_confirming_interfaces
from kvmnet.core.planning.changes import Change
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.rename_order import Rename
from kvmnet.core.rendering.bundle import Bundle


def state(*interfaces: dict[str, Any]) -> dict[str, Any]:
    return {"interfaces": list(interfaces)}


BRIDGE: dict[str, Any] = {
    "name": "eth0",
    "type": "linux-bridge",
    "bridge": {"port": [{"name": "peth0"}]},
    "ipv4": {"address": [{"ip": "10.1.255.254", "prefix-length": 16}]},
}


ETH9 = {"name": "eth9", "ipv4": {"address": [{"ip": "192.0.2.7", "prefix-length": 24}]}}


VLAN = {"name": "eth0.5", "vlan": {"base-iface": "bond0"}, "ipv6": {"address": [{"ip": "fd00::1"}]}}


BOND = {"name": "bond0", "link-aggregation": {"port": ["eth1", "eth2"]}}


@pytest.mark.parametrize(
    ("renames", "changed", "address", "expected"),
    [
        ((), ["eth0"], "10.1.255.254", True),
        ((), ["peth0"], "10.1.255.254", True),
        ((), ["bond0"], "10.1.255.254", False),
        ((), ["eth1"], "fd00::1", True),
        ((), [], "fd00::1", False),
        ((Rename("m", "peth0", "x"),), [], "10.1.255.254", True),
        ((), ["other"], "192.0.2.1", True),
    ],
)
def test_a_change_at_or_below_the_operators_interface_affects_the_operator(
    renames: tuple[Rename, ...], changed: list[str], address: str, expected: bool
) -> None:
    bundle = Bundle("c", "h", "rocks", (), {})
    sent = {"interfaces": [{"name": name} for name in changed]}
    something = (Change("change", "something"),) if changed or renames else ()
    plan = Plan(bundle, renames, state=sent, changes=something)
    assert affects_operator(plan, state(BRIDGE, VLAN, BOND), address) is expected


OFF = {"ipv4": {"enabled": False}, "ipv6": {"enabled": False}}


STORAGE = {
    "name": "stor",
    "vlan": {"base-iface": "peth0"},
    "ipv4": {"enabled": True, "address": [{"ip": "192.0.2.7"}]},
}


GUESTS = {"name": "guests", "bridge": {"port": [{"name": "eth3"}]}, **OFF}


FREE = {"name": "eth3", "ipv6": {"enabled": True, "autoconf": True, "address": [{"ip": "fe80::3"}]}}


LOCAL = {**FREE, "name": "eth4"}


TUNNEL = {"name": "wg0", "type": "unknown", "ipv4": {"address": [{"ip": "172.16.0.1", "prefix-length": 24}]}}


@pytest.mark.guarantee("G37")
@pytest.mark.parametrize(
    ("address", "peer", "touched"),
    [
        ("192.0.2.7", "198.51.100.9", True),  # comes in by eth9, and its answers will leave by eth1
        ("192.0.2.7", "203.0.113.9", True),  # which will have a subnet that it is in
        ("192.0.2.7", "192.0.2.9", False),
        ("172.16.0.1", "172.16.0.9", True),  # over who knows what
    ],
)
def test_the_reply_route_and_a_tunnel_belong_to_the_operators_path(address: str, peer: str, touched: bool) -> None:
    added = {"name": "eth1", "ipv4": {"address": [{"ip": "203.0.113.1", "prefix-length": 24}]}}
    route = {"destination": "198.51.100.0/24", "next-hop-address": "203.0.113.2", "next-hop-interface": "eth1"}
    sent = {"interfaces": [added], "routes": {"config": [route]}}
    plan = Plan(Bundle("c", "h", "rocks", (), state(added)), state=sent, changes=(Change("add", "x"),))
    live = state({**ETH9, "type": "ethernet"}, TUNNEL)
    assert affects_operator(plan, live, address, peer) is touched
    by = find_confirming_interfaces(plan, live, address, peer)
    assert (("eth9" if address == "192.0.2.7" else "wg0") in by) is touched, by
    wide = {"interfaces": [{"name": "eth5"}], "routes": {"config": [{**route, "destination": "0.0.0.0/0"}]}}
    default = Plan(plan.bundle, state=wide, changes=plan.changes)
    assert affects_operator(default, live, address, peer) is (peer != "192.0.2.9"), (
        "that one has a narrower way already"
    )
    old = {"destination": "0.0.0.0/0", "next-hop-address": "10.0.0.1", "next-hop-interface": "eth5"}
    routed = {**live, "routes": {"running": [old]}}
    assert affects_operator(with_state(plan, {"interfaces": [{"name": "eth5"}]}), routed, address, peer) is (
        peer != "192.0.2.9"
    )
    gone = {**sent, "interfaces": [{"name": "eth5"}], "routes": {"config": [{**route, "state": "absent"}]}}
    assert not affects_operator(with_state(plan, gone), live, "192.0.2.7", peer)


def with_state(plan: Plan, sent: dict[str, Any]) -> Plan:
    return Plan(plan.bundle, state=sent, changes=plan.changes)


def plan_of(
    *sent: str, renames: tuple[Rename, ...] = (), routes: tuple[str, ...] = (), leaving: tuple[str, ...] = ()
) -> Plan:
    wanted = state({**BRIDGE, "ipv4": {"enabled": True, **BRIDGE["ipv4"]}}, {"name": "peth0", **OFF}, STORAGE, GUESTS)
    changed: dict[str, Any] = {"interfaces": [{"name": name} for name in sent]}
    if routes:
        changed["routes"] = {"config": [{"next-hop-interface": name} for name in routes]}
    return Plan(Bundle("c", "h", "rocks", (), wanted), renames, state=changed, leaving=leaving)


@pytest.mark.parametrize(
    ("plan", "address", "expected"),
    [
        (plan_of("stor"), "", ("stor",)),  # not eth0, which is of the definition too
        (plan_of("peth0"), "", ("eth0", "peth0", "stor")),
        (plan_of(renames=(Rename("m", "old", "peth0"),)), "", ("eth0", "old", "peth0", "stor")),
        (plan_of(routes=("stor",)), "", ("stor",)),
        (plan_of("eth1"), "", ("bond0", "eth0.5", "eth1")),  # of others, over what is changed
        (plan_of(), "", ()),  # settings alone
        (plan_of("guests", "eth3"), "", ()),  # nobody comes in by these
        (plan_of("eth4"), "", ()),
        (plan_of("eth4"), "fe80::4", ()),
        (plan_of("eth4"), "fe80::3", ("eth4",)),  # but this caller does, by one of two that have it
        (plan_of(leaving=("gone",)), "198.51.100.1", ()),  # nobody can come in by it any more
    ],
)
def test_a_confirmation_must_come_through_an_affected_interface(
    plan: Plan, address: str, expected: tuple[str, ...]
) -> None:
    gone = {"name": "gone", "ipv4": {"enabled": True, "address": [{"ip": "198.51.100.1"}]}}
    live = state({**BRIDGE, "name": "old", "bridge": {}}, {**VLAN, "ipv6": {"address": [{"ip": "fd00::1"}]}}, BOND)
    live["interfaces"] += [FREE, LOCAL, gone]
    assert find_confirming_interfaces(plan, live, address) == expected
