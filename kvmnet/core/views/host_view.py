"""What one host gets: its NICs, bonds, bridges, VLANs, addresses, routes, name servers, and its guests' devices.

kvmnet.core.views.layout computes it from the cluster alone. It omits the parts of the definition that are wrong. The
checks report those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from kvmnet.core.base.probe import Probe
from kvmnet.core.base.problem import Mark
from kvmnet.core.definition.model import Guest, GuestNic, Option, Route
from kvmnet.core.definition.naming_policy import NamingPolicy
from kvmnet.core.definition.port_vlans import PortVlans


@dataclass(frozen=True)
class Address:
    """An address with its prefix length in bits; `version` is 4 or 6."""

    ip: str
    prefix: int
    version: int


@dataclass(frozen=True)
class IpView:
    """The source of an interface's addresses for each family: static, none, dhcp, auto or link-local.

    `auto_dns` and `auto_gateway`: with dhcp or auto, the host also takes name servers and the default route from there.
    `metric` is the metric of these routes.
    """

    ipv4: str = "none"
    ipv6: str = "none"
    addresses: tuple[Address, ...] = ()
    auto_dns: bool = True
    auto_gateway: bool = True
    metric: int = 0


NO_IP = IpView()


@dataclass(frozen=True)
class InfinibandView:
    """An IPoIB interface: its transport mode (datagram, connected); for a partition also its base interface and its
    partition key."""

    mode: str
    base: Optional[str] = None
    pkey: Optional[int] = None


@dataclass(frozen=True)
class NicView:
    """A physical NIC. `name` is its kernel name after kvmnet has renamed it, `controller` its bridge, `bond` its bond.

    `managed` is false for a NIC that the definition only names; the nmstate state does not contain it. `up` is false
    for a NIC that must be down. `is_renamed`: the naming policy renames it, because its bridge takes its name.
    `has_link_file`: a .link file gives it its name at boot. `infiniband` are the settings of an IPoIB interface.
    """

    interface: str
    name: str
    kernel_name: Optional[str]
    mac: Optional[str]
    mtu: Optional[int]
    promiscuous: bool
    controller: Optional[str]
    bond: Optional[str]
    ip: IpView
    managed: bool
    up: bool
    is_renamed: bool
    has_link_file: bool
    infiniband: Optional[InfinibandView]
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class BondView:
    """A bond. `ports` are the kernel names of its NICs. `mac` is the MAC address of the first one."""

    interface: str
    name: str
    ports: tuple[str, ...]
    mode: str
    options: tuple[tuple[str, Option], ...]
    mac: Optional[str]
    mtu: Optional[int]
    controller: Optional[str]
    ip: IpView
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class DummyView:
    """A dummy interface, or the loopback interface (`is_loopback`)."""

    name: str
    is_loopback: bool
    mtu: Optional[int]
    controller: Optional[str]
    ip: IpView
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class OtherView:
    """An interface that only nmstate has a type for; its settings are in `HostView.pass_through`. `bases` are the
    interfaces that it is on, `ports` its ports; `overhead` is how many bytes smaller its MTU is than theirs."""

    name: str
    type: str
    mac: Optional[str]
    mtu: Optional[int]
    controller: Optional[str]
    ip: IpView
    bases: tuple[str, ...]
    ports: tuple[str, ...]
    overhead: int
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class BridgeView:
    """A bridge. `interface` is the key of the bridge, or of the NIC, bond or VLAN that it is made for.

    `ports` are the kernel names of its ports. `mac` is the stated MAC address (`is_mac_stated`), else that of the first
    port that has one. `ageing` is in seconds. Settings that are None are not in the definition; without
    `is_stp_stated`, `stp` is that of the naming policy. `port_vlans` are the VLANs of its ports by their kernel names.
    `has_untagged`: the bridge has an untagged network, and a new port is a member of it; false for a VLAN-aware bridge
    of which a port states another VLAN for untagged frames.
    """

    interface: str
    name: str
    ports: tuple[str, ...]
    mac: Optional[str]
    is_mac_stated: bool
    mtu: Optional[int]
    stp: bool
    is_stp_stated: bool
    priority: Optional[int]
    ageing: Optional[int]
    group_forward_mask: Optional[int]
    multicast_snooping: Optional[bool]
    vlan_filtering: Optional[bool]
    port_vlans: tuple[tuple[str, PortVlans], ...]
    has_untagged: bool
    ip: IpView
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class VlanView:
    """A VLAN device on `base`. `tag` is its VLAN ID. `always`: it exists from boot, not only while a guest needs it."""

    name: str
    base: str
    tag: int
    mtu: Optional[int]
    controller: Optional[str]
    ip: IpView
    always: bool
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class MacvtapView:
    """The macvtap of a guest's NIC on `base`. `always`: it exists from boot. `trusts_guest`: the guest may change its
    MAC address and filters."""

    name: str
    base: str
    mac: str
    mode: str
    guest: str
    always: bool
    trusts_guest: bool
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class GuestPortView:
    """What a guest's NIC is connected to on this host: a bridge or a macvtap.

    `device` is the bridge, or the base interface of the macvtap. `tag` is the VLAN ID of the network. `macvtap` is the
    name that the naming policy gives the macvtap, None for a bridge. (If libvirt creates the macvtap, libvirt chooses
    the name.) `mode` and `always` are as in MacvtapView. `trusts_guest`: whether the guest may change the MAC address
    and filters of its macvtap (None: the definition does not state it).

    On a VLAN-aware bridge (`is_on_aware_bridge`), `untagged` is the VLAN ID of the guest's untagged frames (None: that
    of the bridge's own network, or none for a trunk), and `trunk` are the VLAN IDs of its tagged ones.
    """

    guest: str
    mac: str
    network: str
    device: str
    tag: Optional[int]
    macvtap: Optional[str] = None
    mode: str = ""
    always: bool = False
    trusts_guest: Optional[bool] = None
    untagged: Optional[int] = None
    trunk: tuple[int, ...] = ()
    is_on_aware_bridge: bool = False

    @property
    def needs_vlans(self) -> bool:
        """Whether libvirt must set the VLANs of the guest's port (libvirt 11.0.0 and later)."""
        return bool(self.trunk) or self.untagged is not None


@dataclass(frozen=True)
class RouteView:
    """A route. `via` is the next hop (empty: the destination is reached directly), `device` the outgoing interface,
    `network` its network (empty: none)."""

    destination: str
    via: str
    device: str
    metric: int
    table: int
    network: str
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class RuleView:
    """A routing rule of a family (ipv4 or ipv6): `table` is the routing table, None with an `action`. `source` and
    `destination` are subnets, `incoming` is a device."""

    family: str
    source: Optional[str]
    destination: Optional[str]
    incoming: Optional[str]
    fwmark: Optional[int]
    table: Optional[int]
    action: Optional[str]
    priority: int
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class Unrouted:
    """A static route that the host does not get, and the reason."""

    route: Route
    reason: str


@dataclass(frozen=True)
class HostView:
    """Everything that one host gets. `vlans` are for the host itself, `guest_vlans` and `macvtaps` for its guests."""

    cluster: str
    host: str
    policy: NamingPolicy
    hostname: Optional[str]
    nics: tuple[NicView, ...]
    bonds: tuple[BondView, ...]
    dummies: tuple[DummyView, ...]
    others: tuple[OtherView, ...]
    vlans: tuple[VlanView, ...]
    bridges: tuple[BridgeView, ...]
    guest_vlans: tuple[VlanView, ...]
    macvtaps: tuple[MacvtapView, ...]
    guest_ports: tuple[GuestPortView, ...]
    """The guest NICs that this host can connect, in the order of the definition."""
    routes: tuple[RouteView, ...]
    rules: tuple[RuleView, ...]
    dns_servers: tuple[str, ...]
    dns_search: tuple[str, ...]
    probes: tuple[Probe, ...]
    """The probes of the definition, without those of the host's own addresses."""
    zones: tuple[tuple[str, str], ...]
    """The firewalld zones that the definition states, by the device that has the addresses."""
    descriptions: tuple[tuple[str, str], ...]
    """The descriptions of interfaces, by the devices: the interface itself, and its bridge."""
    pass_through: tuple[tuple[str, Mapping[str, Any]], ...]
    """What is passed through to nmstate, by the device."""
    unattached: tuple[tuple[Guest, GuestNic], ...] = field(compare=False, repr=False)
    """The guest NICs that this host cannot connect: it has neither a bridge nor a VLAN for their network."""
    unrouted: tuple[Unrouted, ...] = field(compare=False, repr=False)
    """The static routes that the host does not get."""
    ambiguous: tuple[tuple[Route, tuple[str, ...]], ...] = field(compare=False, repr=False)
    """The static routes whose link-local next hop fits several interfaces, with their keys."""

    def ports_of(self, guest: str) -> tuple[GuestPortView, ...]:
        """Return the ports of the NICs of one guest, in the order of the definition."""
        return tuple(port for port in self.guest_ports if port.guest == guest)

    def layers(self) -> Iterator[Union[VlanView, BridgeView]]:
        """Yield the host's VLANs and bridges: VLANs, then bridges, each as soon as what it is on has been yielded."""
        vlans, bridges = list(self.vlans), list(self.bridges)
        while vlans or bridges:
            left = len(vlans) + len(bridges)
            pending = {bridge.name for bridge in bridges}
            yield from (vlan for vlan in vlans if vlan.base not in pending)
            vlans = [vlan for vlan in vlans if vlan.base in pending]
            pending = {vlan.name for vlan in vlans}
            yield from (bridge for bridge in bridges if pending.isdisjoint(bridge.ports))
            bridges = [bridge for bridge in bridges if not pending.isdisjoint(bridge.ports)]
            if len(vlans) + len(bridges) == left:  # two of the same name, which the checks report
                yield from vlans
                yield from bridges
                return
