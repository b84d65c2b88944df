"""What changes on each host, in lines; hosts with the same change are folded into one entry.

Two hosts have the same change if their lines differ in nothing but their own addresses and MAC addresses. These get a
number, and a line below the change has their values.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from kvmnet.core.base.nmstate import FAMILIES, interfaces_of, routes_of
from kvmnet.core.effects.impact import DISCONNECTED, INTERRUPTED, UNTOUCHED
from kvmnet.core.planning.difference import route_text
from kvmnet.core.reporting.host_text import format_host_effects
from kvmnet.core.reporting.report import format_change
from kvmnet.core.review.host_review import CHANGED, NEW, GuestEffect, HostReview

#: How many hosts, guests or values a line names.
NAMED = 5
_VALUE = re.compile(
    r"(?<![\w.:/])(?:(?P<ip>[0-9]+(?:\.[0-9]+){3}/[0-9]+|[0-9a-f:]*:[0-9a-f:]+/[0-9]+)"
    r"|(?P<mac>[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}))(?![\w.:])"
)


@dataclass(frozen=True)
class Entry:
    """Hosts with the same change, and its lines."""

    hosts: tuple[HostReview, ...]
    lines: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The hosts' names; of a renamed host both."""
        return [f"{h.old_name} -> {h.host}" if h.old_name else h.host for h in self.hosts]

    @property
    def flags(self) -> list[str]:
        """What a reviewer must know first, a few words each."""
        first = self.hosts[0]
        if first.event != CHANGED:
            return [first.event]
        flags = ["no interface has the management address afterwards"] if first.is_lost else []
        flags += [f"apply will refuse ({', '.join(dict.fromkeys(r.code for r in first.refusals))})"] * bool(
            first.refusals
        )
        flags += (
            [f"{first.seconds_away:g} s without network at most"] if first.seconds_away and not first.is_lost else []
        )
        flags += ["default route"] if first.default_route_interfaces else []
        flags += ["renames NICs"] if first.renamed_nics else []
        for how in (DISCONNECTED, INTERRUPTED):
            named = {(host.host, g.guest) for host in self.hosts for g in host.guests_of(how) if g.guest is not None}
            flags += [f"{count(len(named), 'guest')} {how}"] if named else []
            flags += [f"guests {how}"] if not named and first.guests_of(how) else []
        return flags or ([] if first.changes else ["nothing changes on the host"])


def count(number: int, noun: str) -> str:
    """Return a number with its noun: "1 host", "2 hosts"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def list_names(names: Sequence[str], limit: int = NAMED) -> str:
    """Return names separated by commas, at most `limit` of them, and how many more there are."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def fold_hosts(hosts: Sequence[HostReview]) -> list[Entry]:
    """Return an entry for each different change, in the order of their first hosts."""
    groups: dict[tuple[object, ...], list[tuple[HostReview, list[str]]]] = {}
    for host in hosts:
        values: list[str] = []
        text = host.hide_invented_macs("\n".join(_host_lines(host)))
        template = _VALUE.sub(partial(_take_value, values), text)
        effects = frozenset((g.how, g.over, g.why) for g in host.guests if g.how != UNTOUCHED)
        groups.setdefault((host.event, template, effects), []).append((host, values))
    return [_make_entry(template, rows) for (_, template, _), rows in groups.items()]


def _take_value(values: list[str], match: re.Match[str]) -> str:
    """Return what stands for a host's own address in the template, and remember the address."""
    stand_in = _stand_in(match[0])
    if stand_in == match[0]:
        return stand_in
    values.append(match[0])
    return stand_in


@lru_cache(maxsize=100_000)
def _stand_in(value: str) -> str:
    """Return the text that is the same for all hosts of a subnet; destinations of routes stay as they are."""
    if "/" not in value:
        return "\0MAC\0"
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        return value
    network = interface.network
    return value if network.network_address == interface.ip else f"\0{network}\0"


def _make_entry(template: object, rows: Sequence[tuple[HostReview, list[str]]]) -> Entry:
    """Return the entry of hosts with the same template. Values that are the same on all hosts are put back."""
    hosts = [host for host, _ in rows]
    numbers: dict[tuple[str, ...], str] = {}
    texts = []
    for of_hosts in zip(*(values for _, values in rows)):
        if len(set(of_hosts)) == 1:
            texts.append(of_hosts[0])
        else:
            kind = "address" if "/" in of_hosts[0] else "MAC address"
            texts.append(numbers.setdefault(of_hosts, f"<{kind} {len(numbers) + 1}>"))
    waiting = iter(texts)
    text = re.sub("\0[^\0]*\0", lambda _: next(waiting), str(template))
    lines = text.split("\n") if text else []
    for of_hosts, name in numbers.items():
        pairs = [f"{value} on {host.host}" for host, value in zip(hosts, of_hosts)]
        lines.append(f"  {name}: {list_names(pairs)}")
    return Entry(tuple(hosts), (*lines, *_guest_lines(hosts)))


def _host_lines(review: HostReview) -> Iterator[str]:
    """Yield the lines about a host, without its guests."""
    if review.event == NEW:
        yield from _new_host_lines(review)
        return
    if review.event != CHANGED:
        yield "  nothing changes on it: `kvmnet remove` on the host restores it"
        return
    for change in review.changes:
        yield from format_change(change, review.descriptions)
    if review.effects is not None:
        yield from (f"  {line}" for line in format_host_effects(review.effects))
    for refusal in review.refusals:
        yield f"  apply will refuse this: {refusal.code}: {refusal.message}"
    yield from (f"  recorded: {line}" for line in review.recorded)
    for mac, name in review.assumed:
        yield f"  note: the kernel name of the new NIC {mac} is not known; here it is {name}"


def _new_host_lines(review: HostReview) -> Iterator[str]:
    for interface in interfaces_of(review.state):
        rows = [a for family in FAMILIES for a in interface.get(family, {}).get("address", [])]
        addresses = [f"{a['ip']}/{a['prefix-length']}" for a in rows]
        asks = any(interface.get(f, {}).get(key) for f in FAMILIES for key in ("dhcp", "autoconf"))
        addresses += ["by DHCP or from routers"] if asks else []
        yield f"  + {interface['type']} {interface['name']}{': ' if addresses else ''}{', '.join(addresses)}"
    yield from (f"  + route {route_text(route)}" for route in routes_of(review.state))


def _guest_lines(hosts: Sequence[HostReview]) -> Iterator[str]:
    """Yield the lines about the guests of hosts with the same change."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for host in hosts:
        for effect in host.guests:
            if effect.how != UNTOUCHED:
                name = _guest_name(effect, host, len(hosts) > 1)
                groups.setdefault((effect.how, effect.over, effect.why), []).append(name)
    order = (DISCONNECTED, INTERRUPTED)
    for (how, over, why), found in sorted(groups.items(), key=lambda row: (order.index(row[0][0]), row[0])):
        place = "" if found[0].startswith("guests on ") else f" on {over}"
        yield f"  {list_names(list(dict.fromkeys(found)))}{place}: {how}: {why}"
    effects = [effect for host in hosts for effect in host.guests if effect.guest is not None]
    affected = {effect.guest for effect in effects if effect.how != UNTOUCHED}
    if names := [name for name in dict.fromkeys(str(effect.guest) for effect in effects) if name not in affected]:
        yield f"  untouched guests: {list_names(names)}"


def _guest_name(effect: GuestEffect, host: HostReview, is_folded: bool) -> str:
    if effect.guest is None:
        return effect.name
    return f"guest {effect.guest}" + (f" ({host.host})" if is_folded else "")
