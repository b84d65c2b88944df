"""What a person should know of a plan before it is made, and what nothing is refused for."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import interfaces_of, port_names
from kvmnet.core.effects.boot_rivals import rivals
from kvmnet.core.live.live_host import UNREADABLE, Live
from kvmnet.core.planning.plan import Plan

_KEEP_RULES = (
    "no definition can say them; to keep them give them to the connection profile of an interface that stays, or to a "
    "script in /etc/NetworkManager/dispatcher.d, before"
)


def notes(plan: Plan, live: Live) -> list[str]:
    """A line each."""
    return [*_not_seen(live), *_identities(plan), *_routing_rules(plan, live), *_equal_profiles(plan, live)]


def _not_seen(live: Live) -> list[str]:
    """Whoever may not look at what is applied does not see what left the definition since, nor what is kvmnet's."""
    if live.applied != UNREADABLE:
        return []
    return ["what has left the definition is not in this plan, as only root may read what is applied: run it with sudo"]


def _identities(plan: Plan) -> Iterator[str]:
    """By what the machine goes on to get its addresses, and which of them it may lose."""
    for interface in interfaces_of(plan.state):
        identity = plan.identities.get(interface["name"])
        if identity is not None and identity.words:
            yield f"{interface['name']} keeps what it gets addresses by: {', '.join(identity.words)}"
        if identity is not None:
            yield from identity.lost


def _routing_rules(plan: Plan, live: Live) -> Iterator[str]:
    """Rules (`ip rule`) are of no interface, but come and go with the profile that says them; a port's says none."""
    ports = {port for interface in interfaces_of(plan.desired) for port in port_names(interface)}
    new = {r.old: r.new for r in plan.renames}
    for name, profile in live.profiles.items():
        rules = ", ".join(said for said in (profile.rules4, profile.rules6) if said)
        joins = name in plan.touched and new.get(name, name) in ports
        if rules and (joins or name in plan.leaving):
            what = "becomes a port" if joins else "is removed"
            words = f"{name} {what}, and the routing rules of its connection profile go ({rules}): {_KEEP_RULES}"
            yield f"{words}; or leave the NIC out of the definition" if joins else words


def _equal_profiles(plan: Plan, live: Live) -> list[str]:
    """A profile that fits as well, at the same autoconnect-priority (one of a higher is refused, KVN535)."""
    if not plan.touches:
        return []
    found = []
    for rival in [r for r in rivals(plan, live) if not r.wins]:
        profile = rival.profile
        when = "once somebody has activated it NetworkManager takes it at boot, as the one that was active last"
        if profile.device:
            when = f"it is active on {profile.device}, and at boot NetworkManager may take it for either"
        who = f"the connection profile {profile.id} ({profile.uuid}) fits {', '.join(rival.names)} too"
        found.append(f"{who}: {when}; keep it out: {rival.cure}")
    return found
