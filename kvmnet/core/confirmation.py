"""Whether a change touches the way by which its operator came in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvmnet.core.bundle import State, port_names
from kvmnet.core.plan import Plan


def touches(plan: Plan, live: State, address: str) -> bool:
    """Whether the interface that has `address` now, or one below it (a bridge's port, a VLAN's base), is
    changed by the plan; True as well where no interface has it: then nobody can say."""
    there = {str(i["name"]): i for i in live.get("interfaces", [])}
    names = [name for name, interface in there.items() if address in _addresses(interface)]
    changed = set(plan.touched)
    changed |= {str(r["next-hop-interface"]) for r in plan.state.get("routes", {}).get("config", [])}
    seen: set[str] = set()
    while names:
        name = names.pop()
        if name not in seen:
            seen.add(name)
            names += _below(there.get(name, {}))
    return bool(seen & changed) or (not seen and not plan.empty)


def _addresses(interface: Mapping[str, Any]) -> list[str]:
    return [str(a["ip"]) for family in ("ipv4", "ipv6") for a in interface.get(family, {}).get("address", [])]


def _below(interface: Mapping[str, Any]) -> list[str]:
    bases = [interface[kind].get("base-iface") for kind in ("vlan", "mac-vtap", "mac-vlan") if kind in interface]
    return port_names(interface) + [str(b) for b in bases if b]
