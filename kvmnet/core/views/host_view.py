"""What one host gets: its NICs, bonds, bridges, VLANs, addresses, routes, name service, and what its guests bring.

kvmnet.core.layout works it out from the cluster alone. Where the definition is wrong the part in question
is left out: the checks say so, and the rest can still be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from kvmnet.core.base.probe import Probe
from kvmnet.core.base.problem import Mark
from kvmnet.core.definition.model import Guest, GuestNic, Option, Route
from kvmnet.core.definition.naming_policy import Profile


@dataclass(frozen=True)
class Address:
    """An address with its prefix length in bits; `version` is 4 or 6."""

    ip: str
    prefix: int
    version: int


@dataclass(frozen=True)
class IpView:
    """Where an interface's addresses come from, by family: static, none, dhcp, auto or link-local.

    The rest is for dhcp and auto: whether name servers and the default route are taken from there, and the
    metric of what is taken.
    """

    ipv4: str = "none"
    ipv6: str = "none"
    addresses: tuple[Address, ...] = ()
    auto_dns: bool = True
    auto_gateway: bool = True
    metric: int = 0


NO_IP = IpView()


@dataclass(frozen=True)
class NicView:
    """A physical NIC. `name` is the kernel name it gets, `controller` the bridge, `bond` the bond it is a port of.

    `managed` is false for a NIC that the definition only names: it gets no state. `up` is false for one that
    is to be down.
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
    named: bool
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class BondView:
    """A bond; `ports` are the kernel names of its NICs, `mac` is pinned to the first one's."""

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
class BridgeView:
    """A bridge with its one port."""

    name: str
    port: str
    mac: Optional[str]
    mtu: Optional[int]
    stp: bool
    ip: IpView
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class VlanView:
    """A VLAN device over `base`. `always`: it is there from boot, not only while a guest needs it."""

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
    """The macvtap of a guest's NIC over `base`. `always`: it is there from boot."""

    name: str
    base: str
    mac: str
    mode: str
    guest: str
    always: bool
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class GuestPortView:
    """What a guest's NIC is plugged into on this host: a bridge, or a macvtap over a device.

    `device` is the bridge, or what the macvtap lies over; `tag` is the network's. `macvtap` is the name that the
    profile gives the macvtap (libvirt names one that it makes itself), None on a bridge; `mode` and `always` are
    the macvtap's, as in MacvtapView.
    """

    guest: str
    mac: str
    network: str
    device: str
    tag: Optional[int]
    macvtap: Optional[str] = None
    mode: str = ""
    always: bool = False


@dataclass(frozen=True)
class RouteView:
    """A route. `via` is the next hop, `device` the interface it is reached through, `network` the network
    that the interface is on (empty: none)."""

    destination: str
    via: str
    device: str
    metric: int
    table: int
    network: str
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class HostView:
    """One host, complete. `vlans` are the host's own, `guest_vlans` and `macvtaps` what its guests bring."""

    cluster: str
    host: str
    profile: Profile
    hostname: Optional[str]
    nics: tuple[NicView, ...]
    bonds: tuple[BondView, ...]
    vlans: tuple[VlanView, ...]
    bridges: tuple[BridgeView, ...]
    guest_vlans: tuple[VlanView, ...]
    macvtaps: tuple[MacvtapView, ...]
    guest_ports: tuple[GuestPortView, ...]
    """Every guest NIC that this host has something for, in the order of the definition."""
    routes: tuple[RouteView, ...]
    dns_servers: tuple[str, ...]
    dns_search: tuple[str, ...]
    probes: tuple[Probe, ...]
    """The definition's own, but for those of the host's own addresses."""
    unattached: tuple[tuple[Guest, GuestNic], ...] = field(compare=False, repr=False)
    """Guest NICs whose network this host has neither a bridge nor a tag for."""
    unrouted: tuple[Route, ...] = field(compare=False, repr=False)
    """Static routes whose next hop is on none of the host's networks."""

    def ports_of(self, guest: str) -> tuple[GuestPortView, ...]:
        """What the NICs of one guest are plugged into, in their order."""
        return tuple(port for port in self.guest_ports if port.guest == guest)
