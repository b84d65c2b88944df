"""What a change does to the host, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvmnet.core.base.enumeration import both_or_all, join_names
from kvmnet.core.effects.host_effects import HostEffects, InterfaceEffect
from kvmnet.core.effects.interruption import Cause, Interruption
from kvmnet.core.effects.management import BY_CONNECTION, Management

_DEFAULT = ("0.0.0.0/0", "::/0")
_CAUSES = {
    Cause.RENAMED_UP: "{} is renamed while it is up",
    Cause.RENAMED_DOWN: "{} is set down to be renamed",
    Cause.MOVES: "the address moves to {}",
    Cause.JOINS_BOND: "{} becomes a port of a bond",
    Cause.PORT_CHANGES: "{} leaves its bridge or bond",
    Cause.RECREATED: "{} is recreated",
    Cause.REMOVED_FIRST: "{} is removed before NICs are renamed",
    Cause.DHCP: "{} requests the address again",
    Cause.APPLIED_AGAIN: "{} is applied again in place",
    Cause.BOND_ACTIVATED: "{} is activated again with its ports",
}
_LINK_DOWN = (
    "the link of a NIC goes down: with a cable it takes 1 to 5 s more, and up to 50 s if the switch port runs "
    "spanning tree"
)
_MAC_CHANGE = "DHCP reservations and switch port security by MAC address will not match"


def format_host_effects(effects: HostEffects) -> list[str]:
    """Return what happens to this host: a heading, and a line for each management address, each interface that gains
    or loses something, each address on two interfaces, and the interruption."""
    lines = [_management_text(one) for one in effects.management]
    lines += [text for effect in effects.interfaces for text in _interface_texts(effect)]
    lines += [
        f"warning: {join_names(names)} will {both_or_all(names)} have {ip}: replies arrive at only one of them"
        for ip, names in effects.duplicates
    ]
    if effects.management:
        lines.append(_interruption_text(effects.interruption))
    return ["this host:", *(f"  {line}" for line in lines)] if lines else []


def _management_text(one: Management) -> str:
    origin = "your connection" if one.why == BY_CONNECTION else "default route"
    subject = f"management address {one.address} ({origin})"
    before = _place(one.kinds[0], one.before, one.below_before)
    after = _place(one.kinds[1], one.after or "", one.below_after)
    if one.after is None:
        return f"{subject}: on {before} now, on no interface afterwards"
    if one.before == one.after and one.below_before == one.below_after:
        text = f"{subject}: stays on {before}"
    else:
        text = f"{subject}: on {before} now, on {after} afterwards"
    if one.mac is not None:
        text += f"; its MAC address changes ({one.mac[0]} -> {one.mac[1]}): {_MAC_CHANGE}"
    return text


def _place(kind: str, name: str, below: Sequence[str]) -> str:
    return f"{kind} {name} over {join_names(below)}" if below else f"{kind} {name}"


def _interface_texts(effect: InterfaceEffect) -> Iterator[str]:
    clauses = list(_clauses(effect))
    if clauses:
        name = effect.old_name or effect.name
        yield f"{name if effect.type == 'NIC' else f'{effect.type} {name}'} {'; '.join(clauses)}"
    for address, service in effect.virtual:
        yield (
            f"{service}'s address {address} on {effect.old_name or effect.name} is removed when NetworkManager applies "
            f"the interface; {service} decides where it is set again"
        )


def _clauses(effect: InterfaceEffect) -> Iterator[str]:
    lost = [*effect.lost_addresses, *map(_route_text, effect.lost_routes)]
    gained = [*effect.gained_addresses, *map(_route_text, effect.gained_routes)]
    before, after = effect.before, effect.after
    if effect.event == "renamed":
        yield f"is renamed to {effect.name}"
    elif effect.event in ("taken down", "recreated") or (effect.event == "removed" and lost):
        yield f"is {effect.event}"
    elif effect.event == "new" and gained:
        yield "is new"
    if effect.event not in ("new", "removed", "taken down") and before.controller != after.controller:
        yield f"becomes a port of {after.controller}" if after.controller else f"leaves {before.controller}"
    if lost:
        yield f"loses {join_names(lost)}"
    if gained:
        yield f"gains {join_names(gained)}"
    if effect.event in ("removed", "taken down", "new"):
        return
    if effect.lost_ports:
        whole = "its only port" if len(effect.lost_ports) == 1 else "all its ports"
        yield f"loses {whole if effect.loses_last_port else 'its port'} {join_names(effect.lost_ports)}"
    if effect.gained_ports:
        yield f"gets {'port' if len(effect.gained_ports) == 1 else 'ports'} {join_names(effect.gained_ports)}"
    if before.mac and after.mac and before.mac != after.mac:
        yield f"gets another MAC address ({before.mac} -> {after.mac}): {_MAC_CHANGE}"
    if before.zone != after.zone and after.controller is None:  # a port's packets have the zone of its controller
        yield f"moves from {_zone(before.zone)} to {_zone(after.zone)}"


def _zone(name: object) -> str:
    return f"firewalld zone {name}" if name else "the default firewalld zone"


def _route_text(route: tuple[str, str]) -> str:
    to, via = route
    return f"the default route via {via}" if to in _DEFAULT else f"the route to {to} via {via}"


def _interruption_text(interruption: Interruption) -> str:
    if interruption.lost:
        return "the host will not be reachable by an address that no interface has afterwards"
    causes = [_CAUSES[cause].format(name) for cause, name in interruption.causes]
    if not interruption.at_most:
        return f"no interruption is expected{f' ({join_names(causes)})' if causes else ''}"
    reasons = [text for text, (cause, _) in zip(causes, interruption.causes) if cause is not Cause.APPLIED_AGAIN]
    text = (
        f"expected interruption: at most {interruption.at_most:g} s ({join_names(reasons)}; measured with virtual NICs)"
    )
    return f"{text}; {_LINK_DOWN}" if interruption.takes_link_down else text
