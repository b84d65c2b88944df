"""What a change does to the host itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Optional

import pytest

from kvmnet.core.assessment import Assessment
from kvmnet.core.effects.holdings import Facts
from kvmnet.core.effects.host_effects import HostEffects, InterfaceEffect, find_host_effects
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.live.virtual_addresses import Claim, VirtualAddress
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import NIC_LINE, VLAN_LINE, after, before, live_of

ADDRESS, GATEWAY = "10.1.255.254/16", ("0.0.0.0/0", "10.1.1.1")


def effects_of(bundle: Bundle, live: Live, facts: Optional[Facts] = None) -> HostEffects:
    plan = make_plan(bundle, live)
    effects = find_host_effects(plan, live, Assessment(plan, live).view_after_renames, facts or Facts())
    assert effects is not None
    json.dumps(effects.to_json())
    return effects


def by_name(effects: HostEffects) -> dict[tuple[str, str], InterfaceEffect]:
    return {(effect.name, effect.type): effect for effect in effects.interfaces}


def test_a_bridge_that_takes_over_a_nics_name_takes_over_its_address(bundle: Bundle) -> None:
    effects = effects_of(bundle, before(), Facts("10.1.255.254"))
    nic, bridge = by_name(effects)["peth0", "NIC"], by_name(effects)["eth0", "bridge"]
    assert (nic.event, nic.old_name, nic.after.controller) == ("renamed", "eth0", "eth0")
    assert (nic.lost_addresses, nic.lost_routes) == ([ADDRESS], [GATEWAY])
    assert (bridge.event, bridge.gained_addresses, bridge.gained_routes) == ("new", [ADDRESS], [GATEWAY])
    assert bridge.gained_ports == ["peth0"]
    (management,) = effects.management
    assert (management.address, management.why) == (ADDRESS, "connection")
    assert (management.before, management.kinds, management.after) == ("eth0", ("NIC", "bridge"), "eth0")
    assert (management.below_before, management.below_after) == ((), ("peth0",))


def test_a_plan_without_an_interface_has_no_effects(bundle: Bundle) -> None:
    live = replace(after(bundle), settings={})
    plan = make_plan(bundle, live)
    assert not plan.empty
    assert find_host_effects(plan, live, Assessment(plan, live).view_after_renames, Facts()) is None


def test_without_a_connection_the_interface_of_the_default_route_is_managed(make_bundle: Any) -> None:
    effects = effects_of(make_bundle(), before())
    (management,) = effects.management
    assert (management.why, management.before, management.after) == ("default route", "eth0", "br-eth0")
    assert by_name(effects)["eth0", "NIC"].lost_routes == [GATEWAY]


def test_an_interface_that_stays_is_not_listed(make_bundle: Any) -> None:
    effects = effects_of(make_bundle(NIC_LINE), live_of(make_bundle()), Facts("10.1.255.254"))
    assert {(e.name, e.event) for e in effects.interfaces} == {("eth0.5", "removed"), ("br-eth0.5", "removed")}
    (management,) = effects.management
    assert (management.before, management.after) == ("br-eth0", "br-eth0")


BONDED = {
    "interfaces": [
        {"name": "eth0", "type": "ethernet", "state": "up"},
        {
            "name": "bond0",
            "type": "bond",
            "state": "up",
            "link-aggregation": {"mode": "active-backup", "port": ["eth0"]},
        },
        {"name": "bond0.100", "type": "vlan", "state": "up", "vlan": {"base-iface": "bond0", "id": 100}},
        {"name": "bond0.200", "type": "vlan", "state": "up", "vlan": {"base-iface": "bond0", "id": 200}},
        *(
            {
                "name": name,
                "type": "linux-bridge",
                "state": "up",
                "ipv4": {"enabled": bool(ip), "address": [{"ip": ip, "prefix-length": 16}] if ip else []},
            }
            for name, ip in (("br0", "10.1.255.254"), ("br200", ""))
        ),
    ],
    "routes": {"config": [{"destination": "0.0.0.0/0", "next-hop-address": "10.1.1.1", "next-hop-interface": "br0"}]},
}


def bonded() -> Live:
    """A host with bridges of another tool over VLANs of a bond; br0 has the address."""
    links = [
        Link("eth0", "00:14:4f:80:de:00", None, (), "bond0"),
        Link("bond0", None, "bond"),
        Link("bond0.100", None, "vlan", (), "br0", "bond0"),
        Link("bond0.200", None, "vlan", (), "br200", "bond0"),
        Link("br0", None, "bridge"),
        Link("br200", None, "bridge"),
    ]
    return replace(before(), state=BONDED, links={link.name: link for link in links}, profiles={})


def bridge_over(port: str, ip: str) -> dict[str, Any]:
    return {
        "name": f"br-{port}",
        "type": "linux-bridge",
        "state": "up",
        "bridge": {"port": [{"name": port}]},
        "ipv4": {"enabled": bool(ip), "address": [{"ip": ip, "prefix-length": 16}] if ip else []},
    }


def test_bridges_of_others_lose_their_only_port_and_keep_the_address(bundle: Bundle) -> None:
    """The definition puts other bridges over the same VLANs and gives one the host's address."""
    interfaces = [bridge_over("bond0.100", "10.1.255.254"), bridge_over("bond0.200", "")]
    plan = Plan(bundle, state={"interfaces": interfaces}, desired={"interfaces": interfaces})
    effects = find_host_effects(plan, bonded(), BONDED, Facts())
    assert effects is not None
    found = by_name(effects)
    for name, port in (("br0", "bond0.100"), ("br200", "bond0.200")):
        assert (found[name, "bridge"].lost_ports, found[name, "bridge"].loses_last_port) == ([port], True)
    assert effects.duplicates == (("10.1.255.254", ("br-bond0.100", "br0")),)
    assert effects.to_json()["duplicates"] == [{"address": "10.1.255.254", "interfaces": ("br-bond0.100", "br0")}]


def test_an_address_that_no_interface_gets_is_lost(bundle: Bundle) -> None:
    interfaces = [{"name": "br0", "type": "linux-bridge", "state": "up", "ipv4": {"enabled": False}}]
    plan = Plan(bundle, state={"interfaces": interfaces}, desired={"interfaces": interfaces})
    effects = find_host_effects(plan, bonded(), BONDED, Facts())
    assert effects is not None and effects.interruption.lost
    assert [m.after for m in effects.management] == [None]


DHCP = {"enabled": True, "dhcp": True, "address": [{"ip": "10.1.0.7", "prefix-length": 16, "valid-left": "3600sec"}]}


def with_dhcp(live: Live) -> Live:
    state = {**live.state, "interfaces": [{**live.state["interfaces"][1], "ipv4": DHCP}]}
    state["routes"] = {"running": live.state["routes"]["config"], "config": []}
    return replace(live, state=state)


def test_an_address_from_dhcp_is_expected_where_the_same_nic_asks_again(make_bundle: Any) -> None:
    bundle = make_bundle("      eth0: {network: private, mac: 00:14:4f:80:de:00, ipv4: dhcp}\n")
    effects = effects_of(bundle, with_dhcp(before()))
    (management,) = effects.management
    assert (management.address, management.dynamic, management.after) == ("10.1.0.7/16", True, "br-eth0")
    assert by_name(effects)["br-eth0", "bridge"].gained_addresses == ["IPv4 by DHCP"]


def test_the_mac_address_of_the_management_address_may_change(bundle: Bundle) -> None:
    live = before()
    live.state["interfaces"][1]["mac-address"] = "00:14:4F:80:DE:77"
    effects = effects_of(bundle, live)
    assert effects.management[0].mac == ("00:14:4f:80:de:77", "00:14:4f:80:de:00")


def test_a_removal_restores_the_addresses_of_before(bundle: Bundle) -> None:
    live = after(bundle)
    absent = [{"name": "eth0", "type": "linux-bridge", "state": "absent"}]
    plan = replace(make_plan(bundle, live), state={"interfaces": absent}, leaving=("eth0",), changes=(), desired={})
    effects = find_host_effects(plan, live, live.state, Facts(restored={"eth0": [], "peth0": [ADDRESS]}))
    assert effects is not None
    assert by_name(effects)["peth0", "NIC"].gained_addresses == [ADDRESS]
    assert by_name(effects)["eth0", "bridge"].event == "removed"
    assert [m.after for m in effects.management] == ["peth0"]


def test_zones_are_compared_where_firewalld_runs(bundle: Bundle) -> None:
    live = replace(before(), zones={"eth0": "trusted"})
    effects = effects_of(bundle, live, Facts(zones={"eth0": "trusted", "peth0": ""}))
    assert by_name(effects)["eth0", "bridge"].after.zone == "trusted"
    assert by_name(effects)["peth0", "NIC"].to_json()["changes"]["zone"] == {"before": "trusted", "after": None}
    assert by_name(effects_of(bundle, before()))["eth0", "bridge"].after.zone is None


@pytest.mark.parametrize("mtu", ["", ", mtu: 1400"])
def test_virtual_addresses_of_an_interface_that_is_applied_again_are_named(make_bundle: Any, mtu: str) -> None:
    """NetworkManager removes them then. Those of other interfaces stay."""
    vip = (VirtualAddress("br-eth0", "10.1.1.200/32", "keepalived"),)
    live = replace(live_of(make_bundle()), virtual=vip, claims=(Claim("10.1.1.200", "keepalived"),))
    effects = effects_of(make_bundle(NIC_LINE + VLAN_LINE if mtu else NIC_LINE, mtu=mtu), live)
    named = [effect.virtual for effect in effects.interfaces if effect.virtual]
    assert named == ([(("10.1.1.200/32", "keepalived"),)] if mtu else [])


def test_an_operator_may_be_connected_by_a_virtual_address(make_bundle: Any) -> None:
    live = replace(live_of(make_bundle()), virtual=(VirtualAddress("br-eth0", "10.1.1.200/32", "keepalived"),))
    effects = effects_of(make_bundle(NIC_LINE), live, Facts("10.1.1.200"))
    assert [(m.address, m.before) for m in effects.management] == [("10.1.1.200/32", "br-eth0")]


def test_an_address_that_dhcp_has_not_given_yet_is_not_gained(make_bundle: Any) -> None:
    asking = make_bundle(NIC_LINE.replace("addresses: [10.1.255.254]", "ipv4: dhcp"))
    larger = make_bundle(NIC_LINE.replace("addresses: [10.1.255.254]", "ipv4: dhcp, mtu: 1400"))
    effects = effects_of(larger, live_of(asking))
    assert not any(effect.gained_addresses or effect.lost_addresses for effect in effects.interfaces)
