"""The cluster to the view of each host: who gets which name, bridge, MTU, address, and what guests bring."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Optional

from kvmnet.core.base.probe import Probe
from kvmnet.core.definition.model import Cluster, Guest, GuestNic, Host, Interface, Network
from kvmnet.core.views import routing
from kvmnet.core.views.host_view import (
    NO_IP,
    Address,
    BondView,
    BridgeView,
    GuestPortView,
    HostView,
    IpView,
    MacvtapView,
    NicView,
    VlanView,
)

#: What a link has when nobody says anything (IEEE 802.3); it counts as soon as another MTU is near it.
ETHERNET_MTU = 1500


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
    return _Layout(cluster, host, guests).view()


class _Layout:
    """The parts of one host, each worked out from those before it."""

    def __init__(self, cluster: Cluster, host: Host, guests: Sequence[Guest]) -> None:
        self.cluster, self.host, self.guests = cluster, host, guests
        self.profile = cluster.profiles[host.profile]
        ours = [i for i in host.interfaces.values() if not i.left_alone]
        self.nics = [i for i in ours if i.is_nic]
        nics = {i.name for i in self.nics if i.managed and i.up}
        # A loop of bonds and VLANs, or a port that is none of the host's NICs: the checks say so.
        active = [i for i in ours if i.managed and i.up]
        self.bonds = [i for i in active if i.is_bond and not i.is_vlan and nics.issuperset(i.ports)]
        bases = nics | {i.name for i in self.bonds}
        self.vlans = [i for i in active if i.parent in bases and i.tag is not None]
        self.bond_of = {port: bond for bond in reversed(self.bonds) for port in bond.ports}
        self.tops = [i for i in [*self.nics, *self.bonds, *self.vlans] if i.managed and i.up]
        self.bridged = [i for i in self.tops if host.bridged(i)]
        self.is_bridged = {i.name for i in self.bridged}
        self.devices: dict[str, str] = {}
        self.base_mtus: dict[str, Optional[int]] = {}

    def view(self) -> HostView:
        guest_vlans, macvtaps, ports, unattached = self._guest_side()
        self.base_mtus = {self._device(i): self._base_mtu(i, guest_vlans) for i in [*self.nics, *self.bonds]}
        guest_vlans = [dataclasses.replace(v, mtu=self._vlan_mtu(v.mtu, v.base)) for v in guest_vlans]
        routes, unrouted = routing.routes_of(self.cluster, self.host, self.profile, self._carriers())
        servers, search = self._dns()
        return HostView(
            cluster=self.cluster.name,
            host=self.host.name,
            profile=self.profile,
            hostname=self.host.hostname,
            nics=tuple(self._nic(i) for i in self.nics),
            bonds=tuple(self._bond(i) for i in self.bonds),
            vlans=tuple(self._vlan(i) for i in self.vlans),
            bridges=tuple(self._bridge(i) for i in self.bridged),
            guest_vlans=tuple(guest_vlans),
            macvtaps=tuple(macvtaps),
            guest_ports=tuple(ports),
            routes=routes,
            dns_servers=servers,
            dns_search=search,
            probes=self._probes(),
            unattached=tuple(unattached),
            unrouted=unrouted,
        )

    def _probes(self) -> tuple[Probe, ...]:
        """The host that is asked need not ask itself."""
        own = {str(placed.ip) for i in self.host.interfaces.values() for placed in i.addresses}
        return tuple(p.probe for p in self.host.probes if p.probe.address not in own)

    def _network(self, interface: Interface) -> Optional[Network]:
        return self.cluster.networks.get(interface.network or "")

    def _device(self, interface: Interface) -> str:
        """Kernel name of the device itself, without its bridge. Worked out once."""
        name = self.devices.get(interface.name)
        if name is None:
            name = self.devices[interface.name] = self._device_name(interface)
        return name

    def _device_name(self, interface: Interface) -> str:
        if interface.parent is not None:
            base = self._device(self.host.interfaces[interface.parent])
            return self.profile.vlan_name(base, interface.tag or 0)
        if interface.is_nic and interface.name in self.is_bridged and self.profile.renames:
            return self.profile.nic_name(interface.name)
        if interface.is_nic and interface.kernel_name is not None and not self._named(interface):
            return interface.kernel_name
        return interface.name

    def _named(self, nic: Interface) -> bool:
        """Whether a .link file gives the NIC its name. A late NIC may take the name that one without a .link
        has, so every NIC that is known by MAC gets one where the profile names NICs at all."""
        return self.profile.renames and nic.mac is not None

    def _top(self, interface: Interface) -> str:
        """Name of what carries the addresses: the bridge where there is one."""
        device = self._device(interface)
        if interface.name in self.is_bridged:
            return self.profile.bridge_name(interface.name, device)
        return device

    def _controller(self, interface: Interface) -> Optional[str]:
        return self._top(interface) if interface.name in self.is_bridged else None

    def _carriers(self) -> list[tuple[Interface, str]]:
        """What carries addresses, in the order of the definition: the interface and the device's name."""
        tops = {i.name for i in self.tops if i.name not in self.bond_of}
        return [(i, self._top(i)) for i in self.host.interfaces.values() if i.name in tops]

    def _ip(self, interface: Interface) -> IpView:
        network = self._network(interface)
        found = []
        for placed in interface.addresses:
            if interface.source(placed.ip.version) != "static":
                continue  # the checks say so
            prefix = placed.prefix
            if prefix is None:
                subnet = network.subnet_of(placed.ip) if network else None
                prefix = subnet.prefixlen if subnet else placed.ip.max_prefixlen
            found.append(Address(str(placed.ip), prefix, placed.ip.version))
        return IpView(
            ipv4=interface.ipv4,
            ipv6=interface.ipv6,
            addresses=tuple(found),
            auto_dns=network is None or not network.dns_servers,
            auto_gateway=network is None or network.default_route,
            metric=(network.metric if network else None) or self.profile.metric,
        )

    def _own_ip(self, interface: Interface) -> IpView:
        """Of the device itself: none where a bridge has it."""
        return NO_IP if interface.name in self.is_bridged else self._ip(interface)

    def _base_mtu(self, interface: Interface, guest_vlans: Sequence[VlanView]) -> Optional[int]:
        """MTU of a NIC or bond: its own when stated, else its bond's, else the largest of its network's and
        its VLANs'.

        A VLAN's MTU above its parent's is refused by the kernel (ERANGE).
        """
        if interface.mtu is not None:
            return interface.mtu
        if interface.name in self.bond_of:
            return self._base_mtu(self.bond_of[interface.name], guest_vlans)
        own = self._network(interface)
        stated = [own.mtu if own else None]
        for vlan in self.vlans:
            network = self._network(vlan)
            if vlan.parent == interface.name:
                stated += [network.mtu if network else None, vlan.mtu]
        device = self._device(interface)
        stated += [v.mtu for v in guest_vlans if v.base == device]
        known = [mtu for mtu in stated if mtu is not None]
        if not known:
            return None
        return max([*known, (own.mtu if own else None) or ETHERNET_MTU])

    def _mtu(self, interface: Interface, stated: Optional[int]) -> Optional[int]:
        """Of a VLAN or of a bridge over a NIC, bond or VLAN."""
        base = self.host.interfaces[interface.parent] if interface.parent is not None else interface
        return self._vlan_mtu(stated, self._device(base))

    def _vlan_mtu(self, stated: Optional[int], base: str) -> Optional[int]:
        """Or a VLAN would take its base's, and so would a bridge its port's."""
        below = self.base_mtus.get(base)
        return stated if stated is not None or below is None else min(below, ETHERNET_MTU)

    def _nic(self, interface: Interface) -> NicView:
        bond, bridged = self.bond_of.get(interface.name), interface.name in self.is_bridged
        carries = any(v.parent == interface.name for v in self.vlans)
        used = bridged or carries or bond is not None or interface.network is not None
        speaks = interface.ipv4 != "none" or interface.ipv6 != "none"
        return NicView(
            interface=interface.name,
            name=self._device(interface),
            kernel_name=interface.kernel_name,
            mac=interface.mac,
            mtu=self.base_mtus[self._device(interface)] if interface.up else None,
            promiscuous=bridged and self.profile.promiscuous,
            controller=self._controller(interface),
            bond=bond.name if bond else None,
            ip=self._own_ip(interface) if bond is None and interface.up else NO_IP,
            managed=interface.managed and (used or speaks or not interface.up),
            up=interface.up,
            named=self._named(interface),
            mark=interface.place.mark,
        )

    def _bond(self, interface: Interface) -> BondView:
        options = dict(interface.options)
        if "miimon" not in options and "arp_interval" not in options:
            options["miimon"] = 100  # the kernel's default is never to look at the links
        primary = self.host.interfaces.get(str(options.get("primary")))
        if primary is not None and primary.is_nic:
            options["primary"] = self._device(primary)
        return BondView(
            interface=interface.name,
            name=interface.name,
            ports=tuple(self._device(self.host.interfaces[port]) for port in interface.ports),
            mode=interface.mode,
            options=tuple(sorted(options.items())),
            mac=self._bond_mac(interface),
            mtu=self.base_mtus[self._device(interface)],
            controller=self._controller(interface),
            ip=self._own_ip(interface),
            mark=interface.place.mark,
        )

    def _bond_mac(self, bond: Interface) -> Optional[str]:
        """The first port's. With fail_over_mac: active it wanders, and nmstate refuses a stated one."""
        if bond.mode == "active-backup" and dict(bond.options).get("fail_over_mac") == "active":
            return None
        return self.host.interfaces[bond.ports[0]].mac

    def _vlan(self, interface: Interface) -> VlanView:
        network = self._network(interface)
        assert interface.parent is not None
        return VlanView(
            name=self._device(interface),
            base=self._device(self.host.interfaces[interface.parent]),
            tag=interface.tag or 0,
            mtu=self._mtu(interface, interface.mtu or (network.mtu if network else None)),
            controller=self._controller(interface),
            ip=self._own_ip(interface),
            always=True,
            mark=interface.place.mark,
        )

    def _bridge(self, interface: Interface) -> BridgeView:
        network = self._network(interface)
        base = self.host.interfaces[interface.parent] if interface.parent else interface
        return BridgeView(
            name=self._top(interface),
            port=self._device(interface),
            mac=self._bond_mac(base) if base.is_bond else base.mac,
            mtu=self._mtu(
                interface, (interface.mtu if interface.is_vlan else None) or (network.mtu if network else None)
            ),
            stp=self.profile.stp,
            ip=self._ip(interface),
            mark=interface.place.mark,
        )

    def _dns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of the networks in which the host has an address, of the family none or another."""
        speaking = [i for i, _ in self._carriers() if {i.ipv4, i.ipv6} - {"none", "link-local"}]
        networks = [self._network(i) for i in speaking]
        servers = dict.fromkeys(str(s.ip) for n in networks if n for s in n.dns_servers)
        search = dict.fromkeys(domain for n in networks if n for domain in n.dns_search)
        return tuple(servers), tuple(search)

    def _guest_side(
        self,
    ) -> tuple[list[VlanView], list[MacvtapView], list[GuestPortView], list[tuple[Guest, GuestNic]]]:
        """The VLANs and macvtaps of the guests that run, or may run, on this host, and what their NICs are
        plugged into."""
        vlans: dict[str, VlanView] = {}
        macvtaps: list[MacvtapView] = []
        ports: list[GuestPortView] = []
        unattached: list[tuple[Guest, GuestNic]] = []
        own = {self._device(i) for i in self.vlans}
        for guest in self.guests:
            for nic in guest.nics:
                network = self.cluster.networks.get(nic.network)
                if network is None:
                    continue
                bridged = next((i for i in self.bridged if i.network == network.name), None)
                if bridged is not None:
                    ports.append(GuestPortView(guest.name, nic.mac, network.name, self._top(bridged), network.vlan))
                    continue
                always = (nic.attach or network.attach or self.profile.attach) == "always"
                vlan = self._tagged(network, always)
                if vlan is None:
                    unattached.append((guest, nic))
                    continue
                if vlan.name not in own and (always or vlan.name not in vlans):
                    vlans[vlan.name] = vlan
                name, mode = self.profile.macvtap_name(nic.mac), self.profile.macvtap_mode
                macvtaps.append(MacvtapView(name, vlan.name, nic.mac, mode, guest.name, always, nic.place.mark))
                ports.append(GuestPortView(guest.name, nic.mac, network.name, vlan.name, vlan.tag, name, mode, always))
        return list(vlans.values()), macvtaps, ports, unattached

    def _tagged(self, network: Network, always: bool) -> Optional[VlanView]:
        """The VLAN device that carries a network with a tag to this host's guests."""
        if network.vlan is None:
            return None
        for vlan in self.vlans:
            if vlan.network == network.name:
                return self._vlan(vlan)
        for base in self.tops:
            if network.over is not None and base.network == network.over and not base.is_vlan:
                device = self._device(base)
                name = self.profile.vlan_name(device, network.vlan)
                return VlanView(name, device, network.vlan, network.mtu, None, NO_IP, always, network.place.mark)
        return None
