"""The definition as objects: what a person wrote, templates laid under hosts, every part with its place."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Optional, Union

from kvmnet.core.document import Leaf, Map, Node, Seq, overlay
from kvmnet.core.problem import Mark
from kvmnet.core.profile import Profile

IP = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Subnet = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

_VLAN_KEY = re.compile(r"(.+)\.([0-9]{1,5})\Z")


@dataclass(frozen=True)
class Place:
    """Where a part stands: the place of its key, and its tree for the places inside it."""

    mark: Mark
    tree: Map

    def has(self, *keys: str) -> bool:
        """Whether one of the keys was written here, right or wrong (the schema takes out what is wrong)."""
        return any(self.tree.has(key) for key in keys)

    def at(self, *path: Union[str, int]) -> Mark:
        """The place of the value at a path of keys and indexes, or of the nearest thing above it."""
        mark, node = self.mark, None
        here: Node = self.tree
        for step in path:
            if isinstance(here, Map) and isinstance(step, str) and step in here.entries:
                mark, node = here.entries[step]
            elif isinstance(here, Seq) and isinstance(step, int) and step < len(here.items):
                node = here.items[step]
                mark = node.mark
            else:
                break
            here = node
        return node.mark if isinstance(node, Leaf) else mark


@dataclass(frozen=True)
class Placed:
    """An IP address with its prefix length in bits (None: its network says) and its place."""

    ip: IP
    prefix: Optional[int]
    mark: Mark


@dataclass(frozen=True)
class PlacedSubnet:
    """A subnet, its place, and whether bits are set behind the prefix (10.1.0.5/16)."""

    net: Subnet
    mark: Mark
    stray_bits: bool


@dataclass(frozen=True)
class Network:
    """A network. `over` makes it a logical VLAN over another. `mtu` in bytes."""

    name: str
    subnets: tuple[PlacedSubnet, ...]
    gateways: tuple[Placed, ...]
    dns_servers: tuple[Placed, ...]
    dns_search: tuple[str, ...]
    vlan: Optional[int]
    over: Optional[str]
    mtu: Optional[int]
    default_route: bool
    metric: Optional[int]
    place: Place = field(compare=False, repr=False)

    def subnet_of(self, ip: IP) -> Optional[Subnet]:
        """The narrowest of the network's subnets that holds an address."""
        fits = [s.net for s in self.subnets if s.net.version == ip.version and ip in s.net]
        return max(fits, key=lambda net: net.prefixlen) if fits else None


@dataclass(frozen=True)
class Interface:
    """An interface of a host, its group's template under it. `parent` and `tag` make it a VLAN."""

    name: str
    network: Optional[str]
    mac: Optional[str]
    kernel_name: Optional[str]
    addresses: tuple[Placed, ...]
    bridge: Optional[bool]
    mtu: Optional[int]
    parent: Optional[str]
    tag: Optional[int]
    place: Place = field(compare=False, repr=False)

    @property
    def is_vlan(self) -> bool:
        return self.parent is not None


@dataclass(frozen=True)
class Group:
    """A template of hosts."""

    name: str
    profile: Optional[str]
    kvm: Optional[bool]
    interfaces: Optional[Map] = field(compare=False, repr=False)
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Host:
    """A host with everything its group gives it."""

    name: str
    group: Optional[str]
    profile: str
    kvm: bool
    interfaces: Mapping[str, Interface]
    place: Place = field(compare=False, repr=False)
    profile_mark: Mark = field(compare=False, repr=False)

    def bridged(self, interface: Interface) -> bool:
        """Whether an interface gets a bridge: as it says, else a NIC with a network on a host of guests."""
        if interface.bridge is not None:
            return interface.bridge
        return self.kvm and interface.network is not None and not interface.is_vlan


@dataclass(frozen=True)
class GuestNic:
    """A NIC of a guest."""

    network: str
    mac: str
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Guest:
    """A guest, on one host or on any host of a group."""

    name: str
    host: Optional[str]
    group: Optional[str]
    nics: tuple[GuestNic, ...]
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Cluster:
    """The whole definition."""

    name: str
    networks: Mapping[str, Network]
    groups: Mapping[str, Group]
    hosts: Mapping[str, Host]
    guests: Mapping[str, Guest]
    profiles: Mapping[str, Profile]

    def hosts_of(self, guest: Guest) -> list[Host]:
        """The hosts that a guest may run on, in the order of the definition."""
        if guest.host is not None:
            return [self.hosts[guest.host]] if guest.host in self.hosts else []
        if guest.group is None:
            return []
        return [host for host in self.hosts.values() if host.group == guest.group]

    def guests_by_host(self) -> dict[str, list[Guest]]:
        """The guests of every host, in the order of the definition: those placed on it and on its group."""
        by_group: dict[str, list[str]] = {}
        for host in self.hosts.values():
            by_group.setdefault(host.group or "", []).append(host.name)
        result: dict[str, list[Guest]] = {name: [] for name in self.hosts}
        for guest in self.guests.values():
            names = [guest.host] if guest.host is not None else by_group.get(guest.group or " ", [])
            for name in names:
                if name in result:
                    result[name].append(guest)
        return result


def read_cluster(tree: Map, profiles: Mapping[str, Profile]) -> Cluster:
    """The model of a tree that the schema has gone over: what the schema refused is not in it."""
    networks = {name: _network(name, part) for name, part in _parts(tree, "networks")}
    groups = {name: _group(name, part) for name, part in _parts(tree, "groups")}
    hosts = {name: _host(name, part, tree, groups) for name, part in _parts(tree, "hosts")}
    guests = {name: _guest(name, part) for name, part in _parts(tree, "guests")}
    return Cluster(_text(tree, "cluster") or "", networks, groups, hosts, guests, profiles)


def _parts(tree: Map, key: str) -> Iterator[tuple[str, Place]]:
    node = tree.get(key)
    if isinstance(node, Map):
        for name, entry in node.entries.items():
            if isinstance(entry.node, Map):
                yield name, Place(entry.mark, entry.node)


def _text(tree: Map, key: str) -> Optional[str]:
    node = tree.get(key)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, str) else None


def _number(tree: Map, key: str) -> Optional[int]:
    node = tree.get(key)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, int) else None


def _switch(tree: Map, key: str) -> Optional[bool]:
    node = tree.get(key)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, bool) else None


def _leaves(tree: Optional[Node], key: str) -> list[Leaf]:
    node = tree.get(key) if isinstance(tree, Map) else None
    if isinstance(node, Leaf):
        return [node]
    return [item for item in node.items if isinstance(item, Leaf)] if isinstance(node, Seq) else []


def _placed(leaf: Leaf) -> Placed:
    address, _, prefix = str(leaf.value).partition("/")
    return Placed(ipaddress.ip_address(address), int(prefix) if prefix else None, leaf.mark)


def _subnet(leaf: Leaf) -> PlacedSubnet:
    net = ipaddress.ip_network(str(leaf.value), strict=False)
    stray = ipaddress.ip_interface(str(leaf.value)).ip != net.network_address
    return PlacedSubnet(net, leaf.mark, stray)


def _network(name: str, place: Place) -> Network:
    tree = place.tree
    dns = tree.get("dns")
    return Network(
        name=name,
        subnets=tuple(_subnet(leaf) for leaf in _leaves(tree, "subnets")),
        gateways=tuple(_placed(leaf) for leaf in [*_leaves(tree, "gateway"), *_leaves(tree, "gateways")]),
        dns_servers=tuple(_placed(leaf) for leaf in _leaves(dns, "servers")),
        dns_search=tuple(str(leaf.value) for leaf in _leaves(dns, "search")),
        vlan=_number(tree, "vlan"),
        over=_text(tree, "over"),
        mtu=_number(tree, "mtu"),
        default_route=_switch(tree, "default_route") is not False,
        metric=_number(tree, "metric"),
        place=place,
    )


def _group(name: str, place: Place) -> Group:
    interfaces = place.tree.get("interfaces")
    return Group(
        name=name,
        profile=_text(place.tree, "profile"),
        kvm=_switch(place.tree, "kvm"),
        interfaces=interfaces if isinstance(interfaces, Map) else None,
        place=place,
    )


def _host(name: str, place: Place, tree: Map, groups: Mapping[str, Group]) -> Host:
    group_name = _text(place.tree, "group")
    group = groups.get(group_name or "")
    own = place.tree.get("interfaces")
    both = overlay(group.interfaces if group else None, own if isinstance(own, Map) else None)
    levels = [place, *([group.place] if group else []), Place(tree.mark, tree)]
    speaks = next((level for level in levels if _text(level.tree, "profile") is not None), levels[-1])
    kvm = _switch(place.tree, "kvm")
    if kvm is None:
        kvm = group.kvm if group else None
    interfaces = {
        key: _interface(key, Place(entry.mark, entry.node))
        for key, entry in (both.entries.items() if both else ())
        if isinstance(entry.node, Map)
    }
    profile, mark = _text(speaks.tree, "profile") or "", speaks.at("profile")
    return Host(name, group_name, profile, kvm is True, interfaces, place, mark)


def _interface(name: str, place: Place) -> Interface:
    tree = place.tree
    match = tree.get("match")
    matched = match if isinstance(match, Map) else Map(tree.mark)
    mac = _text(tree, "mac") or _text(matched, "mac")
    vlan = _VLAN_KEY.match(name)
    return Interface(
        name=name,
        network=_text(tree, "network"),
        mac=mac.lower() if mac else None,
        kernel_name=_text(matched, "name"),
        addresses=tuple(_placed(leaf) for leaf in _leaves(tree, "addresses")),
        bridge=_switch(tree, "bridge"),
        mtu=_number(tree, "mtu"),
        parent=vlan[1] if vlan else None,
        tag=int(vlan[2]) if vlan else None,
        place=place,
    )


def _guest(name: str, place: Place) -> Guest:
    nics = place.tree.get("nics")
    return Guest(
        name=name,
        host=_text(place.tree, "host"),
        group=_text(place.tree, "group"),
        nics=tuple(
            GuestNic(network, mac.lower(), Place(item.mark, item))
            for item in (nics.items if isinstance(nics, Seq) else ())
            if isinstance(item, Map)
            for network, mac in [(_text(item, "network"), _text(item, "mac"))]
            if network and mac
        ),
        place=place,
    )
