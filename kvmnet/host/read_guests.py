"""Reads which guests are running and what they use of the network. core/effects/impact.py evaluates it."""

from __future__ import annotations

import contextlib
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kvmnet import hook
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.running_guests import Running, RunningGuest, bridge_of, guest_of, network_of
from kvmnet.host.libvirt import LibvirtError, LibvirtXml, read_defined_xml, read_libvirt_xml

NET = Path("/sys/class/net")


def read_running(links: Mapping[str, Link]) -> Running:
    """Return the running guests and what the kernel reports about their devices.

    If libvirt does not answer, `problem` has the reason, and root gets the guests from libvirt's status files.
    """
    xml, problem = LibvirtXml(), ""
    try:
        xml = read_libvirt_xml()
    except LibvirtError as error:
        problem = str(error)
        xml = LibvirtXml(
            tuple(ET.tostring(domain, encoding="unicode") for domain in hook.read_running_domains().values())
        )
    guests = tuple(guest for text in xml.domains if (guest := guest_of(text)) is not None)
    defined = read_defined_xml()
    functions, parents = read_functions(NET, [link.name for link in links.values() if link.mac])
    return Running(
        guests=guests,
        networks=tuple(network for text in xml.networks if (network := network_of(text)) is not None),
        functions=functions,
        parents=parents,
        idle=tuple(find_idle_macvtaps(link.name for link in links.values() if link.kind == "macvtap")),
        problem=problem,
        stopped=tuple(_find_stopped(defined.domains, {guest.name for guest in guests})),
        bridges=dict(pair for text in (*defined.networks, *xml.networks) if (pair := bridge_of(text)) is not None),
    )


def _find_stopped(domains: Iterable[str], running: set[str]) -> Iterator[RunningGuest]:
    for text in domains:
        guest = guest_of(text)
        if guest is not None and guest.name not in running:
            yield guest


def read_functions(net: Path, nics: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the NIC of each PCI function, virtual functions included, and the parent NIC of each NIC that is a virtual
    function. Source: virtfnN and physfn in Documentation/ABI/testing/sysfs-bus-pci of the kernel."""
    functions: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for name in nics:
        device = net / name / "device"
        if (device / "vendor").exists():  # a PCI device; that of a virtio NIC is one level up
            addresses[device.resolve().name] = name
            functions[device.resolve().name] = name
    for name in addresses.values():
        for virtual in sorted((net / name / "device").glob("virtfn*")):
            functions.setdefault(virtual.resolve().name, name)
    parents = {}
    for name in addresses.values():
        physical = net / name / "device" / "physfn"
        if physical.exists() and (parent := addresses.get(physical.resolve().name)):
            parents[name] = parent
    return functions, parents


def find_idle_macvtaps(macvtaps: Iterable[str]) -> list[str]:
    """Return the macvtaps that no process has open. Only root sees all processes: for others the list is empty."""
    numbers = {name: number for name in macvtaps if (number := hook.tap_device_number(name)) is not None}
    if not numbers or os.geteuid() != 0:
        return []
    open_numbers = set()
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended, or is no process
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    # Only devices: the stat of a file on a server that hangs would wait.
                    if str(descriptor.readlink()).startswith("/dev/"):
                        open_numbers.add(descriptor.stat().st_rdev)
    return [name for name, number in numbers.items() if number not in open_numbers]
