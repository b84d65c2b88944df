"""The definition as objects: hosts with the settings of their groups merged in, and every part with its place.

kvmnet.core.definition.build creates them from a tree.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Optional, Union

from kvmnet.core.base.probe import Probe
from kvmnet.core.base.problem import Mark
from kvmnet.core.definition.document import Leaf, Map, Node, Seq
from kvmnet.core.definition.naming_policy import NamingPolicy
from kvmnet.core.definition.port_vlans import PortVlans

IP = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Subnet = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Option = Union[str, int, bool]


@dataclass(frozen=True)
class Place:
    """The place of a part of the definition: the place of its key, and its tree for the places inside it."""

    mark: Mark
    tree: Map

    def has(self, *keys: str) -> bool:
        """Whether the file has one of the keys here, valid or not (invalid ones are removed from the tree)."""
        for key in keys:  # noqa: SIM110 - a loop takes half the time of any(), and the checks ask a million times
            if self.tree.has(key):
                return True
        return False

    def at(self, *path: Union[str, int]) -> Mark:
        """Return the place of the value at a path of keys and indexes, or of its nearest parent that exists."""
        mark, node = self.mark, None
        current: Node = self.tree
        for step in path:
            if isinstance(current, Map) and isinstance(step, str) and step in current.entries:
                mark, node = current.entries[step]
            elif isinstance(current, Seq) and isinstance(step, int) and step < len(current.items):
                node = current.items[step]
                mark = node.mark
            else:
                break
            current = node
        return node.mark if isinstance(node, Leaf) else mark


@dataclass(frozen=True)
class Placed:
    """An IP address with its prefix length in bits (None: that of its network's subnet) and its place."""

    ip: IP
    prefix: Optional[int]
    mark: Mark


@dataclass(frozen=True)
class PlacedSubnet:
    """A subnet and its place. `stray_bits`: it was written with host bits set (10.1.0.5/16)."""

    net: Subnet
    mark: Mark
    stray_bits: bool


@dataclass(frozen=True)
class Network:
    """A network. `vlan` is its VLAN ID; `over`: a logical VLAN, tagged on that network's NICs. `mtu` is in bytes.
    `zone` is the firewalld zone of its interfaces. `on_link`: whether its gateways are reached directly although they
    are outside the subnets (None: not stated)."""

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
    zone: Optional[str]
    on_link: Optional[bool]
    place: Place = field(compare=False, repr=False)

    def has_on_link_gateway(self, version: int) -> bool:
        """Whether a gateway of this family may be outside the subnets: if the definition states it, else if the network
        has nothing but single addresses (/32, /128)."""
        if self.on_link is not None:
            return self.on_link
        subnets = [s.net for s in self.subnets if s.net.version == version]
        return bool(subnets) and all(net.prefixlen == net.max_prefixlen for net in subnets)

    @property
    def is_readable(self) -> bool:
        """Whether all subnets in the file are valid. If not, what is outside of the others may be inside."""
        subnets = self.place.tree.get("subnets")
        is_refused = "subnets" in self.place.tree.refused
        return not is_refused and not (isinstance(subnets, Seq) and subnets.has_refused)

    def subnet_of(self, ip: IP) -> Optional[Subnet]:
        """Return the smallest of the network's subnets that contains an address, or None."""
        subnets = [s.net for s in self.subnets if s.net.version == ip.version and ip in s.net]
        return max(subnets, key=lambda net: net.prefixlen) if subnets else None


@dataclass(frozen=True)
class BridgeSettings:
    """What the definition states about a bridge; None: not stated. `ageing` is in seconds."""

    name: Optional[str] = None
    mac: Optional[str] = None
    stp: Optional[bool] = None
    multicast_snooping: Optional[bool] = None
    vlan_filtering: Optional[bool] = None
    ageing: Optional[int] = None
    priority: Optional[int] = None
    group_forward_mask: Optional[int] = None


@dataclass(frozen=True)
class Interface:
    """An interface of a host, with the settings of the host's groups merged in.

    `kind` is nic, bond, vlan, bridge, dummy, loopback or other (pass_through). `parent` is the base interface of a
    VLAN, `tag` its VLAN ID, `own_name` its kernel name if the definition states it, and `ports` the ports of a bond or
    bridge. `mac` is the permanent MAC address of a NIC, or the MAC address of a bridge. `bridge` is whether a NIC, bond
    or VLAN gets a bridge (None: by default), `bridge_settings` are those of it, or of the interface if it is a bridge.
    `ipv4` and `ipv6` are the sources of addresses (see the schema). `zone` is the firewalld zone that the interface
    states itself. `default_route` and `metric` are those of default routes through the interface (None: not stated).
    `left_alone`: never managed by kvmnet (BMC). `vlans` are the VLANs of a port of a VLAN-aware bridge, or None. A NIC
    can be an IPoIB interface (`is_infiniband`) with `transport_mode` (datagram, connected; None: not stated), or a
    partition of one: `parent` and `pkey`. `nmstate` is what is passed through to nmstate.
    """

    name: str
    kind: str
    network: Optional[str]
    mac: Optional[str]
    kernel_name: Optional[str]
    addresses: tuple[Placed, ...]
    ipv4: str
    ipv6: str
    bridge: Optional[bool]
    bridge_settings: BridgeSettings
    mtu: Optional[int]
    parent: Optional[str]
    tag: Optional[int]
    ports: tuple[str, ...]
    mode: str
    options: tuple[tuple[str, Option], ...]
    managed: bool
    up: bool
    left_alone: bool
    zone: Optional[str]
    description: Optional[str]
    default_route: Optional[bool]
    metric: Optional[int]
    vlans: Optional[PortVlans]
    own_name: Optional[str]
    is_infiniband: bool
    transport_mode: Optional[str]
    pkey: Optional[int]
    nmstate: Mapping[str, Any]
    place: Place = field(compare=False, repr=False)

    @property
    def is_vlan(self) -> bool:
        return self.kind == "vlan"

    @property
    def is_bond(self) -> bool:
        return self.kind == "bond"

    @property
    def is_bridge(self) -> bool:
        return self.kind == "bridge"

    @property
    def is_nic(self) -> bool:
        return self.kind == "nic"

    @property
    def is_loopback(self) -> bool:
        return self.kind == "loopback"

    @property
    def is_dummy(self) -> bool:
        """Whether the interface has no cable: a dummy, or the loopback interface."""
        return self.kind in ("dummy", "loopback")

    def uses_static(self, version: int) -> bool:
        """Whether static addresses of a family are used: also beside those from a server or router."""
        return self.source(version) not in ("none", "link-local")

    def source(self, version: int) -> str:
        """Return the source of the addresses of a family (4 or 6)."""
        return self.ipv4 if version == 4 else self.ipv6


@dataclass(frozen=True)
class Route:
    """A static route of the cluster, a group or a host.

    `via` is the next hop (None: the destination is reached directly), `interface` the key of the interface (None: the
    one that fits). `stray_bits`: `to` was written with host bits set. `is_own`: whether the host itself states it.
    """

    to: Subnet
    via: Optional[IP]
    interface: Optional[str]
    metric: Optional[int]
    table: Optional[int]
    stray_bits: bool
    is_own: bool
    mark: Mark


@dataclass(frozen=True)
class Rule:
    """A routing rule of the cluster, a group or a host: for which packets which routing table is used, or an action.

    `version` is 4 or 6, None if nothing states the family. `source` and `destination` are those of the packets,
    `incoming` the key of the interface through which they come in. `stray_bits`: one of the subnets was written with
    host bits set.
    """

    version: Optional[int]
    source: Optional[Subnet]
    destination: Optional[Subnet]
    incoming: Optional[str]
    fwmark: Optional[int]
    table: Optional[int]
    action: Optional[str]
    priority: Optional[int]
    stray_bits: bool
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class PlacedProbe:
    """A probe of the cluster, a group or a host, and its place."""

    probe: Probe
    mark: Mark


@dataclass(frozen=True)
class Group:
    """A template for hosts. `parent` is the group that it inherits from."""

    name: str
    parent: Optional[str]
    interfaces: Optional[Map] = field(compare=False, repr=False)
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Host:
    """A host with the settings of its groups merged in. `groups` are its group, the parent of that group, and so on.

    `policy_name` is the name of its naming policy, and `policy_mark` the place where the policy is set. `default_route`
    and `metric` are those of its default routes (None: not stated).
    """

    name: str
    group: Optional[str]
    groups: tuple[str, ...]
    policy_name: str
    kvm: bool
    hostname: Optional[str]
    interfaces: Mapping[str, Interface]
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]
    default_route: Optional[bool]
    metric: Optional[int]
    probes: tuple[PlacedProbe, ...]
    place: Place = field(compare=False, repr=False)
    policy_mark: Mark = field(compare=False, repr=False)

    @cached_property
    def controllers(self) -> Mapping[str, Interface]:
        """The bond or bridge of the definition that has an interface as a port (the first one), by the port's key."""
        return {port: i for i in reversed(list(self.interfaces.values())) for port in i.ports}

    def gives_default_route(self, interface: Interface, network: Optional[Network]) -> bool:
        """Whether the host gets a default route through an interface, if its network or a server has one. The nearest
        level that states it wins: interface, host, group, network."""
        stated = (interface.default_route, self.default_route, network.default_route if network else None)
        return next((value for value in stated if value is not None), True)

    def metric_of(self, interface: Interface, network: Optional[Network]) -> Optional[int]:
        """Return the metric of default routes through an interface; None: that of the naming policy."""
        return interface.metric or self.metric or (network.metric if network else None)

    def is_over_infiniband(self, interface: Interface) -> bool:
        """Whether an interface is an IPoIB interface or a bond of such: it has no Ethernet frames, so it can be neither
        bridged nor have VLANs."""
        ports = [self.interfaces[name] for name in interface.ports if name in self.interfaces]
        return interface.is_infiniband or (interface.is_bond and any(port.is_infiniband for port in ports))

    def bridged(self, interface: Interface) -> bool:
        """Whether an interface gets a bridge of its own.

        Without a `bridge` key, NICs and bonds with a network have one on hosts that run guests. The ports of a bond or
        bridge have none, nor has an interface with `type: bridge`, which is a bridge itself.
        """
        if interface.left_alone or not interface.managed or not interface.up or interface.is_bridge:
            return False
        if interface.is_dummy or self.is_over_infiniband(interface):
            return False
        has_default_bridge = self.kvm and interface.network is not None and not interface.is_vlan
        is_wanted = interface.bridge if interface.bridge is not None else has_default_bridge
        return is_wanted and interface.name not in self.controllers


@dataclass(frozen=True)
class GuestNic:
    """A NIC of a guest. `trusts_guest`: the guest may change the MAC address and filters of its macvtap (None: not
    stated).

    A trunk has the networks `trunk` with tags, and perhaps one without (`native`). Its `network` is the native one, or
    the first.
    """

    network: str
    mac: str
    attach: Optional[str]
    trusts_guest: Optional[bool]
    trunk: tuple[str, ...]
    native: Optional[str]
    place: Place = field(compare=False, repr=False)

    @property
    def networks(self) -> tuple[str, ...]:
        """All networks of the NIC, the native one first."""
        if not self.trunk:
            return (self.network,)
        return (*([self.native] if self.native is not None else []), *self.trunk)

    @property
    def title(self) -> str:
        """The networks of the NIC in words: `lan`, or `a, b (native lan)`."""
        if not self.trunk:
            return self.network
        return ", ".join(self.trunk) + (f" (native {self.native})" if self.native is not None else "")


@dataclass(frozen=True)
class Guest:
    """A guest that runs on one host or on any host of a group."""

    name: str
    host: Optional[str]
    group: Optional[str]
    nics: tuple[GuestNic, ...]
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Cluster:
    """The whole definition. `policies` are all naming policies, `own_policies` the places of those defined in it."""

    name: str
    networks: Mapping[str, Network]
    groups: Mapping[str, Group]
    hosts: Mapping[str, Host]
    guests: Mapping[str, Guest]
    policies: Mapping[str, NamingPolicy]
    own_policies: Mapping[str, Place] = field(compare=False, repr=False)

    def hosts_of(self, guest: Guest) -> list[Host]:
        """Return the hosts that a guest may run on, in the order of the definition."""
        if guest.host is not None:
            return [self.hosts[guest.host]] if guest.host in self.hosts else []
        if guest.group is None:
            return []
        return [host for host in self.hosts.values() if guest.group in host.groups]

    def guests_by_host(self) -> dict[str, list[Guest]]:
        """Return the guests that may run on each host, in the order of the definition."""
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
