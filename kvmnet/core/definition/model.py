"""The definition as objects: what a person wrote, templates laid under hosts, every part with its place.

kvmnet.core.build makes them from a tree.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional, Union

from kvmnet.core.base.probe import Probe
from kvmnet.core.base.problem import Mark
from kvmnet.core.definition.document import Leaf, Map, Node, Seq
from kvmnet.core.definition.naming_policy import Profile

IP = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Subnet = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Option = Union[str, int, bool]


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
    attach: Optional[str]
    place: Place = field(compare=False, repr=False)

    def subnet_of(self, ip: IP) -> Optional[Subnet]:
        """The narrowest of the network's subnets that holds an address."""
        fits = [s.net for s in self.subnets if s.net.version == ip.version and ip in s.net]
        return max(fits, key=lambda net: net.prefixlen) if fits else None


@dataclass(frozen=True)
class Interface:
    """An interface of a host, its groups' templates under it.

    `parent` makes it a VLAN, `ports` a bond; `ipv4` and `ipv6` say where the addresses come from (see the
    schema). `left_alone`: kvmnet never touches it, whatever stands there (InfiniBand, a BMC).
    """

    name: str
    network: Optional[str]
    mac: Optional[str]
    kernel_name: Optional[str]
    addresses: tuple[Placed, ...]
    ipv4: str
    ipv6: str
    bridge: Optional[bool]
    mtu: Optional[int]
    parent: Optional[str]
    tag: Optional[int]
    ports: tuple[str, ...]
    mode: str
    options: tuple[tuple[str, Option], ...]
    managed: bool
    up: bool
    left_alone: bool
    place: Place = field(compare=False, repr=False)

    @property
    def is_vlan(self) -> bool:
        return self.parent is not None

    @property
    def is_bond(self) -> bool:
        return bool(self.ports)

    @property
    def is_nic(self) -> bool:
        return not self.is_vlan and not self.is_bond

    def source(self, version: int) -> str:
        """Where the addresses of a family (4 or 6) come from."""
        return self.ipv4 if version == 4 else self.ipv6


@dataclass(frozen=True)
class Route:
    """A static route of the cluster, a group or a host; `stray_bits` as in a subnet."""

    to: Subnet
    via: IP
    metric: Optional[int]
    table: Optional[int]
    stray_bits: bool
    mark: Mark


@dataclass(frozen=True)
class PlacedProbe:
    """A probe of the cluster, a group or a host, and its place."""

    probe: Probe
    mark: Mark


@dataclass(frozen=True)
class Group:
    """A template of hosts, itself laid over the group that it names."""

    name: str
    parent: Optional[str]
    profile: Optional[str]
    kvm: Optional[bool]
    interfaces: Optional[Map] = field(compare=False, repr=False)
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Host:
    """A host with everything its groups give it; `groups` are its group, that one's group, and so on."""

    name: str
    group: Optional[str]
    groups: tuple[str, ...]
    profile: str
    kvm: bool
    hostname: Optional[str]
    interfaces: Mapping[str, Interface]
    routes: tuple[Route, ...]
    probes: tuple[PlacedProbe, ...]
    place: Place = field(compare=False, repr=False)
    profile_mark: Mark = field(compare=False, repr=False)

    def bond_of(self, interface: Interface) -> Optional[Interface]:
        """The bond that an interface is a port of; the first, where the definition has several."""
        return next((i for i in self.interfaces.values() if interface.name in i.ports), None)

    def bridged(self, interface: Interface) -> bool:
        """Whether an interface gets a bridge: as it says, else a NIC or bond with a network on a host of guests."""
        if interface.left_alone or not interface.managed or not interface.up:
            return False
        if interface.bridge is not None:
            return interface.bridge
        plain = self.kvm and interface.network is not None and not interface.is_vlan
        return plain and self.bond_of(interface) is None


@dataclass(frozen=True)
class GuestNic:
    """A NIC of a guest."""

    network: str
    mac: str
    attach: Optional[str]
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
    """The whole definition. `profiles` are all that hosts may name, `own_profiles` those written in it."""

    name: str
    networks: Mapping[str, Network]
    groups: Mapping[str, Group]
    hosts: Mapping[str, Host]
    guests: Mapping[str, Guest]
    profiles: Mapping[str, Profile]
    own_profiles: Mapping[str, Place] = field(compare=False, repr=False)

    def hosts_of(self, guest: Guest) -> list[Host]:
        """The hosts that a guest may run on, in the order of the definition."""
        if guest.host is not None:
            return [self.hosts[guest.host]] if guest.host in self.hosts else []
        if guest.group is None:
            return []
        return [host for host in self.hosts.values() if guest.group in host.groups]

    def guests_by_host(self) -> dict[str, list[Guest]]:
        """The guests of every host, in the order of the definition: those placed on it and on its groups."""
        by_group: dict[str, list[str]] = {}
        for host in self.hosts.values():
            for group in host.groups:
                by_group.setdefault(group, []).append(host.name)
        result: dict[str, list[Guest]] = {name: [] for name in self.hosts}
        for guest in self.guests.values():
            names = [guest.host] if guest.host is not None else by_group.get(guest.group or " ", [])
            for name in names:
                if name in result:
                    result[name].append(guest)
        return result
