"""What runs on this host and what of the network it uses: facts only, for core/effects/impact."""

from __future__ import annotations

import contextlib
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from pathlib import Path

from kvmnet import hook
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.running_guests import Running, guest_of, network_of
from kvmnet.host.libvirt import LibvirtError, Told, ask_libvirt

NET = Path("/sys/class/net")


def read_running(links: Mapping[str, Link]) -> Running:
    """The whole reading; what libvirt does not tell is missing, and `problem` says so. Its guests are known by its own
    notes of what runs then, to root."""
    told, problem = Told(), ""
    try:
        told = ask_libvirt()
    except LibvirtError as error:
        problem = str(error)
        told = Told(tuple(ET.tostring(domain, encoding="unicode") for domain in hook.running().values()))
    functions, parents = read_functions(NET, [link.name for link in links.values() if link.mac])
    return Running(
        guests=tuple(guest for text in told.domains if (guest := guest_of(text)) is not None),
        networks=tuple(network for text in told.networks if (network := network_of(text)) is not None),
        functions=functions,
        parents=parents,
        idle=tuple(idle(link.name for link in links.values() if link.kind == "macvtap")),
        problem=problem,
    )


def read_functions(net: Path, nics: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The PCI functions of NICs, virtual ones too, with the NIC that each belongs to; and the NICs that are a virtual
    function themselves, with the NIC that they are of (Documentation/ABI/testing/sysfs-bus-pci: virtfnN, physfn)."""
    functions: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for name in nics:
        device = net / name / "device"
        if (device / "vendor").exists():  # a PCI device; virtio's is one below it
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


def idle(macvtaps: Iterable[str]) -> list[str]:
    """Those that no process holds; none for one who may not look at every process."""
    numbers = {name: number for name in macvtaps if (number := hook.tap_of(name)) is not None}
    if not numbers or os.geteuid() != 0:
        return []
    held = set()
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended, or is none
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()).startswith("/dev/"):  # a server's file that hangs is not asked
                        held.add(descriptor.stat().st_rdev)
    return [name for name, number in numbers.items() if number not in held]
