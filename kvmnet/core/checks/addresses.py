"""Checks of addresses, subnets and gateways."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, ip_network
from itertools import combinations
from typing import Optional

from kvmnet.core.base.problem import Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Host, Interface, Network, Placed, PlacedSubnet, Subnet
from kvmnet.core.views.host_view import RouteView

#: RFC 1122, section 3.2.1.3.
_THIS_NETWORK, _LIMITED_BROADCAST = IPv4Network("0.0.0.0/8"), IPv4Address("255.255.255.255")


def _static_addresses(context: Context) -> Iterator[tuple[Host, Interface, Placed]]:
    """Every static address of the hosts, with its host and interface."""
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            for placed in interface.addresses:
                yield host, interface, placed


def _addresses_on_networks(context: Context) -> Iterator[tuple[Host, Interface, Placed, Network]]:
    """Every static address of an interface whose network is defined."""
    for host, interface, placed in _static_addresses(context):
        network = context.cluster.networks.get(interface.network or "")
        if network is not None:
            yield host, interface, placed, network


def _format_subnets(network: Network) -> str:
    return ", ".join(str(subnet.net) for subnet in network.subnets) or "no subnets"


@check("KVN110", "address outside its network")
def find_addresses_outside_network(context: Context) -> Iterator[Problem]:
    """
    The address is in none of the subnets of the interface's network. Correct the address, set `network` to the
    network that the interface is connected to, or add the missing subnet to the network. The network needs a subnet
    of the same family: IPv4 or IPv6.
    """
    for host, interface, placed, network in _addresses_on_networks(context):
        if network.subnet_of(placed.ip) is None and network.is_readable:
            owner, subnets = f"{interface.name} on host {host.name}", _format_subnets(network)
            message = f"address {placed.ip} of {owner} is outside network {network.name} ({subnets})"
            definition = Related(network.place.at("subnets"), f"network {network.name} is defined here")
            yield Problem("KVN110", message, placed.mark, related=(definition,))


@check("KVN111", "not a valid host address")
def find_invalid_host_addresses(context: Context) -> Iterator[Problem]:
    """
    An interface or gateway cannot have this address:

    The first address of a subnet is its network address. In IPv6 it is the subnet-router anycast address (RFC 4291,
    section 2.6.1). The last address of an IPv4 subnet is its broadcast address (RFC 1122, section 3.2.1.3). Subnets
    of one or two addresses (/31, /32, /127, /128) have neither.

    Multicast addresses, loopback addresses and addresses in 0.0.0.0/8 are reserved.

    The kernel assigns IPv6 link-local addresses itself, and nmstate ignores a static one. Write `ipv6: link-local`
    instead.
    """
    for _, interface, placed in _static_addresses(context):
        network = context.cluster.networks.get(interface.network or "")
        subnet = network.subnet_of(placed.ip) if network else None
        if subnet is None and interface.network is None and placed.prefix is not None:
            subnet = ip_network(f"{placed.ip}/{placed.prefix}", strict=False)
        yield from _find_reserved(placed, subnet, "host address")
    for network in context.cluster.networks.values():
        for gateway in network.gateways:
            if not _is_link_local_gateway(gateway):
                yield from _find_reserved(gateway, network.subnet_of(gateway.ip), "gateway")


def _is_link_local_gateway(gateway: Placed) -> bool:
    """Whether a gateway is an IPv6 link-local address: routers advertise themselves with it (RFC 4861, section 4.2)."""
    return gateway.ip.version == 6 and gateway.ip.is_link_local


def _find_reserved(placed: Placed, subnet: Optional[Subnet], role: str) -> Iterator[Problem]:
    """Yield a problem where an address cannot have a role ("host address" or "gateway")."""
    ip, kind = placed.ip, None
    if ip.is_multicast or ip.is_loopback:
        kind = "a multicast address" if ip.is_multicast else "a loopback address"
    elif ip.version == 4 and (ip in _THIS_NETWORK or ip == _LIMITED_BROADCAST):
        kind = "a reserved address"
    elif ip.version == 6 and (ip.is_link_local or ip.is_unspecified or ip.ipv4_mapped):
        kind = "a link-local address" if ip.is_link_local else "a reserved address"
    elif subnet is not None and subnet.prefixlen < subnet.max_prefixlen - 1:
        if ip == subnet.network_address:
            kind = f"the network address of {subnet}"
        elif ip.version == 4 and ip == subnet.broadcast_address:
            kind = f"the broadcast address of {subnet}"
    if kind is not None:
        # Python 3.13 formats a mapped address with dots, older versions in hexadecimal. Print the same on all of them.
        text = f"::ffff:{ip.ipv4_mapped}" if ip.version == 6 and ip.ipv4_mapped else str(ip)
        yield Problem("KVN111", f"{text} is {kind} and cannot be used as a {role}", placed.mark)


@check("KVN112", "duplicate address")
def find_duplicate_addresses(context: Context) -> Iterator[Problem]:
    """
    The same address is assigned twice in the cluster. Traffic to this address would reach one of the two interfaces at
    random. Give each interface its own address.
    """
    first: dict[str, tuple[str, Mark]] = {}
    for host, interface, placed in _static_addresses(context):
        owner = f"{interface.name} on host {host.name}"
        key = str(placed.ip)
        if key in first:
            other, mark = first[key]
            yield Problem(
                "KVN112",
                f"address {key} of {owner} is already assigned to {other}",
                placed.mark,
                related=(Related(mark, "first assigned here"),),
            )
        else:
            first[key] = owner, placed.mark


@check("KVN113", "gateway outside its network")
def find_gateways_outside_network(context: Context) -> Iterator[Problem]:
    """
    A gateway must be in one of its network's subnets, or hosts cannot reach it. Only an IPv6 link-local address
    (fe80::1) may be outside them. Correct the gateway or add its subnet.

    Some providers give a host a single address (/32, /128) and a gateway outside of it, which the host reaches directly
    (on-link). A network whose subnets are all single addresses may have such a gateway. For another network write
    `on_link: true`. NetworkManager adds a route to the gateway itself.
    """
    for network in context.cluster.networks.values():
        for gateway in network.gateways:
            is_reachable = _is_link_local_gateway(gateway) or network.has_on_link_gateway(gateway.ip.version)
            if network.subnet_of(gateway.ip) is None and not is_reachable and network.is_readable:
                message = f"gateway {gateway.ip} is outside network {network.name} ({_format_subnets(network)})"
                hint = "correct it or add its subnet; if hosts reach it directly all the same, write on_link: true"
                yield Problem("KVN113", message, gateway.mark, hint=hint)


def _destination_and_metric(route: RouteView) -> tuple[str, int, int]:
    """The destination, metric and table of a route: the kernel has no preference between two with the same."""
    return route.destination, route.metric, route.table


@check("KVN114", "two default routes with the same metric")
def find_duplicate_default_routes(context: Context) -> Iterator[Problem]:
    """
    A host gets two default routes of the same family (IPv4 or IPv6) with the same metric. It is undefined which one is
    used. Common causes: addresses on two networks that have a gateway, two interfaces on one such network, or an
    additional static route to 0.0.0.0/0 or ::/0. Set `default_route: false` on the interface (or for all hosts, on the
    network) that must not provide the default route, or set a different `metric` on one of them.
    """
    reported = set()
    gateways = {gateway.mark for network in context.cluster.networks.values() for gateway in network.gateways}
    for view in context.views.values():
        defaults = [route for route in view.routes if route.destination in ("0.0.0.0/0", "::/0")]
        for one, two in combinations(defaults, 2):
            is_of_one_network = one.device == two.device and {one.mark, two.mark} <= gateways  # reported by KVN115
            key = (one.mark, two.mark)
            is_ambiguous = _destination_and_metric(one) == _destination_and_metric(two)
            if not is_ambiguous or is_of_one_network or key in reported:  # one problem, even on 200 hosts
                continue
            reported.add(key)
            family = "IPv6" if ":" in one.via else "IPv4"
            names = (one.network, two.network)
            origins = f"from networks {one.network} and {two.network}"
            if one.network == two.network or not all(names):
                origins = f"via {one.via} on {one.device} and via {two.via} on {two.device}"
            yield Problem(
                "KVN114",
                f"host {view.host} gets two {family} default routes with the same metric: {origins}",
                two.mark,
                related=(Related(one.mark, "the other default route is defined here"),) if one.mark != two.mark else (),
                hint="set default_route: false or a different metric on one of the interfaces or networks",
            )


@check("KVN115", "two gateways of the same family")
def find_duplicate_gateways(context: Context) -> Iterator[Problem]:
    """
    A network can have one IPv4 gateway and one IPv6 gateway, in `gateway` and `gateways` together. Remove one of the
    two.
    """
    for network in context.cluster.networks.values():
        for one, two in combinations(network.gateways, 2):
            if one.ip.version == two.ip.version:
                message = f"network {network.name} has two IPv{one.ip.version} gateways"
                yield Problem("KVN115", message, two.mark, related=(Related(one.mark, "first gateway is here"),))


@check("KVN116", "networks overlap")
def find_overlapping_subnets(context: Context) -> Iterator[Problem]:
    """
    Two subnets have addresses in common. A host that is connected to both cannot decide which interface to use for
    these addresses. Correct the prefix length or the subnet.
    """
    subnets = [(n.name, s) for n in context.cluster.networks.values() for s in n.subnets]
    subnets.sort(key=lambda pair: (pair[1].net.version, int(pair[1].net.network_address), pair[1].net.prefixlen))
    outer: list[tuple[str, PlacedSubnet]] = []  # subnets that may contain the next one
    for pair in subnets:
        net = pair[1].net
        while outer and not _contains(outer[-1][1].net, net):
            outer.pop()
        if outer:
            (one_name, one), (two_name, two) = sorted([outer[-1], pair], key=lambda named: named[1].mark)
            message = f"subnet {two.net} of network {two_name} overlaps {one.net} of network {one_name}"
            yield Problem("KVN116", message, two.mark, related=(Related(one.mark, "the other subnet is here"),))
        outer.append(pair)


def _contains(outer: Subnet, inner: Subnet) -> bool:
    """Whether a subnet contains the first address of another; False for subnets of different families."""
    return inner.network_address in outer


@check("KVN117", "subnet with host bits set")
def find_subnets_with_host_bits(context: Context) -> Iterator[Problem]:
    """
    10.1.0.5/16 is an address with a prefix length, not a subnet: the subnet is 10.1.0.0/16. kvmnet does not correct
    it, because the prefix length may be wrong instead. Write the subnet, or correct the prefix length.
    """
    for network in context.cluster.networks.values():
        for subnet in network.subnets:
            if subnet.stray_bits:
                yield Problem("KVN117", f"subnet has host bits set: write {subnet.net}", subnet.mark)


@check("KVN118", "prefix length differs from the network's subnet")
def find_different_prefixes(context: Context) -> Iterator[Problem]:
    """
    An address has a prefix length that differs from the subnet of its network. Remove the prefix length from the
    address: kvmnet then uses the prefix length of the subnet.
    """
    for _, _, placed, network in _addresses_on_networks(context):
        subnet = network.subnet_of(placed.ip)
        if subnet is not None and placed.prefix is not None and placed.prefix != subnet.prefixlen:
            message = (
                f"address {placed.ip}/{placed.prefix} has another prefix length than {subnet} of network {network.name}"
            )
            yield Problem("KVN118", message, placed.mark, hint="remove the prefix length")


@check("KVN119", "address without network and prefix length")
def find_addresses_without_network(context: Context) -> Iterator[Problem]:
    """
    An interface has addresses but no `network`. Set `network`, or write each address with its prefix length
    (10.1.255.254/16).
    """
    for host, interface, placed in _static_addresses(context):
        if interface.network is None and placed.prefix is None:
            owner = f"{interface.name} on host {host.name}"
            message = f"address {placed.ip} of {owner} has neither a network nor a prefix length"
            yield Problem("KVN119", message, placed.mark)
