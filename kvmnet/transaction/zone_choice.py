"""The firewalld zone of each interface: the one in the definition; else, an interface that replaces another one gets
its zone.

In a default zone such as `drop`, a bridge that takes the address of a NIC from zone `public` would be unreachable from
its first moment on. nmstate does not manage zones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvmnet.core.base.nmstate import ETHERNET, FAMILIES, KERNEL_KINDS, interfaces_of, port_names
from kvmnet.core.base.profile_settings import ZONE
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.planning.plan import Plan

#: The kernel's kinds of links whose zone is chosen here. Other interfaces have their live zone.
_ZONE_KINDS = ("bridge", "bond", "vlan")


def _live_zone(interface: str, live: Live) -> str:
    """The firewalld zone of an interface: the live one, or else the one of its profile; empty for the default zone."""
    if live.zones and interface in live.zones:
        return live.zones[interface]
    return live.profiles[interface].zone if interface in live.profiles else ""


def choose_zone(name: str, plan: Plan, live: Live) -> str:
    """The zone that an interface of the bundle has after the change; empty for the default zone.

    It is the one that the definition states. Without it, a NIC keeps its zone under its new name, and an existing
    bridge, bond or VLAN keeps its own. A new bridge gets the zone of the bridge that it replaces, or else that of its
    port, a new bond that of the port that has the host's address. A new VLAN is in the default zone: it is another
    network than the one below it, and nobody has stated how far that network is trusted.
    """
    stated = plan.bundle.profile_settings.get(name, {}).get(ZONE.name)
    if stated is not None:
        return str(stated)
    replaced = next((old for old, new in plan.replaced.items() if new == name), None)
    if replaced is not None:
        return _live_zone(replaced, live)
    interfaces = {i["name"]: i for i in interfaces_of(plan.bundle.state)}
    return _zone(name, interfaces, plan.old_names, live)


def _zone(name: str, interfaces: Mapping[str, Mapping[str, Any]], old_names: Mapping[str, str], live: Live) -> str:
    kind = KERNEL_KINDS.get(interfaces.get(name, {}).get("type", ETHERNET))
    if kind not in _ZONE_KINDS:
        return _live_zone(old_names.get(name, name), live)
    link = live.links.get(name)
    if link is not None and link.kind == kind:
        return _live_zone(name, live)
    ports = port_names(interfaces[name])
    if kind == "bridge":
        return next((_zone(port, interfaces, old_names, live) for port in ports), "")
    if kind == "bond":
        addressed = [port for port in ports if _has_address(old_names.get(port, port), live)]
        zones = [_zone(port, interfaces, old_names, live) for port in addressed or ports]
        return zones[0] if addressed else next(filter(None, zones), "")
    return ""


def _has_address(interface: str, live: Live) -> bool:
    return any(
        not is_link_local(str(address["ip"]))
        for entry in interfaces_of(live.state)
        if entry["name"] == interface
        for family in FAMILIES
        for address in entry.get(family, {}).get("address", [])
    )
