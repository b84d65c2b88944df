"""What each interface of the host has before and after a change: addresses, routes, ports, controller, MAC, zone.

The devices are those of topology.py, so a NIC eth0 that becomes peth0 is not mixed up with the bridge eth0 that is
created. What an interface has afterwards is what the plan sends for it; what is not sent stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import FAMILIES, KERNEL_KINDS, State, interfaces_of, routes_of
from kvmnet.core.effects.topology import CONTROLLERS, Topologies, Topology, plain
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.planning.plan import Plan

#: Stand for addresses that are not known before the change.
BY_DHCP4, BY_DHCP6, BY_ROUTER = "IPv4 by DHCP", "IPv6 by DHCPv6", "IPv6 from routers"

#: What the loopback interface always has: no change gives it these.
_OWN_OF_LOOPBACK = ("127.0.0.1/8", "::1/128")


@dataclass(frozen=True)
class Facts:
    """What the plan and the live host do not contain.

    address: the address of this host by which the operator is connected; empty when there is none.
    renames_while_up: whether the kernel renames a NIC while it is up (since 6.2).
    zones: the firewalld zone of each interface of the definition after the change (empty: the default zone).
    restored: the addresses (with prefix) that a removal restores, by interface; None when it is no removal.
    """

    address: str = ""
    renames_while_up: bool = True
    zones: Mapping[str, str] = field(default_factory=dict)
    restored: Optional[Mapping[str, Sequence[str]]] = None


@dataclass(frozen=True)
class Holdings:
    """What an interface has. addresses: with prefix, or `BY_DHCP4` and the like; routes: destination and gateway;
    ports: those of a bridge or bond, without guests' devices."""

    addresses: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    ports: tuple[str, ...] = ()
    controller: Optional[str] = None
    mac: Optional[str] = None
    zone: Optional[str] = None


class Inventory:
    """Finds what each device has before and after the change."""

    def __init__(self, plan: Plan, live: Live, view: State, topologies: Topologies, facts: Facts) -> None:
        self.plan, self.live, self.topologies, self.facts = plan, live, topologies, facts
        nic_types = ("ethernet", "veth", "infiniband")
        self.view = {(str(i["name"]), i.get("type") in nic_types): i for i in interfaces_of(view)}
        self.sent = {self._sent_device(i): i for i in interfaces_of(plan.state)}
        self.desired_names = {str(i["name"]) for i in interfaces_of(plan.desired)}
        self.routes = [r for kind in ("config", "running") for r in view.get("routes", {}).get(kind, [])]

    def read(self) -> tuple[dict[str, Holdings], dict[str, Holdings]]:
        """Return both by device."""
        before = {device: self._read_before(device) for device in self.topologies.before.kinds}
        after = {
            device: self._read_after(device, before.get(device, Holdings())) for device in self.topologies.after.kinds
        }
        return before, after

    def _sent_device(self, interface: Mapping[str, Any]) -> str:
        name = str(interface["name"])
        is_virtual = interface["type"] in KERNEL_KINDS or "@" + name not in self.topologies.before.kinds
        return name if is_virtual else "@" + name

    def _find_live(self, device: str) -> Mapping[str, Any]:
        is_nic = device.startswith("@") or self.topologies.before.kinds.get(device) == "veth"
        interface: Mapping[str, Any] = self.view.get((plain(device), is_nic), {})
        return interface

    def _read_before(self, device: str) -> Holdings:
        interface = self._find_live(device)
        is_known = self.topologies.before.kinds.get(device) in CONTROLLERS
        old_name = self.plan.old_names.get(plain(device), plain(device)) if device.startswith("@") else device
        mac = str(interface.get("mac-address") or "").lower() or None
        # a bridge that takes over a NIC's name would have the NIC's routes too: routes name interfaces
        has_routes = bool(_static_addresses(interface) or _dynamic_families(interface))
        return Holdings(
            tuple(_addresses_before(interface)),
            tuple(self._routes_of(plain(device))) if has_routes else (),
            tuple(self._ports(device, self.topologies.before)) if is_known else (),
            self.topologies.before.controller.get(device),
            mac,
            self.live.zones.get(old_name) if self.live.zones is not None else None,
        )

    def _read_after(self, device: str, before: Holdings) -> Holdings:
        if device in self.topologies.after.down:
            return Holdings(mac=before.mac)
        interface, name = self.sent.get(device), plain(device)
        controller = self.topologies.after.controller.get(device)
        is_controller = self.topologies.after.kinds.get(device) in CONTROLLERS
        ports = tuple(self._ports(device, self.topologies.after)) if is_controller else ()
        addresses, routes, mac, zone = before.addresses, before.routes, before.mac, before.zone
        if interface is not None:
            addresses = tuple(_addresses_after(interface, before))
            mac = str(interface.get("mac-address") or before.mac or "").lower() or None
        if name in self.desired_names:
            routes = tuple(self._desired_routes(name)) if addresses else ()
        if self.live.zones is not None and name in self.facts.zones:
            zone = self.facts.zones[name] or None
        if self.facts.restored is not None:
            addresses = tuple(self.facts.restored.get(name, addresses))
            routes = before.routes if addresses == before.addresses else ()
        addresses = tuple(address for address in addresses if address not in _OWN_OF_LOOPBACK)
        return Holdings(addresses, routes, ports, controller, mac, zone)

    def _ports(self, device: str, topology: Topology) -> list[str]:
        return sorted(plain(port) for port in topology.below(device))

    def _routes_of(self, name: str) -> list[tuple[str, str]]:
        rows = [
            (str(route["destination"]), str(route.get("next-hop-address") or ""))
            for route in self.routes
            if route.get("next-hop-interface") == name and route.get("next-hop-address")
        ]
        return list(dict.fromkeys(rows))

    def _desired_routes(self, name: str) -> list[tuple[str, str]]:
        wanted = [
            (str(route["destination"]), str(route["next-hop-address"]))
            for route in routes_of(self.plan.desired)
            if route.get("next-hop-interface") == name and route.get("next-hop-address")
        ]
        learned = [r for r in self._routes_of(name) if self._learns_routes(name)]
        return list(dict.fromkeys([*wanted, *learned]))

    def _learns_routes(self, name: str) -> bool:
        interface: Mapping[str, Any] = next((i for i in interfaces_of(self.plan.desired) if i["name"] == name), {})
        return any(bool(_asks(interface.get(family, {}))) for family in FAMILIES)


def _asks(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("enabled") and (settings.get("dhcp") or settings.get("autoconf")))


def _static_addresses(interface: Mapping[str, Any]) -> list[str]:
    return [
        f"{a['ip']}/{a['prefix-length']}"
        for family in FAMILIES
        for a in interface.get(family, {}).get("address", [])
        if not is_link_local(str(a["ip"])) and "valid-life-time" not in a and "valid-left" not in a
    ]


def _current_addresses(interface: Mapping[str, Any]) -> list[str]:
    """Return all addresses of a live interface but link-local ones, those from servers and routers included."""
    return [
        f"{a['ip']}/{a['prefix-length']}"
        for family in FAMILIES
        for a in interface.get(family, {}).get("address", [])
        if not is_link_local(str(a["ip"]))
    ]


def _addresses_before(interface: Mapping[str, Any]) -> list[str]:
    """Return the addresses of a live interface. For those from a server or router that it has not got yet, `BY_DHCP4`
    and the like."""
    addresses = _current_addresses(interface)
    versions = {version_of_address(address) for address in addresses}
    return addresses + [name for name in _dynamic_families(interface) if version_of_address(name) not in versions]


def _dynamic_families(interface: Mapping[str, Any]) -> list[str]:
    """Return which addresses an interface gets from servers and routers."""
    kinds = []
    for family, by_server in (("ipv4", BY_DHCP4), ("ipv6", BY_DHCP6)):
        settings = interface.get(family, {})
        if settings.get("enabled") and settings.get("dhcp"):
            kinds.append(by_server)
        if settings.get("enabled") and settings.get("autoconf"):
            kinds.append(BY_ROUTER)
    return kinds


def _addresses_after(interface: Mapping[str, Any], before: Holdings) -> list[str]:
    """Return the addresses of a sent interface. One that keeps its DHCP or router keeps what it has got from them."""
    addresses = _static_addresses(interface)
    for family, version in (("ipv4", 4), ("ipv6", 6)):
        settings = interface.get(family)
        of_before = [a for a in before.addresses if version_of_address(a) == version]
        if settings is None:
            addresses += of_before
        elif _asks(settings):
            addresses += of_before or _dynamic_families({family: settings})
    return list(dict.fromkeys(addresses))


def version_of_address(address: str) -> int:
    """Return 4 or 6, also for `BY_DHCP4` and the like."""
    return 6 if ":" in address or address in (BY_DHCP6, BY_ROUTER) else 4
