"""What a change does to the host itself: its management address, what each interface gains and loses, the interruption.

core/reporting/host_text words it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import State
from kvmnet.core.effects.holdings import Facts, Holdings, Inventory
from kvmnet.core.effects.interruption import Interruption, estimate_interruption
from kvmnet.core.effects.management import Management, find_management
from kvmnet.core.effects.topology import Topologies, compare_topologies, plain
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan


@dataclass(frozen=True)
class InterfaceEffect:
    """What happens to one interface.

    name: its name after the change, or the last one that it had; old_name: its name before, if it is renamed.
    type: the kernel's kind (bridge, bond, vlan), or `NIC`.
    event: "new", "removed", "taken down", "recreated", "renamed" or "changed".
    before, after: what it has; virtual: its virtual addresses that NetworkManager removes, with their services.
    """

    name: str
    old_name: Optional[str]
    type: str
    event: str
    before: Holdings
    after: Holdings
    virtual: tuple[tuple[str, str], ...] = ()

    @property
    def gained_addresses(self) -> list[str]:
        """The addresses that it has only afterwards."""
        return [a for a in self.after.addresses if a not in self.before.addresses]

    @property
    def lost_addresses(self) -> list[str]:
        """The addresses that it has only before."""
        return [a for a in self.before.addresses if a not in self.after.addresses]

    @property
    def gained_routes(self) -> list[tuple[str, str]]:
        """The routes that it has only afterwards: destination and gateway."""
        return [r for r in self.after.routes if r not in self.before.routes]

    @property
    def lost_routes(self) -> list[tuple[str, str]]:
        """The routes that it has only before: destination and gateway."""
        return [r for r in self.before.routes if r not in self.after.routes]

    @property
    def lost_ports(self) -> list[str]:
        """The ports that it loses."""
        return [p for p in self.before.ports if p not in self.after.ports]

    @property
    def gained_ports(self) -> list[str]:
        """The ports that it gains."""
        return [p for p in self.after.ports if p not in self.before.ports]

    @property
    def loses_last_port(self) -> bool:
        """Whether it keeps no port, although it stays."""
        return bool(self.before.ports) and not self.after.ports and self.event not in ("removed", "taken down")

    def to_json(self) -> dict[str, Any]:
        """Return the effect as plain data for `plan --json`."""
        changed = {
            key: {"before": old, "after": new}
            for key in ("controller", "mac", "zone")
            if (old := getattr(self.before, key)) != (new := getattr(self.after, key))
        }
        return {
            "name": self.name,
            "old_name": self.old_name,
            "type": self.type,
            "event": self.event,
            "gains": {
                "addresses": self.gained_addresses,
                "routes": [{"to": to, "via": via} for to, via in self.gained_routes],
                "ports": self.gained_ports,
            },
            "loses": {
                "addresses": self.lost_addresses,
                "routes": [{"to": to, "via": via} for to, via in self.lost_routes],
                "ports": self.lost_ports,
            },
            "loses_last_port": self.loses_last_port,
            "changes": changed,
            "virtual": [{"address": address, "service": service} for address, service in self.virtual],
        }


@dataclass(frozen=True)
class HostEffects:
    """What a change does to the host. duplicates: addresses that several interfaces have afterwards, with these."""

    management: tuple[Management, ...] = ()
    interfaces: tuple[InterfaceEffect, ...] = ()
    duplicates: tuple[tuple[str, tuple[str, ...]], ...] = ()
    interruption: Interruption = field(default_factory=Interruption)

    def to_json(self) -> dict[str, Any]:
        """Return the effects as plain data for `plan --json`."""
        return {
            "management": [asdict(m) for m in self.management],
            "interfaces": [effect.to_json() for effect in self.interfaces],
            "duplicates": [{"address": address, "interfaces": names} for address, names in self.duplicates],
            "interruption": self.interruption.to_json(),
        }


def find_host_effects(
    plan: Plan, live: Live, view: State, facts: Facts, topologies: Optional[Topologies] = None
) -> Optional[HostEffects]:
    """Return what a plan does to the host; None when it changes nothing but files. `view` is the live state after the
    renames, `topologies` those of the plan, if they are known already."""
    if topologies is None:
        topologies = compare_topologies(plan, live, view)
    before, after = Inventory(plan, live, view, topologies, facts).read()
    names = {device: name for name, device in topologies.current.items()}
    effects = []
    for device in dict.fromkeys([*topologies.before.kinds, *topologies.after.kinds]):
        effect = _find_effect(device, names.get(device), before, after, topologies, live)
        if effect is not None:
            effects.append(effect)
    management = tuple(find_management(live, topologies, before, after, facts.address))
    if not effects and not plan.state:
        return None
    return HostEffects(
        management,
        tuple(sorted(effects, key=_sort_key)),
        _find_duplicates(before, after),
        estimate_interruption(plan, topologies, management, facts.renames_while_up),
    )


def _sort_key(effect: InterfaceEffect) -> tuple[bool, str]:
    """What loses or gains an address comes first."""
    return not (effect.gained_addresses or effect.lost_addresses), effect.name


def _find_effect(
    device: str,
    current_name: Optional[str],
    before: Mapping[str, Holdings],
    after: Mapping[str, Holdings],
    topologies: Topologies,
    live: Live,
) -> Optional[InterfaceEffect]:
    old, new = before.get(device, Holdings()), after.get(device, Holdings())
    kind = topologies.after.kinds.get(device, topologies.before.kinds.get(device))
    if kind in ("tun", "macvtap"):  # guests' devices are reported with their guests
        return None
    name = plain(device)
    event = "changed"
    if device not in topologies.before.kinds:
        event = "new"
    elif device not in topologies.after.kinds:
        event = "removed"
    elif device in topologies.after.down:
        event = "taken down"
    elif device in topologies.recreated:
        event = "recreated"
    elif current_name not in (None, name):
        event = "renamed"
    is_touched = event != "changed" or device in topologies.sent
    virtual = tuple((v.address, v.service) for v in live.virtual if v.interface == current_name) if is_touched else ()
    if event == "changed" and old == new and not virtual:
        return None
    old_name = current_name if event == "renamed" else None
    return InterfaceEffect(name, old_name, kind or "NIC", event, old, new, virtual)


def _find_duplicates(
    before: Mapping[str, Holdings], after: Mapping[str, Holdings]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the addresses that several interfaces have after the change, and not already before it."""

    def holders(inventory: Mapping[str, Holdings]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for device, holdings in inventory.items():
            for address in holdings.addresses:
                if "/" in address and plain(device) != "lo":
                    found.setdefault(str(ipaddress.ip_interface(address).ip), []).append(plain(device))
        return found

    old = holders(before)
    return tuple(
        (ip, tuple(sorted(names)))
        for ip, names in sorted(holders(after).items())
        if len(names) > 1 and sorted(names) != sorted(old.get(ip, []))
    )
