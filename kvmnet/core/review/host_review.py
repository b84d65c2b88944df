"""The review of one host: what a plan on it would report, if its old bundle is applied and the new one is next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.assessment import Assessment, assess
from kvmnet.core.base.nmstate import State, interfaces_of
from kvmnet.core.base.profile_settings import ZONE
from kvmnet.core.effects.holdings import Facts
from kvmnet.core.effects.host_effects import HostEffects, find_host_effects
from kvmnet.core.effects.impact import DISCONNECTED, INTERRUPTED, UNTOUCHED, Impact
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.changes import Change
from kvmnet.core.refusals import Refusal, find_refusals
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.review.applied_host import find_assumed_names, find_invented_macs, make_applied_host
from kvmnet.core.review.guest_ports import with_guests
from kvmnet.core.views.host_view import GuestPortView

NEW, REMOVED, CHANGED = "new", "removed", "changed"
#: The refusals that follow from the two definitions alone. Others need facts of the host.
CODES = ("KVN521", "KVN522", "KVN523", "KVN525", "KVN526", "KVN528", "KVN529", "KVN530", "KVN534", "KVN537")


@dataclass(frozen=True)
class GuestEffect:
    """What happens to a NIC of a guest. guest: None for any guest of a bridge, or one of which only the MAC address is
    known; over: what it is connected to; how, why: as in `Impact`."""

    guest: Optional[str]
    mac: str
    over: str
    how: str
    why: str = ""

    @property
    def name(self) -> str:
        """What to call the guest."""
        return self.guest or (f"the guest with MAC address {self.mac}" if self.mac else f"guests on {self.over}")


@dataclass(frozen=True)
class HostReview:
    """What the new definition does to one host.

    host: its name in the new definition (of a removed host: in the old one); old_name: its other name before.
    event: `NEW`, `REMOVED` or `CHANGED`.
    changes: those of the plan; effects: what they do to the host itself; guests: and to its guests.
    refusals: why `kvmnet apply` would refuse the change, as far as the definitions show it.
    recorded: what differs in the bundle and changes nothing on the host now, a line each.
    assumed: kernel names that kvmnet assumes for new NICs, by MAC address.
    invented_macs: MAC addresses that stand for those of NICs of which none is known.
    descriptions: those of interfaces, for human readers; state: that of a new host.
    """

    host: str
    event: str
    old_name: Optional[str] = None
    changes: tuple[Change, ...] = ()
    effects: Optional[HostEffects] = None
    guests: tuple[GuestEffect, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    recorded: tuple[str, ...] = ()
    assumed: tuple[tuple[str, str], ...] = ()
    invented_macs: frozenset[str] = frozenset()
    descriptions: Mapping[str, str] = field(default_factory=dict)
    state: State = field(default_factory=dict, repr=False)

    @property
    def default_route_interfaces(self) -> list[str]:
        """The interfaces with the address that the default route uses, if the change affects the way to it."""
        if self.event != CHANGED or self.effects is None:
            return []
        interruption = self.effects.interruption
        names = [m.before for m in self.effects.management]
        is_moved = any((m.before, m.below_before) != (m.after, m.below_after) for m in self.effects.management)
        lost = [r for e in self.effects.interfaces for r in e.lost_routes if r[0] in ("0.0.0.0/0", "::/0")]
        is_affected = bool(interruption.causes) or interruption.lost or is_moved or bool(lost)
        return list(dict.fromkeys(names)) if is_affected else []

    @property
    def renamed_nics(self) -> list[str]:
        """The current names of the NICs that are renamed."""
        return [change.name for change in self.changes if change.kind == "rename"] if self.event == CHANGED else []

    @property
    def is_lost(self) -> bool:
        """Whether the host has its management address on no interface afterwards."""
        return self.event == CHANGED and self.effects is not None and self.effects.interruption.lost

    @property
    def seconds_away(self) -> float:
        """The expected interruption of the way to the host, in seconds at most."""
        return self.effects.interruption.at_most if self.event == CHANGED and self.effects is not None else 0.0

    def hide_invented_macs(self, text: str) -> str:
        """Return a text without MAC addresses that are only assumed."""
        for mac in self.invented_macs:
            text = text.replace(mac, "unknown").replace(mac.upper(), "unknown")
        return text

    def guests_of(self, how: str) -> list[GuestEffect]:
        """Return the NICs of guests to which this happens."""
        return [effect for effect in self.guests if effect.how == how]

    @property
    def weight(self) -> tuple[int, ...]:
        """How much a reviewer should look at it; the largest first."""
        return (
            int(self.is_lost),
            len(self.refusals),
            len(self.guests_of(DISCONNECTED)),
            len(self.default_route_interfaces),
            len(self.guests_of(INTERRUPTED)),
            len(self.renamed_nics),
            len(self.changes),
        )


def review_changed_host(old: Bundle, new: Bundle, ports: Sequence[GuestPortView] = ()) -> Optional[HostReview]:
    """Return what the new bundle does to a host that has the old one applied; None when both are the same. `ports` are
    those of the old definition's guests."""
    if old.digest == new.digest and old.host == new.host:
        return None
    live = with_guests(make_applied_host(old, new.nics), old, ports)
    assessment = assess(new, live)
    renamed = old.host if old.host != new.host else None
    recorded = tuple(_find_recorded(old, new))
    if not assessment.plan.changes_host:
        recorded = recorded or ("other data of its bundle",)
        return HostReview(new.host, CHANGED, renamed, recorded=recorded)
    return HostReview(
        host=new.host,
        event=CHANGED,
        old_name=renamed,
        changes=tuple(change for change in assessment.plan.changes if change.kind != "record"),
        effects=find_effects(assessment),
        guests=tuple(_guest_effect(impact, live) for impact in assessment.impacts),
        refusals=tuple(find_refusals(assessment, CODES)),
        recorded=recorded,
        assumed=tuple(find_assumed_names(old, new.nics).items()),
        invented_macs=frozenset(find_invented_macs(old, new.nics)),
        descriptions=new.descriptions,
    )


def review_new_host(new: Bundle) -> HostReview:
    """Return the review of a host that only the new definition has."""
    return HostReview(new.host, NEW, state=new.state)


def review_removed_host(old: Bundle) -> HostReview:
    """Return the review of a host that only the old definition has."""
    return HostReview(old.host, REMOVED)


def find_effects(assessment: Assessment) -> Optional[HostEffects]:
    """Return what a plan does to the host itself. The kernel is assumed to rename only NICs that are down, as those
    before 6.2 do: the interruption is the longer one."""
    plan, live = assessment.plan, assessment.live
    stated = {name: str(s[ZONE.name]) for name, s in plan.bundle.profile_settings.items() if ZONE.name in s}
    facts = Facts(renames_while_up=False, zones=stated)
    return find_host_effects(plan, live, assessment.view_after_renames, facts, assessment.topologies)


def _guest_effect(impact: Impact, live: Live) -> GuestEffect:
    link = live.links.get(impact.device)
    mac = impact.mac or (link.address if link is not None and link.kind == "macvtap" else "")
    return GuestEffect(impact.guest, mac, impact.over, impact.how, impact.why if impact.how != UNTOUCHED else "")


def _find_recorded(old: Bundle, new: Bundle) -> Iterator[str]:
    """Yield what differs and is only recorded on the host: probes, descriptions, and the devices that exist only while
    a guest runs."""
    if old.host != new.host:
        yield f"its name: {old.host} -> {new.host}"
    if old.cluster != new.cluster:
        yield f"the cluster's name: {old.cluster} -> {new.cluster}"
    probes = [probe.text for probe in old.probes], [probe.text for probe in new.probes]
    yield from (f"probe removed: {text}" for text in probes[0] if text not in probes[1])
    yield from (f"probe added: {text}" for text in probes[1] if text not in probes[0])
    for name in {**old.descriptions, **new.descriptions}:
        texts = old.descriptions.get(name, "none"), new.descriptions.get(name, "none")
        if texts[0] != texts[1]:
            yield f"description of {name}: {texts[0]} -> {texts[1]}"
    yield from _find_on_demand(old.guests or {}, new.guests or {})


def _find_on_demand(old: State, new: State) -> Iterator[str]:
    before, after = ({i["name"]: i for i in interfaces_of(state)} for state in (old, new))
    for name in {**before, **after}:
        if name not in after:
            yield f"no longer for guests on demand: {_device_text(before[name])}"
        elif name not in before:
            yield f"for guests on demand: {_device_text(after[name])}"
        elif before[name] != after[name]:
            yield f"for guests on demand: {_device_text(before[name])} -> {_device_text(after[name])}"


def _device_text(interface: dict[str, Any]) -> str:
    name, mtu = interface["name"], f", MTU {interface['mtu']}" if "mtu" in interface else ""
    if interface["type"] == "vlan":
        return f"VLAN {interface['vlan']['id']} {name} over {interface['vlan']['base-iface']}{mtu}"
    section = interface["mac-vtap"]
    return f"macvtap on {section['base-iface']} for {interface['mac-address'].lower()}, {section['mode']}{mtu}"
