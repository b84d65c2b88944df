"""The MTUs of a host's interfaces, in bytes; None: the default of the kernel.

The kernel rejects a VLAN with a larger MTU than its base interface (ERANGE), and a bridge drops frames that a port
cannot send. So an interface without `mtu` gets the largest MTU of what it carries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable, Optional

from kvmnet.core.definition.model import Interface
from kvmnet.core.views.host_view import VlanView
from kvmnet.core.views.stack import Stack

#: Default MTU in bytes (IEEE 802.3). It is rendered only where a related interface has another MTU.
ETHERNET_MTU = 1500
#: Largest MTU in bytes of an IPoIB interface in datagram mode that every NetworkManager accepts.
MAX_DATAGRAM_MTU = 2044


class Mtus:
    """The MTUs of a host. `network_mtu` returns that of an interface's network; `guest_vlans` are those of guests."""

    def __init__(
        self, stack: Stack, network_mtu: Callable[[Interface], Optional[int]], guest_vlans: Sequence[VlanView]
    ) -> None:
        self.stack, self.network_mtu = stack, network_mtu
        self._vlans: dict[tuple[str, bool], list[Interface]] = {}
        for vlan in stack.vlans:
            base = stack.base(vlan)
            self._vlans.setdefault((base.interface.name, base.is_its_bridge), []).append(vlan)
        self._guest_mtus: dict[str, list[Optional[int]]] = {}
        for guest_vlan in guest_vlans:
            self._guest_mtus.setdefault(guest_vlan.base, []).append(guest_vlan.mtu)
        lowest = [*stack.nics, *stack.bonds, *stack.dummies, *stack.others]
        self._nics_and_bonds = {i.name: self._of_nic_or_bond(i) for i in lowest}

    def of_nic_or_bond(self, interface: Interface) -> Optional[int]:
        """Return the MTU of a NIC, bond, dummy or interface of nmstate alone: the one set on it, else that of its bond,
        else the largest that it needs."""
        return self._nics_and_bonds[interface.name]

    def _of_nic_or_bond(self, interface: Interface) -> Optional[int]:
        if interface.mtu is not None:
            return interface.mtu
        if interface.name in self.stack.bond_of:
            return self._of_nic_or_bond(self.stack.bond_of[interface.name])
        own = self.network_mtu(interface) or self._of_explicit_bridge(interface)
        return _largest([own, *self._above(interface), *self._carried(interface)], own)

    def of_vlan(self, vlan: Interface) -> Optional[int]:
        """Return the MTU of a VLAN: the one set on it, else the largest that it needs, else the default."""
        needed = [mtu for mtu in (self.network_mtu(vlan), *self._carried(vlan)) if mtu is not None]
        return vlan.mtu or max(needed, default=None) or self._default_on_base(vlan)

    def of_bridge(self, interface: Interface) -> Optional[int]:
        """Return the MTU of an interface that is a bridge, or of the bridge of a NIC, bond or VLAN.

        The `mtu` of a NIC or bond is not that of its bridge: it may be larger, for VLANs.
        """
        if interface.mtu is not None and (interface.is_vlan or interface.is_bridge):
            return interface.mtu
        own, above = self.network_mtu(interface), self._above(interface, its_bridge=not interface.is_bridge)
        defined = _largest([own, *above], own)
        if defined is not None:
            return defined
        if interface.is_bridge:
            return self._smallest_of_ports(interface)
        return self._default_on_base(interface) if interface.is_vlan else _default_on(self.of_nic_or_bond(interface))

    def of_guest_vlan(self, vlan: VlanView) -> Optional[int]:
        """Return the MTU of a VLAN of guests: the one set on its network, else the default."""
        if vlan.mtu is not None:
            return vlan.mtu
        interfaces = [*self.stack.nics, *self.stack.bonds, *self.stack.dummies, *self.stack.bridges]
        base = next(interface for interface in interfaces if self.stack.device(interface) == vlan.base)
        return _default_on(self.of_bridge(base) if base.is_bridge else self.of_nic_or_bond(base))

    def _default_on_base(self, vlan: Interface) -> Optional[int]:
        """Return the MTU of a VLAN, or of its bridge, that has none of its own."""
        base = self.stack.base(vlan)
        is_bridge = base.is_its_bridge or base.interface.is_bridge
        return _default_on(self.of_bridge(base.interface) if is_bridge else self.of_nic_or_bond(base.interface))

    def _smallest_of_ports(self, bridge: Interface) -> Optional[int]:
        mtus = [self.of_vlan(p) if p.is_vlan else self.of_nic_or_bond(p) for p in self.stack.ports(bridge)]
        defined = [mtu for mtu in mtus if mtu is not None]
        return min([*defined, ETHERNET_MTU]) if defined else None

    def _above(self, interface: Interface, its_bridge: bool = False) -> Iterator[Optional[int]]:
        """Yield the MTUs that the VLANs on an interface, or on its bridge, need, and what they carry."""
        for vlan in self._vlans.get((interface.name, its_bridge), ()):
            yield from (self.network_mtu(vlan), vlan.mtu)
            yield from self._carried(vlan)
        if not its_bridge:
            yield from self._guest_mtus.get(self.stack.device(interface), ())

    def _carried(self, interface: Interface) -> Iterator[Optional[int]]:
        """Yield the MTUs that the bridge of an interface and the VLANs on the bridge need."""
        bridge = self.stack.bridge_of.get(interface.name)
        if bridge is not None:
            yield self._of_explicit_bridge(interface)
            yield from self._above(bridge)
        elif (interface.name, True) in self._vlans:
            yield from self._above(interface, its_bridge=True)

    def _of_explicit_bridge(self, port: Interface) -> Optional[int]:
        """Return the MTU that is set for the bridge (`type: bridge`) of a port, on it or on its network."""
        bridge = self.stack.bridge_of.get(port.name)
        return (bridge.mtu or self.network_mtu(bridge)) if bridge is not None else None


def _largest(mtus: list[Optional[int]], own: Optional[int]) -> Optional[int]:
    """Return the largest of the MTUs that are set, at least the interface's own or the default; None if none is set."""
    defined = [mtu for mtu in mtus if mtu is not None]
    return max([*defined, own or ETHERNET_MTU]) if defined else None


def _default_on(base_mtu: Optional[int]) -> Optional[int]:
    """Return the default MTU of a device on one with this MTU.

    Without one, a VLAN would inherit the larger MTU of its base interface, and a bridge that of its port.
    """
    return None if base_mtu is None else min(base_mtu, ETHERNET_MTU)
