"""Whether a guest can run on another host: does that host have a bridge or VLAN for each NIC, with a sufficient MTU?

The answer is from the definition alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.definition.model import Cluster, Guest, GuestNic, Host
from kvmnet.core.guests.guest_xml import format_interface
from kvmnet.core.rendering.render import render
from kvmnet.core.views.host_view import BridgeView, GuestPortView, HostView
from kvmnet.core.views.layout import build_host_view
from kvmnet.core.views.mtu import ETHERNET_MTU


def find_device_mtus(view: HostView) -> dict[str, int]:
    """Return the MTU in bytes that each device of a host can transport, by name.

    It is the device's own MTU, but at most that of the interfaces below it: the kernel rejects a VLAN with a larger
    one, and a bridge drops frames that its port cannot send.
    """
    mtus = {nic.name: nic.mtu or ETHERNET_MTU for nic in view.nics}
    mtus.update({bond.name: bond.mtu or ETHERNET_MTU for bond in view.bonds})
    mtus.update({dummy.name: dummy.mtu or ETHERNET_MTU for dummy in view.dummies})
    for other in view.others:
        base_mtu = min((mtus.get(base, ETHERNET_MTU) for base in other.bases), default=None)
        mtus[other.name] = other.mtu or (ETHERNET_MTU if base_mtu is None else base_mtu - other.overhead)
    for layer in [*view.layers(), *view.guest_vlans]:
        below = layer.ports if isinstance(layer, BridgeView) else (layer.base,)
        below_mtu = min((mtus.get(name, ETHERNET_MTU) for name in below), default=layer.mtu or ETHERNET_MTU)
        mtus[layer.name] = min(layer.mtu or below_mtu, below_mtu)
    return mtus


@dataclass(frozen=True)
class NicMigration:
    """A NIC of the guest on the target host.

    `port` is what it would be connected to (None: nothing), `mtu` the MTU of that in bytes. `problem` is the reason
    why the NIC would not work there, or None.
    """

    nic: GuestNic
    port: Optional[GuestPortView]
    mtu: Optional[int]
    problem: Optional[str]


@dataclass(frozen=True)
class Migration:
    """Whether a guest can run on a host. `notes` are what must be done before the migration."""

    guest: str
    host: str
    nics: tuple[NicMigration, ...]
    notes: tuple[str, ...]

    @property
    def possible(self) -> bool:
        """Whether no NIC has a problem."""
        return all(nic.problem is None for nic in self.nics)

    def to_json(self) -> dict[str, Any]:
        """Return the answer as printed by `guest can-move --json`."""
        return {
            "guest": self.guest,
            "host": self.host,
            "possible": self.possible,
            "nics": [
                {
                    "mac": row.nic.mac,
                    "network": row.nic.network,
                    **({"networks": list(row.nic.networks)} if row.nic.trunk else {}),
                    "device": row.port.device if row.port else None,
                    "mtu": row.mtu,
                    "problem": row.problem,
                }
                for row in self.nics
            ],
            "notes": list(self.notes),
        }


def check_migration(cluster: Cluster, guest: Guest, host: Host) -> Migration:
    """Return whether a guest can run on a host.

    The host needs a bridge or VLAN for the network of each NIC, and for a trunk a VLAN-aware bridge that carries all
    its networks. Its MTU must not be smaller than on the hosts where the guest can run now, because the guest does not
    learn of a smaller one. The definition must have no errors. Raises
    KeyError if the naming policy of a host is unknown.
    """
    current_hosts = [h for h in cluster.hosts_of(guest) if h.name != host.name]
    sources = [build_host_view(cluster, h, [guest]) for h in current_hosts]
    guests = cluster.guests_by_host()[host.name]
    is_placed_there = any(g.name == guest.name for g in guests)
    target = build_host_view(cluster, host, guests if is_placed_there else [*guests, guest])
    nics = tuple(_check_nic(cluster, nic, guest, host, target, sources) for nic in guest.nics)
    notes = []
    if any(nic.port is not None and nic.port.needs_vlans for nic in nics):
        notes.append(f"{host.name} needs libvirt 11.0.0 or later, which sets the VLANs of guests on a bridge")
    if all(nic.problem is None for nic in nics):
        if not is_placed_there and render(target).digest != render(build_host_view(cluster, host, guests)).digest:
            notes.append(
                f"prepare {host.name} first: place {guest.name} on it in the definition, and run kvmnet apply there"
            )
        others = [view.host for view in sources if _guest_xml(view, guest.name) != _guest_xml(target, guest.name)]
        if others:
            notes.append(
                f"its devices have other names on {host.name} than on {', '.join(others)}: "
                f"migrate it with the XML of `kvmnet guest xml {guest.name} --host {host.name}`"
                + ("" if is_placed_there else f", after the definition places it on {host.name}")
            )
    return Migration(guest.name, host.name, nics, tuple(notes))


def _guest_xml(view: HostView, guest: str) -> list[str]:
    return [format_interface(port) for port in view.ports_of(guest)]


def _check_nic(
    cluster: Cluster, nic: GuestNic, guest: Guest, host: Host, target: HostView, sources: list[HostView]
) -> NicMigration:
    port = _port_of(target, guest, nic)
    if port is None:
        return NicMigration(nic, None, None, _describe_missing_device(cluster, nic, host))
    mtu, problem = find_device_mtus(target)[port.device], None
    network_mtu, network = max((cluster.networks[name].mtu or 0, name) for name in nic.networks)
    would_be = f"its MTU would be {mtu} ({port.device} on {host.name})"
    if network_mtu > mtu:
        problem = f"{would_be}, but that of network {network} is {network_mtu}"
    for view in sources:
        source_port = _port_of(view, guest, nic)
        source_mtu = find_device_mtus(view)[source_port.device] if source_port is not None else 0
        if source_mtu > mtu:
            problem = f"{would_be}, but it is {source_mtu} on {view.host}"
            break
    return NicMigration(nic, port, mtu, problem)


def _port_of(view: HostView, guest: Guest, nic: GuestNic) -> Optional[GuestPortView]:
    return next((p for p in view.ports_of(guest.name) if (p.mac, p.network) == (nic.mac, nic.network)), None)


def _describe_missing_device(cluster: Cluster, nic: GuestNic, host: Host) -> str:
    """Return why a host cannot connect a NIC to its network."""
    if nic.trunk:
        return f"{host.name} has no VLAN-aware bridge that carries the networks {nic.title}"
    network = cluster.networks.get(nic.network)
    message = f"{host.name} has neither a bridge nor a VLAN for network {nic.network}"
    if network is not None and network.over is not None:
        return f"{message}: none of its NICs is on network {network.over}"
    if not host.kvm:
        return f"{message}: kvm: true is not set for it"
    return message
