"""The guests of a host, as libvirt and the kernel report them, and what their NICs are connected to."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional


@dataclass(frozen=True)
class GuestNic:
    """A NIC of a running guest.

    kind: libvirt's type of the interface; `hostdev` also for a PCI device that is passed through without one.
    device: the host's device (a tap or macvtap), empty when there is none.
    source: the bridge or device that it is connected to.
    network: its libvirt network.
    pci: the PCI function that is passed through to the guest.
    """

    kind: str
    device: str = ""
    source: str = ""
    network: str = ""
    pci: str = ""
    mac: str = ""


@dataclass(frozen=True)
class RunningGuest:
    """A libvirt domain with its NICs: a running one, or (`Running.stopped`) one that is only defined."""

    name: str
    nics: tuple[GuestNic, ...] = ()


@dataclass(frozen=True)
class RoutedNetwork:
    """A libvirt network that the host routes (`<forward mode='nat'>` and the like) over these devices; with none, over
    the host's default route."""

    name: str
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """What libvirt and the kernel report about guests.

    functions: PCI addresses of NICs and their virtual functions, with the name of the NIC.
    parents: NICs that are virtual functions, with the NIC that they belong to.
    idle: macvtaps that no process uses.
    stopped: the domains that are defined and not running.
    bridges: the libvirt networks that only name a bridge of the host, active or not, with the bridge.
    problem: why libvirt's report is incomplete; empty when it is complete, or when libvirt is not installed.
    """

    guests: tuple[RunningGuest, ...] = ()
    networks: tuple[RoutedNetwork, ...] = ()
    functions: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    idle: tuple[str, ...] = ()
    problem: str = ""
    stopped: tuple[RunningGuest, ...] = ()
    bridges: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Running:
        """Return the object from its JSON form."""
        return cls(
            guests=_guests_from_json(data.get("guests", ())),
            networks=tuple(RoutedNetwork(n["name"], tuple(n["devices"])) for n in data.get("networks", ())),
            functions=dict(data.get("functions", {})),
            parents=dict(data.get("parents", {})),
            idle=tuple(data.get("idle", ())),
            problem=data.get("problem", ""),
            stopped=_guests_from_json(data.get("stopped", ())),
            bridges=dict(data.get("bridges", {})),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object as plain data for JSON."""
        return asdict(self)


def _guests_from_json(rows: Iterable[Mapping[str, Any]]) -> tuple[RunningGuest, ...]:
    return tuple(RunningGuest(g["name"], tuple(GuestNic(**n) for n in g["nics"])) for g in rows)


def find_guests_on(device: str, guests: Iterable[RunningGuest], running: Running) -> list[str]:
    """Return the names of those guests that are connected to a bridge or device of the host, directly or by a libvirt
    network that names it."""
    return [
        guest.name
        for guest in guests
        if any(device in (nic.source, running.bridges.get(nic.network)) for nic in guest.nics)
    ]


def guest_of(xml: str) -> Optional[RunningGuest]:
    """Return the domain that its XML describes (libvirt.org/formatdomain.html); None when it describes none."""
    try:
        domain = ET.fromstring(xml)
    except ET.ParseError:
        return None
    if domain.tag != "domain":
        return None
    nics = [_nic(element) for element in domain.iterfind("devices/interface")]
    for element in domain.iterfind("devices/hostdev[@type='pci']"):
        address = element.find("source/address")
        if address is not None:
            nics.append(GuestNic("hostdev", pci=_pci(address)))
    return RunningGuest(domain.findtext("name", "?"), tuple(nics))


def _nic(interface: ET.Element) -> GuestNic:
    """Return the NIC of an <interface>. One in a libvirt network also contains what libvirt chose: the bridge, the
    device, the function."""
    source, target, mac = interface.find("source"), interface.find("target"), interface.find("mac")
    attributes = source.attrib if source is not None else {}
    address = source.find("address[@type='pci']") if source is not None else None
    return GuestNic(
        interface.get("type", "?"),
        device=target.get("dev", "") if target is not None else "",
        source=attributes.get("bridge") or attributes.get("dev") or "",
        network=attributes.get("network", ""),
        pci=_pci(address) if address is not None else "",
        mac=mac.get("address", "").lower() if mac is not None else "",
    )


def _pci(address: ET.Element) -> str:
    """Return the address as sysfs has it: `0000:03:00.1`. libvirt writes hexadecimal numbers."""
    domain, bus, slot, function = (int(address.get(part, "0"), 16) for part in ("domain", "bus", "slot", "function"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def network_of(xml: str) -> Optional[RoutedNetwork]:
    """Return the libvirt network that its XML describes, when the host routes it (libvirt.org/formatnetwork.html). None
    for others: guests of a bridged network are found by their taps and macvtaps, guests of an isolated one have no
    uplink."""
    try:
        network = ET.fromstring(xml)
    except ET.ParseError:
        return None
    forward = network.find("forward")
    if network.tag != "network" or forward is None or forward.get("mode", "nat") not in ("nat", "route", "open"):
        return None
    devices = [forward.get("dev"), *(i.get("dev") for i in forward.iterfind("interface"))]
    return RoutedNetwork(network.findtext("name", "?"), tuple(dict.fromkeys(dev for dev in devices if dev)))


def bridge_of(xml: str) -> Optional[tuple[str, str]]:
    """Return the name of a libvirt network and the host's bridge that it only names (`<forward mode='bridge'>`); None
    for others: libvirt makes the bridge of a NAT or an isolated network itself."""
    try:
        network = ET.fromstring(xml)
    except ET.ParseError:
        return None
    forward, bridge = network.find("forward"), network.find("bridge")
    if network.tag != "network" or forward is None or forward.get("mode") != "bridge" or bridge is None:
        return None
    return network.findtext("name", "?"), bridge.get("name", "")
