"""Adds libvirt's domains to a definition: those of their NICs that are connected to a bridge of the host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Optional

from kvmnet.core.live.running_guests import GuestNic, Running
from kvmnet.importers._draft import Draft, HostPart, Origin, Part
from kvmnet.importers._report import Report

_HERE = Origin("", 0)
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")


def add_guests(draft: Draft, host: str, running: Running, report: Report) -> None:
    """Add the running and the defined guests of a host. What the definition cannot state about them is reported."""
    if running.problem:
        report.lose(f"the guests may be incomplete: {running.problem}", _HERE)
    networks = _map_bridges(draft.hosts[host])
    for guest in sorted((*running.guests, *running.stopped), key=lambda guest: guest.name):
        if not _NAME.match(guest.name):
            report.lose(f"guest {guest.name}: the definition does not allow this name", _HERE)
            continue
        nics = []
        for nic in guest.nics:
            network = networks.get(nic.source or running.bridges.get(nic.network, ""))
            if network is not None and nic.mac:
                nics.append({"network": network, "mac": nic.mac.lower()})
            else:
                report.note(f"guest {guest.name}: its NIC {nic.mac} on {_describe_source(nic)} is left out", _HERE)
        if nics:
            draft.guests[guest.name] = Part({"host": host, "nics": nics})
            draft.hosts[host].settings.setdefault("kvm", True)


def _describe_source(nic: GuestNic) -> str:
    if nic.network:
        return f"the libvirt network {nic.network}"
    return nic.source or nic.pci or nic.kind


def _map_bridges(host: HostPart) -> Mapping[str, str]:
    """Return the network of each bridge of the host by the bridge's name."""
    networks: dict[str, str] = {}
    for key, part in host.interfaces.items():
        network: Optional[str] = part.values.get("network")
        bridge = part.values.get("bridge")
        name = bridge.get("name") if isinstance(bridge, Mapping) else bridge
        if part.values.get("type") == "bridge":
            name = key
        if network is not None and isinstance(name, str):
            networks[name] = network
    return networks
