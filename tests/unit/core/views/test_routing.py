"""The routes of a host, and which addresses it can reach."""

from __future__ import annotations

import ipaddress

import pytest

from kvmnet.core.views.routing import is_on_link, is_reachable
from tests.unit.core.views.samples import one_host, view_of

NETWORKS = """\
  servers: {subnets: [10.1.0.0/16, '2001:db8:1::/64'], gateways: [10.1.0.1, '2001:db8:1::1']}
  closed: {subnets: [10.2.0.0/16], gateway: 10.2.0.1, default_route: false}
  fast: {subnets: [10.3.0.0/16], gateway: 10.3.0.1, metric: 50}
"""


def routes_of(*interfaces: str, host: str = "kvm: false") -> list[tuple[str, str, str, int, int]]:
    """Return the routes of a host as (destination, next hop, device, metric, table)."""
    view = view_of(*interfaces, networks=NETWORKS, host=host)
    return [(r.destination, r.via, r.device, r.metric, r.table) for r in view.routes]


@pytest.mark.parametrize(
    ("keys", "next_hops"),
    [
        ("network: servers, addresses: [10.1.0.7]", ["10.1.0.1"]),
        ("network: servers, addresses: ['2001:db8:1::7']", ["2001:db8:1::1"]),
        ("network: servers, addresses: [10.1.0.7, '2001:db8:1::7']", ["10.1.0.1", "2001:db8:1::1"]),
        ("network: servers, addresses: [10.1.0.1]", []),
        ("network: servers, ipv4: dhcp", []),
        ("network: servers, ipv4: dhcp, addresses: [10.1.0.7]", []),
        ("network: closed, addresses: [10.2.0.7]", []),
        ("addresses: [10.1.0.7/16]", []),
    ],
)
def test_a_static_address_has_the_default_route_of_its_network_and_family(keys: str, next_hops: list[str]) -> None:
    destinations = {4: "0.0.0.0/0", 6: "::/0"}
    assert routes_of(f"eth0: {{{keys}}}") == [
        (destinations[ipaddress.ip_address(via).version], via, "eth0", 100, 254) for via in next_hops
    ]


def test_a_default_route_has_the_metric_of_its_network_and_leaves_through_the_bridge() -> None:
    assert routes_of("eth0: {network: fast, addresses: [10.3.0.7]}", host="kvm: true") == [
        ("0.0.0.0/0", "10.3.0.1", "br-eth0", 50, 254)
    ]


@pytest.mark.parametrize(
    ("route", "metric", "table"),
    [("", 100, 254), (", metric: 7", 7, 254), (", table: 100", 100, 100)],
)
def test_a_static_route_leaves_through_the_interface_that_reaches_its_next_hop(
    route: str, metric: int, table: int
) -> None:
    nics = ("eth0: {network: closed, addresses: [10.2.0.7]}", "eth1: {addresses: [192.0.2.7/24]}")
    routes = f"routes: [{{to: 198.51.100.0/24, via: 192.0.2.1{route}}}]"
    assert routes_of(*nics, host=routes) == [("198.51.100.0/24", "192.0.2.1", "eth1", metric, table)]


def test_a_route_names_the_network_of_its_interface() -> None:
    nics = ("eth0: {network: closed, addresses: [10.2.0.7]}", "eth1: {addresses: [192.0.2.7/24]}")
    host = "routes: [{to: 198.51.100.0/24, via: 192.0.2.1}, {to: 203.0.113.0/24, via: 10.2.0.1}]"
    view = view_of(*nics, networks=NETWORKS, host=host)
    assert {route.via: route.network for route in view.routes} == {"192.0.2.1": "", "10.2.0.1": "closed"}


def test_a_static_route_through_no_network_of_the_host_is_unrouted() -> None:
    host = "routes: [{to: 198.51.100.0/24, via: 192.0.2.1}]"
    view = view_of("eth0: {network: closed, addresses: [10.2.0.7]}", networks=NETWORKS, host=host)
    assert view.routes == () and [(str(u.route.via), u.reason) for u in view.unrouted] == [
        ("192.0.2.1", "next hop 192.0.2.1 is on none of its networks")
    ]


def test_a_router_has_no_route_through_itself() -> None:
    host = "routes: [{to: 198.51.100.0/24, via: 10.2.0.7}]"
    view = view_of("eth0: {network: closed, addresses: [10.2.0.7]}", networks=NETWORKS, host=host)
    assert (view.routes, view.unrouted) == ((), ())


@pytest.mark.parametrize(
    ("keys", "address", "on_link"),
    [
        ("network: servers, addresses: [10.1.0.7]", "10.1.9.9", True),
        ("network: servers, addresses: [10.1.0.7]", "10.2.9.9", False),
        ("network: servers, addresses: [10.1.0.7]", "2001:db8:1::9", False),
        ("network: servers, ipv4: dhcp", "10.1.9.9", True),
        ("network: servers", "10.1.9.9", False),
        ("network: servers, ipv6: link-local", "2001:db8:1::9", False),
        ("ipv6: link-local", "fe80::1", True),
        ("addresses: [192.0.2.7/24]", "fe80::1", False),
        ("addresses: [192.0.2.7/24]", "192.0.2.255", True),
        ("addresses: [192.0.2.7/24]", "192.0.3.0", False),
        ("addresses: [192.0.2.7/24]", "169.254.0.1", False),
        ("addresses: [192.0.2.7]", "192.0.2.7", False),
    ],
)
def test_an_address_is_on_link_in_a_subnet_of_the_interface_and_with_an_address_of_its_family(
    keys: str, address: str, on_link: bool
) -> None:
    cluster = one_host(f"eth0: {{{keys}}}", networks=NETWORKS)
    interface = cluster.hosts["h"].interfaces["eth0"]
    assert is_on_link(cluster, interface, ipaddress.ip_address(address)) is on_link


@pytest.mark.parametrize(
    ("keys", "address", "reachable"),
    [
        ("network: closed, addresses: [10.2.0.7]", "10.2.9.9", True),
        ("network: closed, addresses: [10.2.0.7]", "192.0.2.1", False),
        ("network: closed, addresses: [10.2.0.7]", "127.0.0.1", True),
        ("network: servers, addresses: [10.1.0.7]", "192.0.2.1", True),
        ("network: servers, addresses: [10.1.0.7]", "2001:db8:9::1", False),
        ("network: servers, ipv4: dhcp", "192.0.2.1", True),
        ("network: servers, ipv4: dhcp", "2001:db8:9::1", False),
        ("network: servers, ipv6: auto", "2001:db8:9::1", True),
        ("network: closed, ipv4: dhcp", "192.0.2.1", False),
        ("ipv4: dhcp", "192.0.2.1", True),
    ],
)
def test_an_address_is_reachable_on_link_or_by_a_route_of_the_definition_or_of_dhcp(
    keys: str, address: str, reachable: bool
) -> None:
    cluster = one_host(f"eth0: {{{keys}}}", networks=NETWORKS, host="kvm: false")
    view = view_of(f"eth0: {{{keys}}}", networks=NETWORKS, host="kvm: false")
    host, ip = cluster.hosts["h"], ipaddress.ip_address(address)
    assert is_reachable(cluster, host, view.routes, ip) is reachable


@pytest.mark.parametrize(("name", "reachable"), [("eth0", True), ("ib0", True), ("ipmi", False)])
def test_an_interface_that_kvmnet_leaves_alone_reaches_no_subnet(name: str, reachable: bool) -> None:
    cluster = one_host(f"{name}: {{network: closed, addresses: [10.2.0.7]}}", networks=NETWORKS)
    assert is_reachable(cluster, cluster.hosts["h"], (), ipaddress.ip_address("10.2.9.9")) is reachable


@pytest.mark.parametrize(("ports", "devices"), [("eth0", ["eth1"]), ("eth0, eth1", [])])
def test_no_route_leaves_through_the_port_of_a_bond(ports: str, devices: list[str]) -> None:
    nics = ("eth0: {}", "eth1: {network: closed, addresses: [10.2.0.7]}", f"bond0: {{ports: [{ports}]}}")
    host = "routes: [{to: 198.51.100.0/24, via: 10.2.0.1}]"
    view = view_of(*nics, networks=NETWORKS, host=host)
    assert [route.device for route in view.routes] == devices
