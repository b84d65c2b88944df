"""Places in other tools' configuration that name an interface whose role the change alters: firewall rules above all.

Such a place does not match any more after the change, without an error: a rule that accepts SSH on eth0 does not see
what comes in through the bridge over eth0.
"""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import KERNEL_KINDS, interfaces_of, port_names
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan

#: How many places are listed for each interface and kind.
_MOST = 5


def find_role_changes(plan: Plan, live: Live) -> dict[str, str]:
    """Return what happens to each existing interface whose name stands for something else after the change, in words:
    `becomes a port of br-eth0`."""
    desired = interfaces_of(plan.desired) or interfaces_of(plan.state)
    kinds = {i["name"]: KERNEL_KINDS.get(i["type"]) for i in desired if i.get("state") == "up"}
    controllers = {port: str(i["name"]) for i in interfaces_of(plan.desired) for port in port_names(i)}
    changes = {}
    for link in live.links.values():
        new_name = plan.new_names.get(link.name, link.name)
        controller = controllers.get(new_name)
        if link.name in plan.leaving:
            changes[link.name] = "is removed"
        elif new_name != link.name and kinds.get(link.name):
            changes[link.name] = f"becomes a {kinds[link.name]} (the NIC is renamed to {new_name})"
        elif new_name != link.name:
            changes[link.name] = f"is renamed to {new_name}"
        elif controller is not None and link.master != controller:
            changes[link.name] = f"becomes a port of {controller}"
    return changes


def note_name_uses(plan: Plan, live: Live) -> Iterator[str]:
    """Yield a note for each place that names an interface whose role changes."""
    if not plan.changes_host:
        return
    counts: dict[tuple[str, str], int] = {}
    for name, event in find_role_changes(plan, live).items():
        for use in live.surroundings.name_uses:
            if name not in use.names:
                continue
            number = counts[name, use.what] = counts.get((name, use.what), 0) + 1
            if number <= _MOST:
                yield f"the {use.what} `{use.text}` names {name}, which {event}"
    for (name, what), number in counts.items():
        if number > _MOST:
            plural = "s" if number > _MOST + 1 else ""
            yield f"{number - _MOST} more {what}{plural} for {name}: check them all"


def note_stopped_guests(plan: Plan, live: Live) -> Iterator[str]:
    """Yield a note for each stopped guest that names an interface which is removed, or becomes a port: a macvtap of
    libvirt cannot be on a port."""
    if not plan.changes_host:
        return
    changes = find_role_changes(plan, live)
    names = {i["name"] for i in interfaces_of(plan.desired) if i.get("state") == "up"}
    for guest in live.surroundings.running.stopped:
        for nic in guest.nics:
            source = nic.source or live.surroundings.running.bridges.get(nic.network, "")
            event = changes.get(source)
            is_gone = event == "is removed" and source not in names
            if event is not None and (is_gone or (nic.kind == "direct" and "port" in event)):
                yield f"the stopped guest {guest.name} is connected to {source}, which {event}: it will not start"
