"""What of a bundle's state is sent to nmstate, and the changes that it makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.core.live.live_host import ConnectionProfile, Link, Live, Owned
from kvmnet.core.live.virtual_addresses import VirtualAddress
from kvmnet.core.planning.changes import Change, JoinsController, LeftDefinition, OptionReset, Reason, RouteDetail
from kvmnet.core.planning.difference import Difference
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.planning.state_changes import compare_state
from kvmnet.core.rendering.bundle import Bundle, Nic
from tests.unit.core.samples import PLAIN, after, applied, bare, before
from tests.unit.core.samples import bundle_of as load_bundle

Interface = dict[str, Any]
IP: Interface = {"enabled": True, "dhcp": False, "address": [{"ip": "10.1.0.7", "prefix-length": 16}]}
NO_IP: Interface = {"enabled": False}


def nic(name: str, **keys: Any) -> Interface:
    return {"name": name, "type": "ethernet", "state": "up", **keys}


def bridge(name: str, *ports: str, **keys: Any) -> Interface:
    section = {"port": [{"name": port} for port in ports]}
    return {"name": name, "type": "linux-bridge", "state": "up", "bridge": section, **keys}


def bundle_of(*interfaces: Interface, nics: tuple[str, ...] = ("eth0",), **parts: Any) -> Bundle:
    """Return a bundle with this state."""
    return Bundle("c", "h", "plain", tuple(Nic(n, n) for n in nics), {"interfaces": list(interfaces), **parts})


def live_of(*interfaces: Interface, created: tuple[str, ...] = (), **parts: Any) -> Live:
    """Return a host in this state, on which kvmnet has created some of the interfaces and owns all."""
    masters = {p["name"]: i["name"] for i in interfaces for p in i.get("bridge", {}).get("port", [])}
    kinds = {"ethernet": None, "linux-bridge": "bridge", "vlan": "vlan", "bond": "bond"}
    links = {
        i["name"]: Link(i["name"], f"02::{n}" if i["type"] == "ethernet" else None, kinds[i["type"]], (), None)
        for n, i in enumerate(interfaces)
    }
    return Live(
        hostname="h",
        state={"interfaces": list(interfaces), **parts},
        links={name: replace(link, master=masters.get(name)) for name, link in links.items()},
        profiles={name: ConnectionProfile(f"u-{name}", name, "x", name, f"/etc/{name}") for name in links},
        owned={i["name"]: Owned(i["type"], i["name"] in created, f"u-{i['name']}") for i in interfaces},
    )


def test_nothing_is_sent_to_a_host_that_matches_the_bundle(bundle: Bundle) -> None:
    compared = compare_state(bundle, after(bundle), {})
    assert (compared.state, compared.sent, compared.first, compared.leaving) == ({}, set(), {}, {})
    assert (compared.interface_changes, compared.routing_changes) == ([], [])


def test_a_first_bundle_changes_the_renamed_nic_and_adds_its_bridge_and_route(bundle: Bundle) -> None:
    compared = compare_state(bundle, before(), {"eth0": "peth0"})
    assert compared.sent == {"peth0", "eth0"}
    assert [(c.kind, c.name) for c in compared.interface_changes] == [("change", "peth0"), ("add", "eth0")]
    assert [(c.kind, c.name) for c in compared.routing_changes] == [("add", "route")]
    assert compared.state["routes"] == bundle.state["routes"], "the route of peth0 moves and is not removed"


def test_only_interfaces_that_differ_are_sent() -> None:
    bundle = bundle_of(nic("eth0", mtu=9000), nic("eth1", mtu=1500), nics=("eth0", "eth1"))
    compared = compare_state(bundle, live_of(nic("eth0", mtu=1500), nic("eth1", mtu=1500)), {})
    assert compared.state == {"interfaces": [nic("eth0", mtu=9000)]}
    assert compared.interface_changes == [Change("change", "eth0", (Difference("mtu", 1500, 9000),))]


def test_a_port_that_joins_a_changed_bridge_is_sent_with_it_and_one_that_is_a_port_is_not() -> None:
    """nmstate would change its profile without saving it."""
    nics = [nic("eth0"), nic("eth1")]
    bundle = bundle_of(*nics, bridge("br0", "eth0", "eth1"), nics=("eth0", "eth1"))
    compared = compare_state(bundle, live_of(*nics, bridge("br0", "eth0")), {})
    assert compared.sent == {"eth1", "br0"}
    assert compared.interface_changes[0] == Change("change", "eth1", (JoinsController("br0"),))
    assert compare_state(bundle, live_of(*nics, bridge("br0", "eth0", "eth1")), {}).sent == set()


def test_an_option_that_left_a_bond_returns_to_its_default() -> None:
    def bond(**options: Any) -> Interface:
        section = {"mode": "active-backup", "port": ["eth0"], "options": options}
        return {"name": "bond0", "type": "bond", "state": "up", "link-aggregation": section}

    live = live_of(nic("eth0"), bond(miimon=100, primary="eth0"))
    live = replace(live, applied_state={"interfaces": [bond(miimon=100, primary="eth0")]})
    compared = compare_state(bundle_of(nic("eth0"), bond(miimon=100)), live, {})
    assert compared.dropped == {"bond0": ("primary",)} and compared.sent == {"bond0"}
    assert compared.interface_changes == [Change("change", "bond0", (OptionReset("primary", "eth0"),))]


# ---- interfaces that leave


def test_a_bridge_that_left_is_removed_and_its_nic_released_if_the_bundle_lacks_it() -> None:
    live = live_of(nic("eth0"), nic("eth1", ipv4=IP), bridge("br1", "eth1"), created=("br1",))
    compared = compare_state(bundle_of(nic("eth0")), live, {})
    released = nic("eth1", **{"accept-all-mac-addresses": False, "ipv4": NO_IP, "ipv6": NO_IP})
    assert compared.state == {"interfaces": [released, {"name": "br1", "type": "linux-bridge", "state": "absent"}]}
    assert compared.leaving == {"br1": "linux-bridge"} and compared.first == {}
    assert compared.interface_changes == [
        Change("change", "eth1", (Reason.NIC_RELEASED,)),
        Change("remove", "br1", (LeftDefinition("linux-bridge"),)),
    ]


@pytest.mark.parametrize("reason", ["named", "known by its MAC", "not owned", "a guest's tap", "its bridge stays"])
def test_other_ports_of_a_bridge_that_leaves_are_not_released(reason: str) -> None:
    live = live_of(nic("eth0"), nic("eth1"), bridge("br1", "eth1"), created=("br1",))
    bundle = bundle_of(nic("eth0"))
    if reason == "named":
        bundle = replace(bundle, nics=(*bundle.nics, Nic("eth1", "eth1")))
    elif reason == "known by its MAC":
        bundle = replace(bundle, nics=(*bundle.nics, Nic("lan", "lan", mac=live.links["eth1"].mac)))
    elif reason == "not owned":
        live = replace(live, owned={name: row for name, row in live.owned.items() if name != "eth1"})
    elif reason == "a guest's tap":
        live = replace(live, links={**live.links, "eth1": replace(live.links["eth1"], kind="tun")})
    else:
        live = replace(live, owned={**live.owned, "br1": Owned("linux-bridge", False)})
    compared = compare_state(bundle, live, {})
    assert "eth1" not in compared.sent and ("br1" in compared.leaving) is (reason != "its bridge stays")


@pytest.mark.parametrize("name", ["eth0", "br9"])
def test_a_nic_that_takes_over_addresses_before_the_renames_is_sent_though_it_does_not_differ(name: str) -> None:
    """Its bridge is removed first, because the NIC is renamed (and can get the name of the bridge)."""
    live = live_of(nic("peth0", ipv4=NO_IP), bridge(name, "peth0", ipv4=IP), created=(name,))
    live = replace(live, first_names={"02::0": "eth0"})
    compared = compare_state(bundle_of(nic("eth0", ipv4=IP)), live, {"peth0": "eth0"})
    assert {i["name"]: i["state"] for i in compared.first["interfaces"]} == {name: "absent", "peth0": "up"}
    assert compared.state == {"interfaces": [nic("eth0", ipv4=IP)]}, "the bridge is removed in the first state already"
    assert compared.interface_changes == [
        Change("change", "eth0", (Reason.TAKES_OVER_ADDRESSES,)),
        Change("remove", name, (LeftDefinition("linux-bridge"),)),
    ]


# ---- routes and name servers


def route(destination: str, device: str, **keys: Any) -> dict[str, Any]:
    base = {"destination": destination, "next-hop-address": "10.1.0.1", "next-hop-interface": device, "metric": 100}
    return {**base, **keys}


def compare_routes(wanted: list[Any], live: list[Any]) -> tuple[list[Any], list[Change]]:
    """Return the routes that are sent for a host with eth0 in the definition and eth9 besides, and the changes."""
    bundle = bundle_of(nic("eth0", ipv4=IP), routes={"config": wanted})
    live_interfaces = [nic("eth0", ipv4=IP), nic("eth9", ipv4=IP)]
    compared = compare_state(bundle, live_of(*live_interfaces, routes={"config": live}), {})
    return compared.state.get("routes", {}).get("config", []), compared.routing_changes


def test_a_route_that_the_definition_lacks_is_removed_by_what_identifies_it() -> None:
    old = route("10.9.0.0/16", "eth0", **{"table-id": 254, "weight": 1})
    sent, changes = compare_routes([], [old])
    assert sent == [{"state": "absent", **route("10.9.0.0/16", "eth0"), "table-id": 254}]
    assert changes == [Change("remove", "route", (RouteDetail(old),))]


def test_a_new_route_is_added_and_equal_routes_are_left() -> None:
    old, new = route("10.9.0.0/16", "eth0", **{"table-id": 254}), route("10.8.0.0/16", "eth0")
    assert compare_routes([route("10.9.0.0/16", "eth0"), new], [old]) == (
        [new],
        [Change("add", "route", (RouteDetail(new),))],
    )


def test_a_route_of_an_interface_outside_the_definition_is_left() -> None:
    assert compare_routes([], [route("10.9.0.0/16", "eth9")]) == ([], [])


@pytest.mark.parametrize(
    ("other", "removed"),
    [
        (route("0.0.0.0/0", "br0"), False),
        (route("0.0.0.0/0", "br0", **{"table-id": 100}), True),
        (route("10.9.0.0/16", "br0"), True),
    ],
)
def test_a_route_of_an_interface_that_loses_its_addresses_is_a_change_unless_it_moves(
    other: dict[str, Any], removed: bool
) -> None:
    """nmstate removes it with the addresses, so it is not sent."""
    old = route("0.0.0.0/0", "eth0")
    bundle = bundle_of(nic("eth0", ipv4=NO_IP), bridge("br0", "eth0", ipv4=IP), routes={"config": [other]})
    live = live_of(nic("eth0", ipv4=IP), routes={"config": [old]})
    compared = compare_state(bundle, live, {})
    assert compared.state["routes"] == {"config": [other]}
    changes = [Change("remove", "route", (RouteDetail(old),))] if removed else []
    assert compared.routing_changes == [*changes, Change("add", "route", (RouteDetail(other),))]


def test_a_route_of_an_interface_with_ipv6_alone_is_removed() -> None:
    six = {"enabled": True, "address": [{"ip": "2001:db8::7", "prefix-length": 64}]}
    interface = nic("eth0", ipv4=NO_IP, ipv6=six)
    old = route("::/0", "eth0", **{"next-hop-address": "2001:db8::1"})
    compared = compare_state(bundle_of(interface), live_of(interface, routes={"config": [old]}), {})
    assert compared.state == {"routes": {"config": [{"state": "absent", **old}]}}


def dns(servers: list[str], **more: Any) -> dict[str, Any]:
    return {"dns-resolver": {"config": {"server": servers, **more}}}


def test_all_name_servers_and_domains_are_sent_when_one_of_them_differs() -> None:
    bundle = bundle_of(nic("eth0"), **dns(["10.1.0.2", "10.1.0.3"], search=["a.org"]))
    compared = compare_state(bundle, live_of(nic("eth0"), **dns(["10.1.0.3", "10.1.0.2"], search=["a.org"])), {})
    assert compared.state == dns(["10.1.0.2", "10.1.0.3"], search=["a.org"])
    difference = Difference("server", ["10.1.0.3", "10.1.0.2"], ["10.1.0.2", "10.1.0.3"])
    assert compared.routing_changes == [Change("change", "name servers", (difference,))]
    same = compare_state(bundle, live_of(nic("eth0"), **dns(["10.1.0.2", "10.1.0.3"], search=["a.org"])), {})
    assert (same.state, same.routing_changes) == ({}, [])


def test_name_servers_that_the_definition_never_had_are_left() -> None:
    compared = compare_state(bundle_of(nic("eth0")), live_of(nic("eth0"), **dns(["10.1.0.2"])), {})
    assert (compared.state, compared.routing_changes) == ({}, [])


VIP = (VirtualAddress("br0", "10.1.1.200/32", "keepalived"),)


@pytest.mark.parametrize(
    ("change", "is_sent"),
    [
        ({"routes": {"config": [route("10.9.0.0/16", "br0")]}}, True),
        ({"routes": {"config": [route("10.9.0.0/16", "eth1")]}}, False),
        (dns(["10.1.0.2"]), True),
        ({}, False),
    ],
)
@pytest.mark.parametrize("virtual", [VIP, ()])
def test_an_interface_with_a_virtual_address_is_sent_where_nmstate_may_write_its_profile(
    change: dict[str, Any], is_sent: bool, virtual: tuple[VirtualAddress, ...]
) -> None:
    """nmstate would write all addresses of the kernel into it."""
    interfaces = [bridge("br0", "eth0", ipv4=IP), nic("eth1", ipv4=IP)]
    live = replace(live_of(*interfaces), virtual=virtual)
    compared = compare_state(bundle_of(*interfaces, **change), live, {})
    names = [i["name"] for i in compared.state.get("interfaces", [])]
    assert names == (["br0"] if virtual and is_sent else [])
    if names:
        assert compared.interface_changes == [Change("change", "br0", (Reason.KEEPS_VIRTUAL_OUT,))]


def route_via(destination: str, via: Optional[str], metric: int = 100, table: int = 254) -> dict[str, Any]:
    entry = {"destination": destination, "next-hop-interface": "eth0", "metric": metric, "table-id": table}
    return {**entry, "next-hop-address": via} if via else entry


def plan_with_routes(tmp_path: Path, wanted: list[dict[str, Any]], live_routes: list[dict[str, Any]]) -> Plan:
    bundle = load_bundle(tmp_path, PLAIN)
    bundle = replace(bundle, state={**bundle.state, "routes": {"config": wanted}})
    live = applied(bundle, bare())
    return make_plan(bundle, replace(live, state={**live.state, "routes": {"config": live_routes}}))


def test_the_route_that_networkmanager_adds_to_an_on_link_next_hop_stays(tmp_path: Path) -> None:
    wanted = route_via("0.0.0.0/0", "203.0.113.1")
    assert plan_with_routes(tmp_path, [wanted], [wanted, route_via("203.0.113.1/32", None)]).empty
    assert not plan_with_routes(tmp_path, [wanted], [wanted, route_via("203.0.113.2/32", None)]).empty
    assert not plan_with_routes(tmp_path, [wanted], [wanted, route_via("203.0.113.1/32", None, table=7)]).empty


def test_a_route_that_the_removal_of_another_one_would_remove_is_sent_again(tmp_path: Path) -> None:
    """nmstate ignores the metric of a route that it removes."""
    wanted = route_via("10.9.0.0/16", "10.1.0.7")
    plan = plan_with_routes(tmp_path, [wanted], [wanted, route_via("10.9.0.0/16", "10.1.0.7", metric=7)])
    rows = plan.state["routes"]["config"]
    assert [(row.get("state"), row["metric"]) for row in rows] == [("absent", 7), (None, 100)]


def test_the_loopback_interface_that_left_the_definition_keeps_its_own_addresses(tmp_path: Path) -> None:
    bundle = load_bundle(tmp_path, PLAIN)
    live = applied(bundle, bare())
    live = replace(live, owned={**live.owned, "lo": Owned("loopback", False)})
    plan = make_plan(bundle, live)
    (entry,) = plan.state["interfaces"]
    assert (entry["name"], entry["type"], entry["state"]) == ("lo", "loopback", "up")
    assert [entry[family]["address"][0]["ip"] for family in ("ipv4", "ipv6")] == ["127.0.0.1", "::1"]
