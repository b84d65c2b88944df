"""May a guest run on another host? Judged by the definition alone: bridge or tag, and the MTU on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.definition.model import Cluster, Guest, GuestNic, Host
from kvmnet.core.guests.guest_xml import interface_xml
from kvmnet.core.rendering.render import render
from kvmnet.core.views.host_view import GuestPortView, HostView
from kvmnet.core.views.layout import ETHERNET_MTU, host_view


def device_mtus(view: HostView) -> dict[str, int]:
    """The MTU in bytes that every device of a host can carry, by name: its own, at most that of what it lies over
    (the kernel refuses a larger VLAN; a larger bridge drops what its port cannot send)."""
    found = {nic.name: nic.mtu or ETHERNET_MTU for nic in view.nics}
    found.update({bond.name: bond.mtu or ETHERNET_MTU for bond in view.bonds})
    for vlan in [*view.vlans, *view.guest_vlans]:
        below = found.get(vlan.base, ETHERNET_MTU)
        found[vlan.name] = min(vlan.mtu or below, below)
    for bridge in view.bridges:
        below = found.get(bridge.port, ETHERNET_MTU)
        found[bridge.name] = min(bridge.mtu or below, below)
    return found


@dataclass(frozen=True)
class NicMove:
    """One NIC of the guest on the target: what it would be plugged into there (None: nothing), the MTU in
    bytes of that, and what is in the way."""

    nic: GuestNic
    port: Optional[GuestPortView]
    mtu: Optional[int]
    problem: Optional[str]


@dataclass(frozen=True)
class Move:
    """The whole answer. `notes` say what is to be done beside the move itself; they do not forbid it."""

    guest: str
    host: str
    nics: tuple[NicMove, ...]
    notes: tuple[str, ...]

    @property
    def possible(self) -> bool:
        """Whether nothing is in the way of any NIC."""
        return all(nic.problem is None for nic in self.nics)

    def to_json(self) -> dict[str, Any]:
        """For `guest can-move --json`."""
        return {
            "guest": self.guest,
            "host": self.host,
            "possible": self.possible,
            "nics": [
                {
                    "mac": move.nic.mac,
                    "network": move.nic.network,
                    "device": move.port.device if move.port else None,
                    "mtu": move.mtu,
                    "problem": move.problem,
                }
                for move in self.nics
            ],
            "notes": list(self.notes),
        }


def move_of(cluster: Cluster, guest: Guest, host: Host) -> Move:
    """Whether `guest` could run on `host`: every NIC needs its network's bridge or tag there, with an MTU that
    is no smaller than on the hosts it may run on now (a guest that goes on sending large frames is not heard).

    The definition must be without errors: the profiles of all hosts are known then (else KeyError).
    """
    now = [h for h in cluster.hosts_of(guest) if h.name != host.name]
    sources = [host_view(cluster, h, [guest]) for h in now]
    there = cluster.guests_by_host()[host.name]
    expected = any(g.name == guest.name for g in there)
    target = host_view(cluster, host, there if expected else [*there, guest])
    nics = tuple(_nic_move(cluster, nic, guest, host, target, sources) for nic in guest.nics)
    notes = []
    if all(nic.problem is None for nic in nics):
        if not expected and render(target).digest != render(host_view(cluster, host, there)).digest:
            notes.append(
                f"{host.name} must be prepared first: place {guest.name} on it in the definition, and apply there"
            )
        other = [view.host for view in sources if _xml(view, guest.name) != _xml(target, guest.name)]
        if other:
            notes.append(
                f"its devices have other names on {host.name} than on {', '.join(other)}: "
                f"migrate it with the XML that `kvmnet guest xml {guest.name} --host {host.name}` makes"
                + ("" if expected else ", once the definition has it there")
            )
    return Move(guest.name, host.name, nics, tuple(notes))


def _xml(view: HostView, guest: str) -> list[str]:
    return [interface_xml(port) for port in view.ports_of(guest)]


def _nic_move(
    cluster: Cluster, nic: GuestNic, guest: Guest, host: Host, target: HostView, sources: list[HostView]
) -> NicMove:
    port = _port(target, guest, nic)
    if port is None:
        return NicMove(nic, None, None, _lacks(cluster, nic, host))
    mtu, problem = device_mtus(target)[port.device], None
    stated = cluster.networks[nic.network].mtu or 0
    if stated > mtu:
        problem = f"its MTU would be {mtu} ({port.device} of {host.name}); network {nic.network} has {stated}"
    for view in sources:
        here = _port(view, guest, nic)
        larger = device_mtus(view)[here.device] if here is not None else 0
        if larger > mtu:
            problem = f"its MTU would be {mtu} ({port.device} of {host.name}); on {view.host} it is {larger}"
            break
    return NicMove(nic, port, mtu, problem)


def _port(view: HostView, guest: Guest, nic: GuestNic) -> Optional[GuestPortView]:
    return next((p for p in view.ports_of(guest.name) if (p.mac, p.network) == (nic.mac, nic.network)), None)


def _lacks(cluster: Cluster, nic: GuestNic, host: Host) -> str:
    """Why a host has nothing for a NIC."""
    network = cluster.networks.get(nic.network)
    words = f"{host.name} has neither a bridge nor a tag for network {nic.network}"
    if network is not None and network.over is not None:
        return f"{words}: none of its NICs is on network {network.over}"
    if not host.kvm:
        return f"{words}: it has no kvm: true"
    return words
