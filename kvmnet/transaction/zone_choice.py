"""firewalld's zones: what takes an interface's place takes its zone.

In a default zone such as `drop` a bridge that carries the address of a NIC from zone `public` would be out of
reach from its first moment on, and nmstate knows nothing of zones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvmnet.core.base.nmstate import interfaces_of, port_names
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.planning.plan import Plan

_KINDS = {"linux-bridge": "bridge", "bond": "bond", "vlan": "vlan"}


def live_zone(interface: str, live: Live) -> str:
    """firewalld's zone of an interface: the live one, else what its profile asks for; empty: the default."""
    if live.zones and interface in live.zones:
        return live.zones[interface]
    return live.profiles[interface].zone if interface in live.profiles else ""


def zone_to_be(name: str, plan: Plan, live: Live) -> str:
    """The zone of an interface of the bundle once it is there; empty: the default zone.

    A NIC keeps its own under its new name. So does a bridge, bond or VLAN that is there already. A new bridge
    takes its port's, a new bond that of the port whose place it takes. A new VLAN starts in the default zone:
    it is another network than the one under it, and nobody has said how far that one is trusted.
    """
    interfaces = {i["name"]: i for i in interfaces_of(plan.bundle.state)}
    return _zone(name, interfaces, plan.old_names, live)


def _zone(name: str, interfaces: Mapping[str, Mapping[str, Any]], old: Mapping[str, str], live: Live) -> str:
    kind = _KINDS.get(interfaces.get(name, {}).get("type", "ethernet"))
    if kind is None:
        return live_zone(old.get(name, name), live)
    link = live.links.get(name)
    if link is not None and link.kind == kind:
        return live_zone(name, live)
    ports = port_names(interfaces[name])
    if kind == "bridge":
        return next((_zone(port, interfaces, old, live) for port in ports), "")
    if kind == "bond":
        speaking = [port for port in ports if _has_address(old.get(port, port), live)]
        zones = [_zone(port, interfaces, old, live) for port in speaking or ports]
        return zones[0] if speaking else next(filter(None, zones), "")
    return ""


def _has_address(interface: str, live: Live) -> bool:
    return any(
        not is_link_local(str(address["ip"]))
        for entry in interfaces_of(live.state)
        if entry["name"] == interface
        for family in ("ipv4", "ipv6")
        for address in entry.get(family, {}).get("address", [])
    )
