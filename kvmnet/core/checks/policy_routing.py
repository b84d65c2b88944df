"""Checks of routes that are valid alone, but do not do what is meant: with the host's rules, tables and interfaces."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import combinations
from typing import Optional

from kvmnet.core.base.nmstate import LOOPBACK
from kvmnet.core.base.problem import WARNING, Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Host, Interface, Placed, Rule, Subnet
from kvmnet.core.views.host_view import HostView, RuleView

#: The kernel's own rules read these tables (local, main, default).
_TABLES_OF_THE_KERNEL = (255, 254, 253)
_DEFAULTS = {4: "0.0.0.0/0", 6: "::/0"}


@check("KVN193", "the gateway is the host itself")
def find_own_gateways(context: Context) -> Iterator[Problem]:
    """
    A host has the address of the gateway of its network, or of the next hop of one of its own routes. It cannot send
    packets to itself, so it does not get this route.

    The router of a network may have the gateway's address: kvmnet reports it only if the host gets no other default
    route of this family (IPv4 or IPv6). Correct the address of the host or the gateway. For a destination that the host
    reaches directly, leave out `via`, and name the `interface` if the destination is on none of its networks.
    """
    for host, interface, placed in _static_addresses(context):
        network = context.cluster.networks.get(interface.network or "")
        view = context.views.get(host.name)
        if network is None or view is None or not host.gives_default_route(interface, network):
            continue
        for gateway in network.gateways:
            if gateway.ip == placed.ip and not _has_default_route(view, host, placed.ip.version):
                message = (
                    f"host {host.name} has the address of the gateway of network {network.name}, {placed.ip}, and no "
                    f"other IPv{placed.ip.version} default route"
                )
                related = Related(gateway.mark, "the gateway is defined here")
                hint = "correct one of the two; if the host is the router, define the network that leads out"
                yield Problem("KVN193", message, placed.mark, severity=WARNING, related=(related,), hint=hint)
    for host in context.cluster.hosts.values():
        own = {placed.ip for interface in host.interfaces.values() for placed in interface.addresses}
        for route in host.routes:
            if route.is_own and route.via in own:
                message = f"next hop {route.via} of the route to {route.to} is an address of host {host.name} itself"
                hint = "leave out via if the destination is reached directly, and name the interface"
                yield Problem("KVN193", message, route.mark, severity=WARNING, hint=hint)


def _static_addresses(context: Context) -> Iterator[tuple[Host, Interface, Placed]]:
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            yield from ((host, interface, placed) for placed in interface.addresses)


def _has_default_route(view: HostView, host: Host, version: int) -> bool:
    """Whether a host gets a default route of a family, or may get one from DHCP or a router."""
    if any(route.destination == _DEFAULTS[version] for route in view.routes):
        return True
    return any(interface.source(version) in ("dhcp", "auto") for interface in host.interfaces.values())


@check("KVN194", "route in a table that no rule uses")
def find_unused_tables(context: Context) -> Iterator[Problem]:
    """
    The kernel looks up the tables 255 (local), 254 (main) and 253 (default) by itself, and any other table only if a
    routing rule names it. The host gets a route in another table, but the definition has no rule of this family (IPv4
    or IPv6) for it. Add the rule, for example `rules: [{from: 198.51.100.7, table: 100}]`, or remove `table` from the
    route. If another tool adds the rule, accept the warning with `silence`.
    """
    reported: set[tuple[Mark, int]] = set()
    for view in context.views.values():
        used = {(rule.family, rule.table) for rule in view.rules}
        for route in view.routes:
            family = "ipv6" if ":" in route.destination else "ipv4"
            key = (route.mark, route.table)
            if route.table in _TABLES_OF_THE_KERNEL or (family, route.table) in used or key in reported:
                continue
            reported.add(key)
            message = (
                f"host {view.host} gets the route to {route.destination} in table {route.table}, which no rule uses"
            )
            hint = f"add a rule with table: {route.table}, or remove table"
            yield Problem("KVN194", message, route.mark, severity=WARNING, hint=hint)


@check("KVN195", "link-local next hop fits several interfaces")
def find_ambiguous_next_hops(context: Context) -> Iterator[Problem]:
    """
    A link-local address (fe80::1) is valid on one link only, and each link has its own. The next hop of a route is such
    an address, and the host has several interfaces with IPv6. kvmnet uses the first one. State the `interface` of the
    route.
    """
    reported: set[Mark] = set()
    for view in context.views.values():
        for route, names in view.ambiguous:
            if route.mark not in reported:
                reported.add(route.mark)
                fitting = ", ".join(names[:-1]) + f" or {names[-1]}"
                message = f"next hop {route.via} of the route to {route.to} may be on {fitting} of host {view.host}"
                hint = f"add interface: {names[0]} to the route, or another of them"
                yield Problem("KVN195", message, route.mark, severity=WARNING, hint=hint)


@check("KVN196", "two interfaces in one subnet")
def find_shared_subnets(context: Context) -> Iterator[Problem]:
    """
    Two interfaces of a host have addresses in the same subnet. The kernel sends all packets to this subnet through one
    of them, whatever their source address is, and answers ARP requests for both addresses on both. If the first one
    fails, both addresses are unreachable, and switches and firewalls see packets from the wrong port.

    For redundancy or bandwidth, make a bond of the two NICs: `bond0: {ports: [eth0, eth1], network: …}`. If both
    addresses must stay on their own NICs (iSCSI multipath), give each its own table: a route to the subnet and a rule
    for its address, for all but one of them. The warning is then gone:

        routes: [{to: 10.0.0.0/24, interface: eth1, table: 101}]
        rules: [{from: 10.0.0.22, table: 101}]

    Set the kernel settings net.ipv4.conf.all.arp_ignore=1 and arp_announce=2 too, which kvmnet does not manage.
    """
    for host in context.cluster.hosts.values():
        view = context.views.get(host.name)
        addresses = [
            (interface, placed, subnet)
            for interface in host.interfaces.values()
            if not interface.left_alone and interface.managed and interface.up and not interface.is_dummy
            for placed in interface.addresses
            if (subnet := _subnet_of(context, interface, placed)) is not None
        ]
        reported: set[tuple[str, str]] = set()
        for (one, first, net), (two, second, other) in combinations(addresses, 2):
            is_reported = (one.name, two.name) in reported
            if one.name == two.name or net != other or is_reported or _is_routed_apart(view, first, second):
                continue
            reported.add((one.name, two.name))
            message = f"host {host.name} has two interfaces in subnet {net}: {one.name} and {two.name}"
            hint = f"make a bond of them, or add a rule and a table for {second.ip} (kvmnet explain KVN196)"
            origin = Related(first.mark, f"the address of {one.name} is here")
            yield Problem("KVN196", message, second.mark, severity=WARNING, related=(origin,), hint=hint)


def _subnet_of(context: Context, interface: Interface, placed: Placed) -> Optional[Subnet]:
    """Return the subnet of an address; None for a single address (/32, /128) and where it is unknown."""
    network = context.cluster.networks.get(interface.network or "")
    subnet = network.subnet_of(placed.ip) if network else None
    if placed.prefix is not None:
        subnet = ipaddress.ip_network(f"{placed.ip}/{placed.prefix}", strict=False)
    return subnet if subnet is not None and subnet.prefixlen < subnet.max_prefixlen else None


def _is_routed_apart(view: Optional[HostView], first: Placed, second: Placed) -> bool:
    """Whether one of two addresses has a rule with a table of its own."""
    rules = view.rules if view is not None else ()
    return any(_is_for(rule, placed) for rule in rules for placed in (first, second))


def _is_for(rule: RuleView, placed: Placed) -> bool:
    if rule.source is None or rule.table in (None, *_TABLES_OF_THE_KERNEL):
        return False
    return placed.ip in ipaddress.ip_network(rule.source)


@check("KVN197", "invalid routing rule")
def find_invalid_rules(context: Context) -> Iterator[Problem]:
    """
    A routing rule needs `table`, or `action`, but not both. Its family (IPv4 or IPv6) must be known: by `from` or `to`,
    or by `family`, and all of them must be of one family. `from` and `to` are addresses or subnets: in a subnet, the
    host bits are zero (198.51.100.0/24, not 198.51.100.7/24). `incoming` is the key of an interface of the host, but
    not of a port: packets come in through its bond or bridge. For packets of the host itself (`incoming: lo`), add
    `lo: {}` to the interfaces: NetworkManager keeps such a rule in the profile of the loopback interface.
    """
    reported: set[Mark] = set()
    for host in context.cluster.hosts.values():
        for rule in host.rules:
            reason = _find_rule_problem(host, rule)
            if reason is not None and rule.place.mark not in reported:
                reported.add(rule.place.mark)
                key, text = reason
                yield Problem("KVN197", f"routing rule {text}", rule.place.at(key))


def _find_rule_problem(host: Host, rule: Rule) -> Optional[tuple[str, str]]:
    """Return what is wrong with a rule: the key of the place, and a text; None if nothing is. What the schema has
    rejected is not reported again."""
    subnets = [subnet for subnet in (rule.source, rule.destination) if subnet is not None]
    if rule.table is not None and rule.action is not None:
        return "action", "has both table and action: remove one of them"
    if rule.place.tree.refused:
        return None  # a key is misspelt
    if not rule.place.has("table", "action"):
        return "table", "has neither table nor action"
    if rule.version is None and not rule.place.has("from", "to", "family"):
        return "family", "needs from, to or family"
    if any(subnet.version != rule.version for subnet in subnets):
        return "to" if rule.destination is not None else "from", "mixes IPv4 and IPv6"
    if rule.stray_bits:
        texts = ", ".join(str(subnet) for subnet in subnets)
        return "from" if rule.source is not None else "to", f"has a subnet with host bits set: write {texts}"
    if rule.incoming is None:
        return None
    if rule.incoming not in host.interfaces:
        fix = ": add lo: {} to its interfaces" if rule.incoming == LOOPBACK else ""
        return "incoming", f"names {rule.incoming}, which is no interface of host {host.name}{fix}"
    controller = host.controllers.get(rule.incoming)
    if controller is not None:
        return "incoming", f"names {rule.incoming}, which is a port: write {controller.name}"
    return None
