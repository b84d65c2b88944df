"""Which interface of a host is on which: ports, base interfaces, bridges, and the kernel names that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

from kvmnet.core.definition.model import Host, Interface
from kvmnet.core.definition.naming_policy import NamingPolicy
from kvmnet.core.definition.pass_through import OTHER


class Base(NamedTuple):
    """The base interface of a VLAN: an interface, or the bridge of a NIC, bond or VLAN (`is_its_bridge`)."""

    interface: Interface
    is_its_bridge: bool


def possible_bridge_names(interface: Interface, policy: NamingPolicy) -> set[str]:
    """Return the names that the bridge of a NIC, bond or VLAN may get: the one in the definition, else the policy's."""
    if interface.bridge_settings.name is not None:
        return {interface.bridge_settings.name}
    name = policy.bridge_name(interface.name, "")
    return {name, policy.bridge_name(interface.name, name)}


class Stack:
    """The interfaces of a host that get a device, without the wrong parts of the definition, which the checks report.

    Those are loops of bridges and VLANs, VLANs without a base interface, and ports that cannot be ports.
    """

    def __init__(self, host: Host, policy: NamingPolicy) -> None:
        self.host, self.policy = host, policy
        interfaces = [i for i in host.interfaces.values() if not i.left_alone]
        active = [i for i in interfaces if i.managed and i.up]
        self.nics = [i for i in interfaces if i.is_nic]
        active_nics = {i.name for i in active if i.is_nic}
        self.bonds = [i for i in active if i.is_bond and i.ports and active_nics.issuperset(i.ports)]
        self._bridged = {i.name for i in active if host.bridged(i)}
        self.bond_of = {port: bond for bond in reversed(self.bonds) for port in bond.ports}
        self.bridge_of: dict[str, Interface] = {}
        """The bridge (`type: bridge`) that has an interface as a port, by the interface's key."""
        self._devices: dict[str, str] = {}
        self._bridge_names: dict[str, str] = {}
        self._bases: dict[str, Base] = {}
        self._ports: dict[str, tuple[Interface, ...]] = {}
        self._placed: dict[str, Interface] = {}
        self._by_bridge_name: dict[str, Interface] = {}
        self._place(active)
        self.vlans = [i for i in active if i.is_vlan and i.name in self._placed]
        self.bridges = [i for i in active if i.is_bridge and i.name in self._placed]
        self.dummies = [i for i in active if i.is_dummy]
        self.others = [i for i in active if i.kind == OTHER]
        candidates = [*self.nics, *self.bonds, *self.dummies, *self.others, *self.vlans, *self.bridges]
        self.active = [i for i in candidates if i.name in self._placed]
        self.bridged = [i for i in self.active if self.is_bridged(i)]

    def _place(self, active: list[Interface]) -> None:
        """Place the interfaces from below: each when what it is on has been placed."""
        for bridge in reversed([i for i in active if i.is_bridge]):
            self._ports[bridge.name] = tuple(self._valid_ports(bridge, active))
            self.bridge_of.update({port.name: bridge for port in self._ports[bridge.name]})
        for name, ports in self._ports.items():
            self._ports[name] = tuple(port for port in ports if self.bridge_of[port.name].name == name)
        pending = [i for i in active if not i.is_bond or i in self.bonds]
        while ready := [i for i in pending if self._can_be_placed(i)]:
            for interface in ready:
                self._placed[interface.name] = interface
                if self.is_bridged(interface):
                    self._by_bridge_name.setdefault(self.bridge_name(interface), interface)
            pending = [i for i in pending if i.name not in self._placed]
        self.bridge_of = {port: bridge for port, bridge in self.bridge_of.items() if bridge.name in self._placed}

    def _valid_ports(self, bridge: Interface, active: list[Interface]) -> Iterator[Interface]:
        usable = [i for i in active if not i.is_bridge and not i.is_loopback]
        by_name = {i.name: i for i in usable if not i.is_bond or i in self.bonds}
        for name in dict.fromkeys(bridge.ports):
            if name in by_name and name not in self.bond_of and not self.host.is_over_infiniband(by_name[name]):
                yield by_name[name]

    def _can_be_placed(self, interface: Interface) -> bool:
        if interface.is_vlan:
            base = self._find_base(interface)
            if base is not None and interface.tag is not None:
                self._bases[interface.name] = base
            return interface.name in self._bases
        return all(port.name in self._placed for port in self._ports.get(interface.name, ()))

    def _find_base(self, vlan: Interface) -> Optional[Base]:
        """Return a VLAN's base interface: the NIC, bond or bridge with this key, else the bridge with this name. None
        if it is not placed (yet)."""
        parent = vlan.parent or ""
        if parent in self.host.interfaces:
            base = self._placed.get(parent)
            if base is None or base.is_vlan or base.is_loopback or self.host.is_over_infiniband(base):
                return None
            return Base(base, False)
        owner = self._by_bridge_name.get(parent)
        return Base(owner, True) if owner is not None else None

    def find_bridge_owner(self, name: str) -> Optional[Interface]:
        """Return the NIC, bond or VLAN whose bridge has this name, or None."""
        return self._by_bridge_name.get(name)

    def is_bridged(self, interface: Interface) -> bool:
        """Whether an interface gets a bridge of its own."""
        return interface.name in self._bridged

    def ports(self, bridge: Interface) -> tuple[Interface, ...]:
        """Return the ports of a bridge: its own, or the interface that the bridge is made for."""
        return self._ports[bridge.name] if bridge.is_bridge else (bridge,)

    def base(self, vlan: Interface) -> Base:
        """Return a VLAN's base interface."""
        return self._bases[vlan.name]

    def base_name(self, vlan: Interface) -> str:
        """Return the kernel name of a VLAN's base interface."""
        base = self._bases[vlan.name]
        return self.bridge_name(base.interface) if base.is_its_bridge else self.device(base.interface)

    def device(self, interface: Interface) -> str:
        """Return the kernel name of the interface itself, not of its bridge. Names are cached."""
        name = self._devices.get(interface.name)
        if name is None:
            name = self._devices[interface.name] = self._device_name(interface)
        return name

    def _device_name(self, interface: Interface) -> str:
        if interface.is_vlan:
            own_name = self.policy.vlan_name(self.base_name(interface), interface.tag or 0, interface.name)
            return interface.own_name or own_name
        if self.is_renamed(interface):
            return self.policy.nic_name(interface.name)
        if interface.is_nic and interface.kernel_name is not None and not self.has_link_file(interface):
            return interface.kernel_name
        return interface.name

    def is_renamed(self, nic: Interface) -> bool:
        """Whether the naming policy renames a NIC. It does not if the definition names the NIC's bridge otherwise: then
        the bridge does not take the NIC's name."""
        takes_own_name = nic.bridge_settings.name in (None, nic.name)
        return nic.is_nic and self.policy.renames and self.is_bridged(nic) and takes_own_name

    def has_link_file(self, nic: Interface) -> bool:
        """Whether a .link file gives the NIC its name.

        If the naming policy renames NICs, every NIC with a known MAC address has one. Without it, a NIC that the kernel
        finds late could take its name.
        """
        return self.policy.renames and nic.mac is not None and not nic.is_infiniband

    def bridge_name(self, interface: Interface) -> str:
        """Return the name of the bridge of a NIC, bond or VLAN: the one in the definition, else the policy's."""
        name = self._bridge_names.get(interface.name)
        if name is None:
            name = interface.bridge_settings.name or self.policy.bridge_name(interface.name, self.device(interface))
            self._bridge_names[interface.name] = name
        return name

    def top(self, interface: Interface) -> str:
        """Return the name of the device that has the addresses: the bridge if there is one."""
        return self.bridge_name(interface) if self.is_bridged(interface) else self.device(interface)

    def controller(self, interface: Interface) -> Optional[str]:
        """Return the name of the bridge that has an interface as a port, or None."""
        bridge = self.bridge_of.get(interface.name)
        if bridge is not None:
            return self.device(bridge)
        return self.bridge_name(interface) if self.is_bridged(interface) else None
