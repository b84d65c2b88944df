"""What runs on a host, as libvirt and the kernel tell it: guests, the host's ends of their NICs, what they go over."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional


@dataclass(frozen=True)
class GuestNic:
    """A NIC of a running guest: libvirt's `kind` of interface (`hostdev` also for a device that is passed through
    without one), the host's `device` (a tap, a macvtap; empty where there is none), the bridge or device that is its
    `source`, the libvirt `network` that it is in, the `pci` function that the guest has to itself, its MAC."""

    kind: str
    device: str = ""
    source: str = ""
    network: str = ""
    pci: str = ""
    mac: str = ""


@dataclass(frozen=True)
class RunningGuest:
    """A domain of libvirt's that runs."""

    name: str
    nics: tuple[GuestNic, ...] = ()


@dataclass(frozen=True)
class RoutedNetwork:
    """A libvirt network that the host routes (`<forward mode='nat'>` and the like) over these devices; none: over
    whatever the host's own way out is."""

    name: str
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """`functions` are PCI addresses with the NIC that they belong to (its own, its virtual functions'), `parents` the
    NICs that are virtual functions with the NIC that they are of, `idle` the macvtaps that no process holds.
    `problem` says why libvirt did not tell everything; empty when it did, or when there is none."""

    guests: tuple[RunningGuest, ...] = ()
    networks: tuple[RoutedNetwork, ...] = ()
    functions: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    idle: tuple[str, ...] = ()
    problem: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Running:
        """What `to_json` gave."""
        return cls(
            guests=tuple(
                RunningGuest(g["name"], tuple(GuestNic(**n) for n in g["nics"])) for g in data.get("guests", ())
            ),
            networks=tuple(RoutedNetwork(n["name"], tuple(n["devices"])) for n in data.get("networks", ())),
            functions=dict(data.get("functions", {})),
            parents=dict(data.get("parents", {})),
            idle=tuple(data.get("idle", ())),
            problem=data.get("problem", ""),
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data that JSON takes."""
        return asdict(self)


def guest_of(xml: str) -> Optional[RunningGuest]:
    """A running domain from its live XML (libvirt.org/formatdomain.html); None for what is no domain."""
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
    """An interface in a libvirt network shows what it came to as well: the bridge, the device, the function."""
    source, target, mac = interface.find("source"), interface.find("target"), interface.find("mac")
    told = source.attrib if source is not None else {}
    address = source.find("address[@type='pci']") if source is not None else None
    return GuestNic(
        interface.get("type", "?"),
        device=target.get("dev", "") if target is not None else "",
        source=told.get("bridge") or told.get("dev") or "",
        network=told.get("network", ""),
        pci=_pci(address) if address is not None else "",
        mac=mac.get("address", "").lower() if mac is not None else "",
    )


def _pci(address: ET.Element) -> str:
    """`0000:03:00.1`, as sysfs has it; libvirt writes hexadecimal numbers."""
    domain, bus, slot, function = (int(address.get(part, "0"), 16) for part in ("domain", "bus", "slot", "function"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def network_of(xml: str) -> Optional[RoutedNetwork]:
    """A libvirt network that the host routes, from its XML (libvirt.org/formatnetwork.html). None for others: the
    guests of a bridged one are seen by their taps and macvtaps, those of an isolated one go over nothing."""
    try:
        network = ET.fromstring(xml)
    except ET.ParseError:
        return None
    forward = network.find("forward")
    if network.tag != "network" or forward is None or forward.get("mode", "nat") not in ("nat", "route", "open"):
        return None
    named = [forward.get("dev"), *(i.get("dev") for i in forward.iterfind("interface"))]
    return RoutedNetwork(network.findtext("name", "?"), tuple(dict.fromkeys(dev for dev in named if dev)))
