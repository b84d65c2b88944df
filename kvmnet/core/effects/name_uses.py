"""Places in other tools' configuration that name an interface whose role the change alters: firewall rules above all.

Such a place does not match any more after the change, without an error: a rule that accepts SSH on eth0 does not see
what comes in through the bridge over eth0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from kvmnet.core.base.nmstate import ETHERNET, KERNEL_KINDS, interfaces_of, port_names
from kvmnet.core.live.live_host import Live
from kvmnet.core.live.running_guests import GuestNic
from kvmnet.core.live.surroundings import LIBVIRT_NETWORK
from kvmnet.core.planning.plan import Plan

#: How many places are listed for each interface and kind.
_MOST = 5


class Role(Enum):
    """What happens to an interface or its name: another interface gets the name (TAKEN), or maybe none (RENAMED)."""

    REMOVED = "removed"
    TAKEN = "taken"
    RENAMED = "renamed"
    PORT = "port"


@dataclass(frozen=True)
class RoleChange:
    """What happens to an interface whose name stands for something else after the change. `text` is in words: `becomes
    a port of br-eth0`."""

    role: Role
    text: str


def find_role_changes(plan: Plan, live: Live) -> dict[str, RoleChange]:
    """Return what happens to each existing interface whose name stands for something else after the change."""
    desired = interfaces_of(plan.desired) or interfaces_of(plan.state)
    kinds = {i["name"]: KERNEL_KINDS.get(i["type"]) for i in desired if i.get("state") == "up"}
    controllers = _controllers_of(plan)
    changes = {}
    for link in live.links.values():
        new_name = plan.new_names.get(link.name, link.name)
        controller = controllers.get(new_name)
        if link.name in plan.leaving:
            changes[link.name] = RoleChange(Role.REMOVED, "is removed")
        elif new_name != link.name and kinds.get(link.name):
            text = f"becomes a {kinds[link.name]} (the NIC is renamed to {new_name})"
            changes[link.name] = RoleChange(Role.TAKEN, text)
        elif new_name != link.name:
            changes[link.name] = RoleChange(Role.RENAMED, f"is renamed to {new_name}")
        elif controller is not None and link.master != controller:
            changes[link.name] = RoleChange(Role.PORT, f"becomes a port of {controller}")
    return changes


def _controllers_of(plan: Plan) -> dict[str, str]:
    """Return the controller of each port of the definition, by the port's name."""
    return {port: str(i["name"]) for i in interfaces_of(plan.desired) for port in port_names(i)}


def note_name_uses(plan: Plan, live: Live) -> Iterator[str]:
    """Yield a note for each place that names an interface whose role changes. The libvirt networks of a bridge that is
    replaced have notes of their own (plan_notes)."""
    if not plan.changes_host:
        return
    counts: dict[tuple[str, str], int] = {}
    bridges = live.surroundings.running.bridges
    for name, change in find_role_changes(plan, live).items():
        for use in live.surroundings.name_uses:
            is_noted = name in plan.replaced and use.what == LIBVIRT_NETWORK and bridges.get(use.text) == name
            if name not in use.names or is_noted:
                continue
            number = counts[name, use.what] = counts.get((name, use.what), 0) + 1
            if number <= _MOST:
                yield f"the {use.what} `{use.text}` names {name}, which {change.text}"
    for (name, what), number in counts.items():
        if number > _MOST:
            plural = "s" if number > _MOST + 1 else ""
            yield f"{number - _MOST} more {what}{plural} for {name}: check them all"


def note_stopped_guests(plan: Plan, live: Live) -> Iterator[str]:
    """Yield a note for each stopped guest that names an interface which the change takes from it. Those of a bridge
    that is replaced have notes of their own (plan_notes)."""
    if not plan.changes_host:
        return
    changes = find_role_changes(plan, live)
    for guest in live.surroundings.running.stopped:
        for nic in guest.nics:
            source = nic.source or live.surroundings.running.bridges.get(nic.network, "")
            if source not in changes or source in plan.replaced:
                continue
            if effect := _effect_on_start(source, changes[source], nic, plan):
                yield f"the stopped guest {guest.name} is connected to {source}, which {changes[source].text}: {effect}"


def _effect_on_start(source: str, change: RoleChange, nic: GuestNic, plan: Plan) -> str:
    """Return what is different when a guest is started that names an interface; empty if nothing is. A macvtap of
    libvirt can be on any interface but a port, a tap needs a bridge."""
    desired = interfaces_of(plan.desired) or interfaces_of(plan.state)
    kinds = dict.fromkeys(plan.new_names.values(), ETHERNET)
    kinds.update({i["name"]: str(i["type"]) for i in desired if i.get("state") == "up"})
    is_direct = nic.kind == "direct"
    is_gone = source not in kinds if is_direct else kinds.get(source) != "linux-bridge"
    if (is_gone and change.role in (Role.REMOVED, Role.RENAMED)) or (is_direct and source in _controllers_of(plan)):
        return "it will not start"
    return "it will start on another NIC" if is_direct and change.role is Role.RENAMED else ""
