"""Completes a bundle with the live host: the MAC addresses of its bridges and bonds, and whether a bridge of another
tool has spanning tree.

Everything that compares the bundle with the host uses the completed one. Offline the kernel's MAC addresses are
unknown, and a bridge or bond without one gets another MAC address at each boot, or one that systemd makes from its name
(MACAddressPolicy=persistent), and so another DHCP lease.

A definition that does not state `stp` must not turn the spanning tree of an existing bridge off: with two uplinks the
network would have a loop.

A VLAN inherits the MAC address of its base interface, and a macvtap has that of its guest.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Optional

from kvmnet.core.base.nmstate import KERNEL_KINDS, interfaces_of, port_names
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.ownership import find_created
from kvmnet.core.rendering.bundle import Bundle

_WITH_OWN_MAC = ("linux-bridge", "bond")
#: Types of which the kernel chooses the MAC address, unless it is stated.
_WITH_RANDOM_MAC = ("vxlan", "vrf", "mac-vlan")


class MacSource(Enum):
    """Where the MAC address of a bridge or bond is from."""

    STATED = auto()
    RECORDED = auto()
    LIVE = auto()
    PORT = auto()
    GENERATED = auto()
    REPLACED = auto()


@dataclass(frozen=True)
class ChosenMac:
    """The MAC address (lower case) of a bridge or bond, and where it is from: stated in the definition, recorded by the
    last apply, live, the permanent one of its first port's NIC, generated from the names of host and interface, or that
    of the bridge that it replaces."""

    mac: str
    source: MacSource


def complete_bundle(bundle: Bundle, macs: Mapping[str, ChosenMac]) -> Bundle:
    """Return the bundle with the MAC addresses that `choose_macs` returned for it. Its digest stays that of the
    rendered bundle."""
    interfaces = [
        {**i, "mac-address": macs[i["name"]].mac.upper()} if i["name"] in macs else i  # as nmstate prints it
        for i in interfaces_of(bundle.state)
    ]
    return dataclasses.replace(bundle, state={**bundle.state, "interfaces": interfaces}) if macs else bundle


def keep_spanning_tree(bundle: Bundle, live: Live) -> Bundle:
    """Return the bundle with the live spanning tree of bridges that another tool created, where the definition states
    none. After the adoption the recorded one counts, so that a change by hand is drift."""
    created, interfaces = find_created(live), []
    recorded = {i["name"]: i for i in interfaces_of(live.applied_state)}
    shown = {i["name"]: i for i in interfaces_of(live.state)}
    for interface in interfaces_of(bundle.state):
        name, link, enabled = interface["name"], live.links.get(interface["name"]), None
        is_bridge = "bridge" in interface and link is not None and link.kind == "bridge"
        if is_bridge and name not in created and name not in bundle.stated_stp:
            enabled = _spanning_tree(recorded.get(name, {}))
            enabled = _spanning_tree(shown.get(name, {})) if enabled is None else enabled
        interfaces.append(interface if enabled is None else _with_spanning_tree(interface, enabled))
    return dataclasses.replace(bundle, state={**bundle.state, "interfaces": interfaces}) if interfaces else bundle


def _spanning_tree(interface: Mapping[str, Any]) -> Optional[bool]:
    enabled = interface.get("bridge", {}).get("options", {}).get("stp", {}).get("enabled")
    return enabled if isinstance(enabled, bool) else None


def _with_spanning_tree(interface: Mapping[str, Any], enabled: bool) -> Mapping[str, Any]:
    options = interface["bridge"].get("options", {})
    options = {**options, "stp": {**options.get("stp", {}), "enabled": enabled}}
    return {**interface, "bridge": {**interface["bridge"], "options": options}}


def choose_macs(bundle: Bundle, live: Live) -> dict[str, ChosenMac]:
    """Return the MAC address of each bridge and bond of a bundle by name, without bonds that have none of their own."""
    return _Choice(bundle, live).choose()


def has_changing_mac(interface: Mapping[str, Any]) -> bool:
    """Whether a bond always has the MAC address of its active port (fail_over_mac=active). nmstate rejects such a bond
    with a MAC address."""
    bond = interface.get("link-aggregation", {})
    return bool(bond.get("mode") == "active-backup" and bond.get("options", {}).get("fail_over_mac") == "active")


def generate_mac(*names: str) -> str:
    """Return a locally administered unicast MAC address (IEEE 802) that is the same for the same names."""
    octets = bytearray(hashlib.sha256("/".join(names).encode()).digest()[:6])
    octets[0] = octets[0] & 0b11111100 | 0b00000010
    return ":".join(f"{octet:02x}" for octet in octets)


class _Choice:
    """Chooses the MAC addresses of a bundle's interfaces on a host."""

    def __init__(self, bundle: Bundle, live: Live) -> None:
        self.bundle, self.live = bundle, live
        self.interfaces = {i["name"]: i for i in interfaces_of(bundle.state)}
        self.live_interfaces = {i["name"]: i for i in interfaces_of(live.state)}
        self.recorded = {i["name"]: i for i in interfaces_of(live.applied_state)}
        self.nics = {nic.name: link for nic in bundle.nics if (link := live.find(nic)) is not None}
        self.chosen: dict[str, ChosenMac] = {}

    def choose(self) -> dict[str, ChosenMac]:
        for interface in self.interfaces.values():
            if interface["type"] in _WITH_OWN_MAC and interface.get("state") == "up":
                self._choose(interface, ())
        return self.chosen

    def _choose(self, interface: Mapping[str, Any], above: tuple[str, ...]) -> Optional[str]:
        """Choose the MAC address of a bridge or bond and return it. `above` are the interfaces that it is a port or
        base of."""
        name = interface["name"]
        if name in self.chosen:
            return self.chosen[name].mac
        if name in above:
            return None
        found = self._find_own(interface)
        if found is None and interface["type"] == "bond" and has_changing_mac(interface):
            return self._find_port_mac(interface, above)
        if found is None and (mac := self._find_port_mac(interface, above)):
            found = ChosenMac(mac, MacSource.PORT)
        if found is None and not any(self._lends_mac(port) for port in port_names(interface)):
            found = ChosenMac(generate_mac(self.bundle.cluster, self.bundle.host, name), MacSource.GENERATED)
        if found is not None:
            self.chosen[name] = found
            return found.mac
        return None

    def _lends_mac(self, port: str) -> bool:
        """Whether a bridge can have the MAC address of a port: the kernel chooses that of some interfaces at random,
        each time that they are created."""
        return self.interfaces.get(port, {}).get("type") not in _WITH_RANDOM_MAC

    def _find_own(self, interface: Mapping[str, Any]) -> Optional[ChosenMac]:
        """Return the MAC address that is stated, or that the interface has had."""
        name = interface["name"]
        if name in self.bundle.stated_macs and "mac-address" in interface:
            return ChosenMac(str(interface["mac-address"]).lower(), MacSource.STATED)
        if has_changing_mac(interface):
            return None
        recorded = self.recorded.get(name, {})
        if recorded.get("type") == interface["type"] and recorded.get("mac-address"):
            return ChosenMac(str(recorded["mac-address"]).lower(), MacSource.RECORDED)
        link, shown = self.live.links.get(name), self.live_interfaces.get(name, {})
        if link is not None and link.kind == KERNEL_KINDS[interface["type"]] and shown.get("mac-address"):
            return ChosenMac(str(shown["mac-address"]).lower(), MacSource.LIVE)
        return None

    def _find_port_mac(self, interface: Mapping[str, Any], above: tuple[str, ...]) -> Optional[str]:
        """Return the MAC address of the first port: of a NIC the permanent one. If it is unknown, the rendered one."""
        ports = port_names(interface)
        mac = self._find_mac(ports[0], (*above, interface["name"])) if ports else None
        rendered = str(interface.get("mac-address", "")).lower()
        return mac or rendered or None

    def _find_mac(self, name: str, above: tuple[str, ...]) -> Optional[str]:
        """Return the MAC address of a port or base interface."""
        interface = self.interfaces.get(name, {})
        if interface.get("type") in _WITH_OWN_MAC:
            return self._choose(interface, above)
        if interface.get("type") == "vlan":
            return None if name in above else self._find_mac(interface["vlan"]["base-iface"], (*above, name))
        link = self.nics.get(name) or self.live.links.get(name)
        if link is not None and link.mac:
            return link.mac
        return str(self.live_interfaces.get(name, {}).get("mac-address", "")).lower() or None
