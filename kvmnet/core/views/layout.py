"""Builds the view of each host from the cluster: names, bridges, MTUs, addresses, and the devices of guests."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Optional

from kvmnet.core.base.probe import Probe
from kvmnet.core.definition.model import Cluster, Guest, Host, Interface, Network
from kvmnet.core.views.bridge_vlans import BridgeVlans
from kvmnet.core.views.guest_devices import GuestDevices
from kvmnet.core.views.host_view import (
    NO_IP,
    Address,
    BondView,
    BridgeView,
    DummyView,
    HostView,
    InfinibandView,
    IpView,
    NicView,
    VlanView,
)
from kvmnet.core.views.mtu import MAX_DATAGRAM_MTU, Mtus
from kvmnet.core.views.pass_through import other_view, pass_through
from kvmnet.core.views.routing import build_routing
from kvmnet.core.views.rules import build_rules
from kvmnet.core.views.stack import Stack


def build_host_views(cluster: Cluster, hosts: Optional[Iterable[str]] = None) -> dict[str, HostView]:
    """Return the views of the named hosts, or of all hosts, in the order of the definition.

    A host whose naming policy is unknown has no view.
    """
    return {view.host: view for view in build_each_host_view(cluster, hosts)}


def build_each_host_view(cluster: Cluster, hosts: Optional[Iterable[str]] = None) -> Iterator[HostView]:
    """Yield the views of `build_host_views`."""
    guests = cluster.guests_by_host()
    chosen = set(cluster.hosts if hosts is None else hosts)
    for host in cluster.hosts.values():
        if host.name in chosen and host.policy_name in cluster.policies:
            yield build_host_view(cluster, host, guests[host.name])


def build_host_view(cluster: Cluster, host: Host, guests: Sequence[Guest]) -> HostView:
    """Return the view of one host with these guests. Raises KeyError if its naming policy is unknown."""
    return _Layout(cluster, host, guests).build()


class _Layout:
    """Builds the parts of one host's view, each from those before it."""

    def __init__(self, cluster: Cluster, host: Host, guests: Sequence[Guest]) -> None:
        self.cluster, self.host, self.guests = cluster, host, guests
        self.policy = cluster.policies[host.policy_name]
        self.stack = Stack(host, self.policy)
        self.bridge_vlans = BridgeVlans(self.stack, cluster.networks)
        self.mtus: Mtus

    def build(self) -> HostView:
        """Return the view."""
        devices = GuestDevices(self.cluster, self.policy, self.stack, self.bridge_vlans, self._is_port)
        devices.add(self.guests)
        guest_vlans = list(devices.vlans.values())
        self.mtus = Mtus(self.stack, self._network_mtu, guest_vlans)
        guest_vlans = [dataclasses.replace(v, mtu=self.mtus.of_guest_vlan(v)) for v in guest_vlans]
        carriers = self._carriers
        routing = build_routing(self.cluster, self.host, self.policy, carriers)
        servers, search = self._dns()
        nics = tuple(self._nic(i) for i in self.stack.nics)
        return HostView(
            cluster=self.cluster.name,
            host=self.host.name,
            policy=self.policy,
            hostname=self.host.hostname,
            nics=nics,
            bonds=tuple(self._bond(i) for i in self.stack.bonds),
            dummies=tuple(self._dummy(i) for i in self.stack.dummies),
            others=tuple(other_view(i, self.stack, self.mtus, self._device_ip(i)) for i in self.stack.others),
            vlans=tuple(self._vlan(i) for i in self.stack.vlans),
            bridges=tuple(self._bridge(i) for i in [*self.stack.bridged, *self.stack.bridges]),
            guest_vlans=tuple(guest_vlans),
            macvtaps=tuple(devices.macvtaps),
            guest_ports=tuple(devices.ports),
            routes=tuple(routing.routes),
            rules=tuple(build_rules(self.host, self.stack, carriers)),
            dns_servers=servers,
            dns_search=search,
            probes=self._probes(),
            zones=tuple(self._zones({nic.interface for nic in nics if not nic.managed})),
            descriptions=tuple(self._descriptions()),
            pass_through=tuple(pass_through(self.stack)),
            unattached=tuple(devices.unattached),
            unrouted=tuple(routing.unrouted),
            ambiguous=tuple(routing.ambiguous),
        )

    def _probes(self) -> tuple[Probe, ...]:
        """Return the host's probes, without those of its own addresses."""
        own_addresses = {str(placed.ip) for i in self.host.interfaces.values() for placed in i.addresses}
        return tuple(p.probe for p in self.host.probes if p.probe.address not in own_addresses)

    def _zones(self, unmanaged: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield the zone of each device that can have addresses, if the definition states one: on the interface, or on
        its network. `unmanaged` are the NICs that are not configured, which can have none."""
        for interface, device in self._carriers:
            if interface.name in unmanaged:
                continue
            network = self._network_of(interface)
            zone = interface.zone or (network.zone if network else None)
            if zone is not None and interface.up and not interface.is_loopback:
                yield device, zone

    def _descriptions(self) -> Iterator[tuple[str, str]]:
        """Yield the descriptions: of each interface and of its bridge."""
        for interface in self.stack.active:
            if interface.description is not None:
                for device in dict.fromkeys((self.stack.top(interface), self.stack.device(interface))):
                    yield device, interface.description

    def _network_of(self, interface: Interface) -> Optional[Network]:
        return self.cluster.networks.get(interface.network or "")

    @cached_property
    def _carriers(self) -> list[tuple[Interface, str]]:
        """Return the interfaces that can have addresses, each with the name of the device that has them."""
        names = {i.name for i in self.stack.active if not self._is_port(i)}
        return [(i, self.stack.top(i)) for i in self.host.interfaces.values() if i.name in names]

    def _is_port(self, interface: Interface) -> bool:
        """Whether an interface is a port of a bond or bridge of the definition."""
        return interface.name in self.stack.bond_of or interface.name in self.stack.bridge_of

    def _ip(self, interface: Interface) -> IpView:
        network = self._network_of(interface)
        addresses = []
        for placed in interface.addresses:
            if not interface.uses_static(placed.ip.version):
                continue  # the checks report it
            prefix = placed.prefix
            if prefix is None:
                subnet = network.subnet_of(placed.ip) if network else None
                prefix = subnet.prefixlen if subnet else placed.ip.max_prefixlen
            addresses.append(Address(str(placed.ip), prefix, placed.ip.version))
        return IpView(
            ipv4=interface.ipv4,
            ipv6=interface.ipv6,
            addresses=tuple(addresses),
            auto_dns=network is None or not network.dns_servers,
            auto_gateway=self.host.gives_default_route(interface, network),
            metric=self.host.metric_of(interface, network) or self.policy.metric,
        )

    def _device_ip(self, interface: Interface) -> IpView:
        """Return the addresses of the device itself: none if it is a port."""
        is_port = self._is_port(interface) or self.stack.is_bridged(interface)
        return NO_IP if is_port else self._ip(interface)

    def _network_mtu(self, interface: Interface) -> Optional[int]:
        network = self._network_of(interface)
        return network.mtu if network else None

    def _nic(self, interface: Interface) -> NicView:
        stack, bond = self.stack, self.stack.bond_of.get(interface.name)
        device, controller = stack.device(interface), stack.controller(interface)
        has_vlan = any(stack.base_name(vlan) == device for vlan in stack.vlans)
        has_partition = any(i.pkey is not None and i.parent == interface.name for i in stack.nics)
        has_user = has_vlan or has_partition or controller is not None or bond is not None
        is_used = has_user or interface.network is not None or interface.pkey is not None
        has_ip = interface.ipv4 != "none" or interface.ipv6 != "none"
        return NicView(
            interface=interface.name,
            name=device,
            kernel_name=interface.kernel_name,
            mac=None if interface.is_infiniband else interface.mac,  # a part of it changes at each boot
            mtu=self.mtus.of_nic_or_bond(interface) if interface.up else None,
            promiscuous=controller is not None and self.policy.promiscuous,
            controller=controller,
            bond=bond.name if bond else None,
            ip=self._device_ip(interface) if interface.up else NO_IP,
            managed=interface.managed and (is_used or has_ip or not interface.up or bool(interface.nmstate)),
            up=interface.up,
            is_renamed=stack.is_renamed(interface),
            has_link_file=stack.has_link_file(interface),
            infiniband=self._infiniband(interface),
            mark=interface.place.mark,
        )

    def _infiniband(self, interface: Interface) -> Optional[InfinibandView]:
        """Return the settings of an IPoIB interface. Only the connected mode allows a large MTU."""
        if not interface.is_infiniband:
            return None
        needs_connected = (self.mtus.of_nic_or_bond(interface) or 0) > MAX_DATAGRAM_MTU
        mode = interface.transport_mode or ("connected" if needs_connected else "datagram")
        base = self.host.interfaces.get(interface.parent or "")
        return InfinibandView(mode, self.stack.device(base) if base is not None else None, interface.pkey)

    def _bond(self, interface: Interface) -> BondView:
        options = dict(interface.options)
        if "miimon" not in options and "arp_interval" not in options:
            options["miimon"] = 100  # milliseconds; by default the kernel does not monitor the links
        if self.host.is_over_infiniband(interface):
            options.setdefault("fail_over_mac", "active")  # IPoIB ports keep their MAC addresses
        primary = self.host.interfaces.get(str(options.get("primary")))
        if primary is not None and primary.is_nic:
            options["primary"] = self.stack.device(primary)
        return BondView(
            interface=interface.name,
            name=interface.name,
            ports=tuple(self.stack.device(self.host.interfaces[port]) for port in interface.ports),
            mode=interface.mode,
            options=tuple(sorted(options.items())),
            mac=self._mac(interface),
            mtu=self.mtus.of_nic_or_bond(interface),
            controller=self.stack.controller(interface),
            ip=self._device_ip(interface),
            mark=interface.place.mark,
        )

    def _dummy(self, interface: Interface) -> DummyView:
        return DummyView(
            name=self.stack.device(interface),
            is_loopback=interface.is_loopback,
            mtu=interface.mtu if interface.is_loopback else self.mtus.of_nic_or_bond(interface),
            controller=self.stack.controller(interface),
            ip=self._device_ip(interface),
            mark=interface.place.mark,
        )

    def _mac(self, interface: Interface) -> Optional[str]:
        """Return the MAC address of a NIC, bond, VLAN or bridge, or None if the definition does not give it.

        A bond has that of its first port, a bridge that of its first port that has one, a VLAN that of its base
        interface. None for a bond with fail_over_mac: active: then the kernel changes it, and nmstate rejects a bond
        with a MAC address.
        """
        if interface.is_vlan:
            base = self.stack.base(interface)
            return self._bridge_mac(base.interface) if base.is_its_bridge else self._mac(base.interface)
        if interface.is_bridge:
            return self._bridge_mac(interface)
        if interface.is_bond:
            if interface.mode == "active-backup" and dict(interface.options).get("fail_over_mac") == "active":
                return None
            if self.host.is_over_infiniband(interface):
                return None
            return self.host.interfaces[interface.ports[0]].mac
        return interface.mac

    def _bridge_mac(self, interface: Interface) -> Optional[str]:
        """Return the MAC address of an interface that is a bridge, or of the bridge of a NIC, bond or VLAN."""
        ports = self.stack.ports(interface)
        return _stated_mac(interface) or next((mac for port in ports if (mac := self._mac(port))), None)

    def _vlan(self, interface: Interface) -> VlanView:
        return VlanView(
            name=self.stack.device(interface),
            base=self.stack.base_name(interface),
            tag=interface.tag or 0,
            mtu=self.mtus.of_vlan(interface),
            controller=self.stack.controller(interface),
            ip=self._device_ip(interface),
            always=True,
            mark=interface.place.mark,
        )

    def _bridge(self, interface: Interface) -> BridgeView:
        settings = interface.bridge_settings
        return BridgeView(
            interface=interface.name,
            name=self.stack.top(interface),
            ports=tuple(self.stack.device(port) for port in self.stack.ports(interface)),
            mac=self._bridge_mac(interface),
            is_mac_stated=_stated_mac(interface) is not None,
            mtu=self.mtus.of_bridge(interface),
            stp=self.policy.stp if settings.stp is None else settings.stp,
            is_stp_stated=settings.stp is not None,
            priority=settings.priority,
            ageing=settings.ageing,
            group_forward_mask=settings.group_forward_mask,
            multicast_snooping=settings.multicast_snooping,
            vlan_filtering=self.bridge_vlans.filtering(interface),
            port_vlans=self.bridge_vlans.ports(interface),
            has_untagged=self.bridge_vlans.has_untagged(interface),
            ip=self._ip(interface),
            mark=interface.place.mark,
        )

    def _dns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the name servers and search domains of the networks in which the host has an address."""
        addressed = [i for i, _ in self._carriers if {i.ipv4, i.ipv6} - {"none", "link-local"}]
        networks = [self._network_of(i) for i in addressed]
        servers = dict.fromkeys(str(s.ip) for n in networks if n for s in n.dns_servers)
        search = dict.fromkeys(domain for n in networks if n for domain in n.dns_search)
        return tuple(servers), tuple(search)


def _stated_mac(interface: Interface) -> Optional[str]:
    """Return the MAC address that the definition states for a bridge, or for the bridge of another interface."""
    return interface.mac if interface.is_bridge else interface.bridge_settings.mac
