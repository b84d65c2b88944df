"""What one host gets: its NICs, bridges, VLANs, addresses, routes, name service, and what its guests bring.

A view is computed from the cluster alone. Where the definition is wrong the part in question is left out:
the checks say so, and the rest can still be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Optional

from kvmnet.core.model import Cluster, Guest, GuestNic, Host, Interface, Network
from kvmnet.core.problem import Mark
from kvmnet.core.profile import Profile

#: What a link has when nobody says anything (IEEE 802.3); it counts as soon as another MTU is near it.
ETHERNET_MTU = 1500


@dataclass(frozen=True)
class Address:
    """An address with its prefix length in bits; `version` is 4 or 6."""

    ip: str
    prefix: int
    version: int


@dataclass(frozen=True)
class NicView:
    """A physical NIC. `name` is the kernel name it gets, `controller` the bridge it is a port of.

    `managed` is false for a NIC that the definition only names: it gets no state.
    """

    interface: str
    name: str
    kernel_name: Optional[str]
    mac: Optional[str]
    mtu: Optional[int]
    promiscuous: bool
    controller: Optional[str]
    addresses: tuple[Address, ...]
    managed: bool
    named: bool
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class BridgeView:
    """A bridge with its one port."""

    name: str
    port: str
    mac: Optional[str]
    mtu: Optional[int]
    stp: bool
    addresses: tuple[Address, ...]
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class VlanView:
    """A VLAN device over `base`."""

    name: str
    base: str
    tag: int
    mtu: Optional[int]
    controller: Optional[str]
    addresses: tuple[Address, ...]
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class MacvtapView:
    """The macvtap of a guest's NIC over `base`."""

    name: str
    base: str
    mac: str
    mode: str
    guest: str
    mark: Mark = field(compare=False, repr=False)


@dataclass(frozen=True)
class RouteView:
    """A route. `via` is the next hop, `device` the interface it is reached through."""

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
    nics: tuple[NicView, ...]
    vlans: tuple[VlanView, ...]
    bridges: tuple[BridgeView, ...]
    guest_vlans: tuple[VlanView, ...]
    macvtaps: tuple[MacvtapView, ...]
    routes: tuple[RouteView, ...]
    dns_servers: tuple[str, ...]
    dns_search: tuple[str, ...]
    unattached: tuple[tuple[Guest, GuestNic], ...] = field(compare=False, repr=False)
    """Guest NICs whose network this host has neither a bridge nor a tag for."""


def views_of(cluster: Cluster, hosts: Optional[Iterable[str]] = None) -> dict[str, HostView]:
    """The views of the named hosts, or of all, in the order of the definition.

    A host whose profile is unknown has none.
    """
    guests = cluster.guests_by_host()
    chosen = set(cluster.hosts if hosts is None else hosts)
    return {
        host.name: host_view(cluster, host, guests[host.name])
        for host in cluster.hosts.values()
        if host.name in chosen and host.profile in cluster.profiles
    }


def host_view(cluster: Cluster, host: Host, guests: Sequence[Guest]) -> HostView:
    """What one host gets. Its profile must be one of the cluster's (else KeyError)."""
    return _Builder(cluster, host, guests).view()


class _Builder:
    """The parts of one host, each worked out from those before it."""

    def __init__(self, cluster: Cluster, host: Host, guests: Sequence[Guest]) -> None:
        self.cluster, self.host, self.guests = cluster, host, guests
        self.profile = cluster.profiles[host.profile]
        self.all_nics = [i for i in host.interfaces.values() if not i.is_vlan]
        nics = {interface.name for interface in self.all_nics}
        self.all_vlans = [i for i in host.interfaces.values() if i.parent in nics]

    def view(self) -> HostView:
        guest_vlans, macvtaps, unattached = self._guest_side()
        servers, search = self._dns()
        return HostView(
            cluster=self.cluster.name,
            host=self.host.name,
            profile=self.profile,
            nics=tuple(self._nic(i, guest_vlans) for i in self.all_nics),
            vlans=tuple(self._vlan(i) for i in self.all_vlans),
            bridges=tuple(self._bridge(i, guest_vlans) for i in self._bridged()),
            guest_vlans=tuple(guest_vlans),
            macvtaps=tuple(macvtaps),
            routes=tuple(self._routes()),
            dns_servers=servers,
            dns_search=search,
            unattached=tuple(unattached),
        )

    def _bridged(self) -> list[Interface]:
        return [i for i in [*self.all_nics, *self.all_vlans] if self.host.bridged(i)]

    def _network(self, interface: Interface) -> Optional[Network]:
        return self.cluster.networks.get(interface.network or "")

    def _device(self, interface: Interface) -> str:
        """Kernel name of the device itself, without its bridge."""
        if interface.parent is not None:
            nic = self._device(self.host.interfaces[interface.parent])
            return self.profile.vlan_name(nic, interface.tag or 0)
        if self.host.bridged(interface):
            return self.profile.nic_name(interface.name)
        return interface.name

    def _top(self, interface: Interface) -> str:
        """Name of what carries the addresses: the bridge where there is one."""
        if self.host.bridged(interface):
            return self.profile.bridge_name(interface.name)
        return self._device(interface)

    def _addresses(self, interface: Interface) -> tuple[Address, ...]:
        network = self._network(interface)
        found = []
        for placed in interface.addresses:
            prefix = placed.prefix
            if prefix is None:
                subnet = network.subnet_of(placed.ip) if network else None
                prefix = subnet.prefixlen if subnet else placed.ip.max_prefixlen
            found.append(Address(str(placed.ip), prefix, placed.ip.version))
        return tuple(found)

    def _nic_mtu(self, interface: Interface, guest_vlans: Sequence[VlanView]) -> Optional[int]:
        """A NIC's MTU: its own when stated, else the largest of its network's and its VLANs'.

        A VLAN's MTU above its parent's is refused by the kernel (ERANGE).
        """
        if interface.mtu is not None:
            return interface.mtu
        own = self._network(interface)
        stated = [own.mtu if own else None]
        for vlan in self.all_vlans:
            network = self._network(vlan)
            if vlan.parent == interface.name:
                stated += [network.mtu if network else None, vlan.mtu]
        device = self._device(interface)
        stated += [v.mtu for v in guest_vlans if v.base == device]
        known = [mtu for mtu in stated if mtu is not None]
        if not known:
            return None
        return max([*known, (own.mtu if own else None) or ETHERNET_MTU])

    def _nic(self, interface: Interface, guest_vlans: Sequence[VlanView]) -> NicView:
        bridged = self.host.bridged(interface)
        carries = any(v.parent == interface.name for v in self.all_vlans)
        return NicView(
            interface=interface.name,
            name=self._device(interface),
            kernel_name=interface.kernel_name,
            mac=interface.mac,
            mtu=self._nic_mtu(interface, guest_vlans),
            promiscuous=bridged and self.profile.promiscuous,
            controller=self._top(interface) if bridged else None,
            addresses=() if bridged else self._addresses(interface),
            managed=bridged or carries or interface.network is not None or bool(interface.addresses),
            # A late NIC may take the name that one without a .link has, so every NIC that is known by MAC
            # gets one where the profile names NICs at all.
            named=self.profile.renames and interface.mac is not None,
            mark=interface.place.mark,
        )

    def _vlan(self, interface: Interface) -> VlanView:
        bridged, network = self.host.bridged(interface), self._network(interface)
        assert interface.parent is not None
        return VlanView(
            name=self._device(interface),
            base=self._device(self.host.interfaces[interface.parent]),
            tag=interface.tag or 0,
            mtu=interface.mtu or (network.mtu if network else None),
            controller=self._top(interface) if bridged else None,
            addresses=() if bridged else self._addresses(interface),
            mark=interface.place.mark,
        )

    def _bridge(self, interface: Interface, guest_vlans: Sequence[VlanView]) -> BridgeView:
        network = self._network(interface)
        mtu = network.mtu if network else None
        if mtu is None and not interface.is_vlan and self._nic_mtu(interface, guest_vlans) is not None:
            mtu = ETHERNET_MTU  # or the bridge would take its port's
        parent = self.host.interfaces[interface.parent] if interface.parent else interface
        return BridgeView(
            name=self._top(interface),
            port=self._device(interface),
            mac=interface.mac or parent.mac,
            mtu=mtu,
            stp=self.profile.stp,
            addresses=self._addresses(interface),
            mark=interface.place.mark,
        )

    def _routes(self) -> list[RouteView]:
        """The default routes: through every network that gives one and that the host has an address in."""
        routes = []
        for interface in self.host.interfaces.values():
            network = self._network(interface)
            if network is None or not network.default_route:
                continue
            own = {placed.ip for placed in interface.addresses}
            for gateway in network.gateways:
                if gateway.ip in own or all(ip.version != gateway.ip.version for ip in own):
                    continue
                destination = "0.0.0.0/0" if gateway.ip.version == 4 else "::/0"
                routes.append(
                    RouteView(
                        destination=destination,
                        via=str(gateway.ip),
                        device=self._top(interface),
                        metric=network.metric or self.profile.metric,
                        table=self.profile.table,
                        network=network.name,
                        mark=gateway.mark,
                    )
                )
        return routes

    def _dns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        networks = [self._network(i) for i in self.host.interfaces.values() if i.addresses]
        servers = dict.fromkeys(str(s.ip) for n in networks if n for s in n.dns_servers)
        search = dict.fromkeys(domain for n in networks if n for domain in n.dns_search)
        return tuple(servers), tuple(search)

    def _guest_side(self) -> tuple[list[VlanView], list[MacvtapView], list[tuple[Guest, GuestNic]]]:
        """The VLANs and macvtaps of the guests that run, or may run, on this host."""
        vlans: dict[str, VlanView] = {}
        macvtaps: list[MacvtapView] = []
        unattached: list[tuple[Guest, GuestNic]] = []
        own = {self._device(i) for i in self.all_vlans}
        for guest in self.guests:
            for nic in guest.nics:
                network = self.cluster.networks.get(nic.network)
                if network is None or self._has_bridge(network):
                    continue
                vlan = self._tagged(network)
                if vlan is None:
                    unattached.append((guest, nic))
                    continue
                if vlan.name not in own:
                    vlans.setdefault(vlan.name, vlan)
                name = self.profile.macvtap_name(nic.mac)
                mode = self.profile.macvtap_mode
                macvtaps.append(MacvtapView(name, vlan.name, nic.mac, mode, guest.name, nic.place.mark))
        return list(vlans.values()), macvtaps, unattached

    def _has_bridge(self, network: Network) -> bool:
        return any(i.network == network.name and self.host.bridged(i) for i in self.host.interfaces.values())

    def _tagged(self, network: Network) -> Optional[VlanView]:
        """The VLAN device that carries a network with a tag to this host's guests."""
        if network.vlan is None:
            return None
        for vlan in self.all_vlans:
            if vlan.network == network.name:
                return self._vlan(vlan)
        for nic in self.all_nics:
            if network.over is not None and nic.network == network.over:
                base = self._device(nic)
                name = self.profile.vlan_name(base, network.vlan)
                return VlanView(name, base, network.vlan, network.mtu, None, (), network.place.mark)
        return None
