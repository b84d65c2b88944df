"""The review of a definition: its hosts before and after, each with what changes on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable, Optional

from kvmnet.core.definition.model import Guest
from kvmnet.core.effects.impact import DISCONNECTED, INTERRUPTED
from kvmnet.core.rendering.bundle import Bundle, Nic
from kvmnet.core.review.host_review import (
    CHANGED,
    NEW,
    REMOVED,
    HostReview,
    review_changed_host,
    review_new_host,
    review_removed_host,
)
from kvmnet.core.views.host_view import GuestPortView


@dataclass(frozen=True)
class Version:
    """A definition, or the states that were rendered from it. bundles: each is needed once, so that they can be
    rendered on demand; nics: those of each host's bundle; ports: what the guests of each host are connected to; guests:
    those of the definition (None: rendered states, which do not name guests)."""

    bundles: Mapping[str, Bundle]
    nics: Mapping[str, Sequence[Nic]]
    ports: Mapping[str, Sequence[GuestPortView]] = field(default_factory=dict)
    guests: Optional[Mapping[str, Guest]] = None


@dataclass(frozen=True)
class GuestChange:
    """A guest that differs in the definition: `NEW`, `REMOVED` or `CHANGED`, with what differs, a line each."""

    name: str
    event: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Review:
    """What differs between two versions. total: the number of hosts of both; hosts: those that differ, the ones that a
    reviewer should look at first; guests: the guests that differ in the definition."""

    hosts: tuple[HostReview, ...]
    total: int
    guests: tuple[GuestChange, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.hosts and not self.guests

    def count(self, event: str) -> int:
        """Return the number of hosts with this event."""
        return sum(host.event == event for host in self.hosts)

    @property
    def lost_hosts(self) -> list[str]:
        """The hosts that will have their management address on no interface."""
        return [h.host for h in self.hosts if h.is_lost]

    @property
    def interrupted_hosts(self) -> list[HostReview]:
        """The hosts that cannot be reached for a while."""
        return [h for h in self.hosts if h.seconds_away and h.host not in self.lost_hosts]

    def count_guests(self, how: str) -> int:
        """Return the number of guests of the definition to which this happens at worst, on any host."""
        worst: dict[str, str] = {}
        for host in self.hosts:
            for effect in host.guests:
                if effect.guest is None:
                    continue
                if effect.how == DISCONNECTED or (
                    effect.how == INTERRUPTED and worst.get(effect.guest) != DISCONNECTED
                ):
                    worst[effect.guest] = effect.how
        return sum(value == how for value in worst.values())

    def hosts_with_other_guests(self, how: str) -> list[str]:
        """Return the hosts on which this happens to guests that are not in the definition."""
        return [h.host for h in self.hosts if any(g.guest is None for g in h.guests_of(how))]


Follow = Callable[[Iterable[str], str, int], Iterable[str]]
"""Passes the names of hosts on, one after the other: what is done and the number of hosts follow. A command shows the
progress by it."""


def review_versions(old: Version, new: Version, follow: Follow = lambda names, activity, total: names) -> Review:
    """Return what differs between two versions. `follow` sees the progress."""
    pairs = match_hosts(old.nics, new.nics)
    hosts: list[HostReview] = []
    for name in follow(old.bundles, "hosts compared", len(old.bundles)):
        if name not in pairs:
            hosts.append(review_removed_host(old.bundles[name]))
            continue
        found = review_changed_host(old.bundles[name], new.bundles[pairs[name]], old.ports.get(name, ()))
        if found is not None:
            hosts.append(found)
    matched = set(pairs.values())
    hosts += [review_new_host(new.bundles[name]) for name in new.bundles if name not in matched]
    order = {CHANGED: 0, NEW: 1, REMOVED: 2}
    hosts.sort(key=lambda host: (order[host.event], [-part for part in host.weight]))
    total = len(old.bundles) + len(new.bundles) - len(pairs)
    return Review(tuple(hosts), total, tuple(_compare_guests(old.guests, new.guests)))


def match_hosts(old: Mapping[str, Sequence[Nic]], new: Mapping[str, Sequence[Nic]]) -> dict[str, str]:
    """Return the new name of each old host, from the NICs of all hosts.

    As on the host itself (core/live/match_host), the permanent MAC addresses of its NICs count first; the name counts
    where they fit no host or several.
    """
    by_mac = {nic.mac: name for name, nics in new.items() for nic in nics if nic.mac}
    pairs: dict[str, str] = {}
    by_name = []
    for name, nics in old.items():
        fitting = {by_mac[nic.mac] for nic in nics if nic.mac in by_mac}
        only = fitting.pop() if len(fitting) == 1 else None
        if only is not None and only not in pairs:
            pairs[only] = name
        elif name in new:
            by_name.append(name)
    for name in by_name:
        pairs.setdefault(name, name)
    return {before: after for after, before in pairs.items()}


def _compare_guests(old: Optional[Mapping[str, Guest]], new: Optional[Mapping[str, Guest]]) -> Iterator[GuestChange]:
    if old is None or new is None:
        return
    for name in {**old, **new}:
        if name not in new:
            yield GuestChange(name, REMOVED)
        elif name not in old:
            yield GuestChange(
                name, NEW, (_place_text(new[name]), *(_nic_text(mac, new[name]) for mac in _macs(new[name])))
            )
        elif details := tuple(_guest_differences(old[name], new[name])):
            yield GuestChange(name, CHANGED, details)


def _guest_differences(old: Guest, new: Guest) -> Iterator[str]:
    if _place_text(old) != _place_text(new):
        yield f"{_place_text(old)} -> {_place_text(new)}"
    before, after = _macs(old), _macs(new)
    for mac in dict.fromkeys([*before, *after]):
        if mac not in after:
            yield f"removed: {_nic_text(mac, old)}"
        elif mac not in before:
            yield f"new: {_nic_text(mac, new)}"
        elif _nic_text(mac, old) != _nic_text(mac, new):
            yield f"{_nic_text(mac, old)} -> {_networks_text(mac, new)}"


def _place_text(guest: Guest) -> str:
    return f"on host {guest.host}" if guest.host is not None else f"on hosts of group {guest.group}"


def _macs(guest: Guest) -> list[str]:
    return [nic.mac for nic in guest.nics]


def _nic_text(mac: str, guest: Guest) -> str:
    return f"NIC {mac} in {_networks_text(mac, guest)}"


def _networks_text(mac: str, guest: Guest) -> str:
    nic = next(nic for nic in guest.nics if nic.mac == mac)
    parts = [nic.title, *([f"attach: {nic.attach}"] if nic.attach else [])]
    if nic.trusts_guest is not None:
        parts.append(f"trust_guest_rx_filters: {str(nic.trusts_guest).lower()}")
    return ", ".join(parts)
