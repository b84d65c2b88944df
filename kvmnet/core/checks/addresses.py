"""Addresses, subnets, gateways."""

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
_THIS_NETWORK, _EVERYBODY = IPv4Network("0.0.0.0/8"), IPv4Address("255.255.255.255")


def _addressed(context: Context) -> Iterator[tuple[Host, Interface, Placed]]:
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            for placed in interface.addresses:
                yield host, interface, placed


def _with_network(context: Context) -> Iterator[tuple[Host, Interface, Placed, Network]]:
    for host, interface, placed in _addressed(context):
        network = context.cluster.networks.get(interface.network or "")
        if network is not None:
            yield host, interface, placed, network


def _subnets(network: Network) -> str:
    return ", ".join(str(subnet.net) for subnet in network.subnets) or "without subnets"


@check("KVN110", "address outside its network")
def outside(context: Context) -> Iterator[Problem]:
    """
    An address lies in none of its network's subnets. Either it has a typing error, or the interface is on
    another network, or the network lacks a subnet (of this family, perhaps).
    """
    for host, interface, placed, network in _with_network(context):
        if network.subnet_of(placed.ip) is None:
            owner, subnets = f"{host.name} {interface.name}", _subnets(network)
            words = f"{placed.ip} of {owner} is outside network {network.name} ({subnets})"
            there = Related(network.place.at("subnets"), f"network {network.name} is here")
            yield Problem("KVN110", words, placed.mark, related=(there,))


@check("KVN111", "not an address of a host")
def not_a_host_address(context: Context) -> Iterator[Problem]:
    """
    The first address of a subnet names the subnet itself, the last one of an IPv4 subnet all its hosts
    (RFC 1122, section 3.2.1.3; in IPv6 the first is the routers' anycast address, RFC 4291, section 2.6.1).
    Subnets of one or two addresses (/31, /32, /127, /128) have neither. Nor does an interface have a multicast
    or loopback address, or one of 0.0.0.0/8; its IPv6 link-local address the kernel gives it (`ipv6: link-local`),
    and nmstate drops a stated one.
    """
    for _, interface, placed in _addressed(context):
        network = context.cluster.networks.get(interface.network or "")
        subnet = network.subnet_of(placed.ip) if network else None
        if subnet is None and interface.network is None and placed.prefix is not None:
            subnet = ip_network(f"{placed.ip}/{placed.prefix}", strict=False)
        yield from _reserved(placed, subnet, "an address of a host")
    for network in context.cluster.networks.values():
        for gateway in network.gateways:
            if not _is_routers_own(gateway):
                yield from _reserved(gateway, network.subnet_of(gateway.ip), "a gateway")


def _is_routers_own(gateway: Placed) -> bool:
    """An IPv6 link-local address is on every link: routers advertise themselves by it (RFC 4861, section 4.2)."""
    return gateway.ip.version == 6 and gateway.ip.is_link_local


def _reserved(placed: Placed, subnet: Optional[Subnet], what: str) -> Iterator[Problem]:
    ip, kind = placed.ip, None
    if ip.is_multicast or ip.is_loopback:
        kind = "a multicast address" if ip.is_multicast else "a loopback address"
    elif ip.version == 4 and (ip in _THIS_NETWORK or ip == _EVERYBODY):
        kind = "a reserved address"
    elif ip.version == 6 and (ip.is_link_local or ip.is_unspecified or ip.ipv4_mapped):
        kind = "a link-local address" if ip.is_link_local else "a reserved address"
    elif subnet is not None and subnet.prefixlen < subnet.max_prefixlen - 1:
        if ip == subnet.network_address:
            kind = f"the network address of {subnet}"
        elif ip.version == 4 and ip == subnet.broadcast_address:
            kind = f"the broadcast address of {subnet}"
    if kind is not None:
        # Python 3.13 writes a mapped address in dots, those before in hexadecimal: the same words on all of them
        text = f"::ffff:{ip.ipv4_mapped}" if ip.version == 6 and ip.ipv4_mapped else str(ip)
        yield Problem("KVN111", f"{text} is {kind}, not {what}", placed.mark)


@check("KVN112", "address given twice")
def twice(context: Context) -> Iterator[Problem]:
    """Two interfaces of the cluster have the same address: now one would answer for it, now the other."""
    first: dict[str, tuple[str, Mark]] = {}
    for host, interface, placed in _addressed(context):
        owner = f"{host.name} {interface.name}"
        key = str(placed.ip)
        if key in first:
            other, mark = first[key]
            yield Problem(
                "KVN112",
                f"{key} of {owner} is also that of {other}",
                placed.mark,
                related=(Related(mark, "the first one is here"),),
            )
        else:
            first[key] = owner, placed.mark


@check("KVN113", "gateway outside its network")
def gateway_outside(context: Context) -> Iterator[Problem]:
    """
    A gateway must lie in one of its network's subnets, or no host can reach it. An IPv6 link-local address
    (fe80::1) is on every link.
    """
    for network in context.cluster.networks.values():
        for gateway in network.gateways:
            if network.subnet_of(gateway.ip) is None and not _is_routers_own(gateway):
                words = f"gateway {gateway.ip} is outside network {network.name} ({_subnets(network)})"
                yield Problem("KVN113", words, gateway.mark)


def _rank(route: RouteView) -> tuple[str, int, int]:
    return route.destination, route.metric, route.table


@check("KVN114", "two default routes of one family")
def two_defaults(context: Context) -> Iterator[Problem]:
    """
    A host has two default routes of one family, and nothing says which is taken: it has addresses on two networks
    with a gateway, or two interfaces on one such network, or a static route to 0.0.0.0/0 or ::/0 besides. Write
    `default_route: false` on the network that does not give it, or give the networks different `metric`s.
    """
    told = set()
    gateways = {gateway.mark for network in context.cluster.networks.values() for gateway in network.gateways}
    for view in context.views.values():
        defaults = [route for route in view.routes if route.destination in ("0.0.0.0/0", "::/0")]
        for one, two in combinations(defaults, 2):
            of_one_network = one.device == two.device and {one.mark, two.mark} <= gateways  # KVN115 says so
            key = (one.mark, two.mark)
            if _rank(one) != _rank(two) or of_one_network or key in told:  # on 200 hosts it is one mistake
                continue
            told.add(key)
            family = "IPv6" if ":" in one.via else "IPv4"
            names = (one.network, two.network)
            both = f"networks {one.network} and {two.network}"
            if one.network == two.network or not all(names):
                both = f"via {one.via} by {one.device} and via {two.via} by {two.device}"
            yield Problem(
                "KVN114",
                f"{view.host} gets two {family} default routes: {both}",
                two.mark,
                related=(Related(one.mark, "the other one is here"),) if one.mark != two.mark else (),
                hint="write default_route: false on the network that gives none",
            )


@check("KVN115", "two gateways of one family")
def two_gateways(context: Context) -> Iterator[Problem]:
    """A network has at most one IPv4 and one IPv6 gateway, in `gateway` and `gateways` together."""
    for network in context.cluster.networks.values():
        for one, two in combinations(network.gateways, 2):
            if one.ip.version == two.ip.version:
                words = f"network {network.name} has two IPv{one.ip.version} gateways"
                yield Problem("KVN115", words, two.mark, related=(Related(one.mark, "the first one is here"),))


@check("KVN116", "networks overlap")
def overlap(context: Context) -> Iterator[Problem]:
    """
    Two subnets share addresses: a host on both could not tell which interface an address is reached
    through.
    """
    subnets = [(n.name, s) for n in context.cluster.networks.values() for s in n.subnets]
    subnets.sort(key=lambda pair: (pair[1].net.version, int(pair[1].net.network_address), pair[1].net.prefixlen))
    around: list[tuple[str, PlacedSubnet]] = []  # those that may still hold the next one
    for pair in subnets:
        net = pair[1].net
        while around and not _holds(around[-1][1].net, net):
            around.pop()
        if around:
            (one_name, one), (two_name, two) = sorted([around[-1], pair], key=lambda found: found[1].mark)
            words = f"{two.net} of network {two_name} overlaps {one.net} of network {one_name}"
            yield Problem("KVN116", words, two.mark, related=(Related(one.mark, "the other one is here"),))
        around.append(pair)


def _holds(outer: Subnet, inner: Subnet) -> bool:
    return inner.network_address in outer  # false for the other family


@check("KVN117", "a subnet with bits behind its prefix")
def stray_bits(context: Context) -> Iterator[Problem]:
    """
    10.1.0.5/16 is an address with its prefix, not a subnet: the subnet is 10.1.0.0/16. Which of the two was
    meant only you know.
    """
    for network in context.cluster.networks.values():
        for subnet in network.subnets:
            if subnet.stray_bits:
                yield Problem("KVN117", f"bits are set behind the prefix; the subnet is {subnet.net}", subnet.mark)


@check("KVN118", "a prefix that is not the network's")
def other_prefix(context: Context) -> Iterator[Problem]:
    """
    An address is given with a prefix length that is not that of its network's subnet. Leave the prefix out:
    the subnet has it.
    """
    for _, _, placed, network in _with_network(context):
        subnet = network.subnet_of(placed.ip)
        if subnet is not None and placed.prefix is not None and placed.prefix != subnet.prefixlen:
            words = f"{placed.ip}/{placed.prefix}: network {network.name} has {subnet}"
            yield Problem("KVN118", words, placed.mark, hint="leave the prefix out")


@check("KVN119", "address without a network")
def no_network(context: Context) -> Iterator[Problem]:
    """
    An interface has addresses but no `network`. Without one an address needs its prefix length
    (10.1.255.254/16), or nobody knows what is on the same wire.
    """
    for _, interface, placed in _addressed(context):
        if interface.network is None and placed.prefix is None:
            words = f"{interface.name} has address {placed.ip} but neither a network nor a prefix length"
            yield Problem("KVN119", words, placed.mark)
