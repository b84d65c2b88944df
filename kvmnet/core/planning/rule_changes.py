"""The part of a plan that is routing rules.

A rule belongs to no interface, but NetworkManager sets and removes it with a connection profile that contains it, and
only what a profile contains is there after a reboot. nmstate chooses the profile (nm/route_rule.rs): of an interface
that it changes and that has a route in the rule's table, else of the first interface that it is given, else of the
loopback interface. So an interface of the definition is always sent together with a rule.

nmstate only adds rules. kvmnet removes those that it applied before and that left the definition; rules of other tools
stay.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import MAIN_TABLE, State, interfaces_of, port_names, routes_of, rules_of
from kvmnet.core.live.live_host import Live, version_of
from kvmnet.core.planning.changes import Change, RuleDetail

Rule = Mapping[str, Any]
RuleKey = tuple[Any, ...]

#: Before this version, nmstate replaced all rules of a profile by the new ones (its changelog).
_APPENDS_RULES = (2, 2, 27)
_EVERYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True)
class RuleComparison:
    """The rules to send to nmstate, the interfaces that must be sent with them, and the changes."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    holders: tuple[str, ...] = ()
    changes: list[Change] = field(default_factory=list)


def compare_rules(desired: State, live: Live, new_names: Mapping[str, str], going: Collection[str]) -> RuleComparison:
    """Compare the rules of a state with those of the host. `new_names` are those of NICs that are renamed, `going` the
    interfaces that are removed."""
    wanted = {rule_key(rule): rule for rule in rules_of(desired)}
    present = {_renamed(rule_key(rule), new_names) for rule in rules_of(live.state)}
    held = set(_find_held(desired, live, new_names, going))
    to_send = [rule for key, rule in wanted.items() if key not in present or key not in held]
    version = version_of(live.nmstate)
    if to_send and version and version < _APPENDS_RULES:
        to_send = list(wanted.values())
    changes = [
        Change("add" if key not in present else "save", "rule", (RuleDetail(rule),))
        for key, rule in wanted.items()
        if key not in present or key not in held
    ]
    removed = [
        rule for rule in rules_of(live.applied_state) if (key := rule_key(rule)) not in wanted and key in present
    ]
    changes = [*(Change("remove", "rule", (RuleDetail(rule),)) for rule in removed), *changes]
    absent = [{"state": "absent", **rule} for rule in removed]
    holders = tuple(dict.fromkeys(name for rule in to_send if (name := find_holder(rule, desired))))
    return RuleComparison([*absent, *(dict(rule) for rule in to_send)], holders, changes)


def rule_key(rule: Rule) -> RuleKey:
    """Return what identifies a rule: family, source, destination, incoming interface, mark, table, action, priority."""
    selectors = [_subnet(rule.get(key)) for key in ("ip-from", "ip-to")]
    family = rule.get("family") or ("ipv6" if any(":" in (text or "") for text in selectors) else "ipv4")
    mark = rule.get("fwmark")
    mark = int(mark, 0) if isinstance(mark, str) else mark
    action = rule.get("action")
    table = None if action else rule.get("route-table") or MAIN_TABLE
    return (family, *selectors, rule.get("iif"), mark or None, table, action, rule.get("priority"))


def rule_text(rule: Rule) -> str:
    """Return a rule as `ip rule` prints it: `from 198.51.100.7 lookup 100 priority 1000`."""
    words = [f"from {_short(rule['ip-from'])}" if rule.get("ip-from") else "from all"]
    words += [f"to {_short(rule['ip-to'])}"] if rule.get("ip-to") else []
    words += [f"iif {rule['iif']}"] if rule.get("iif") else []
    words += [f"fwmark {rule['fwmark']}"] if rule.get("fwmark") else []
    words.append(str(rule["action"]) if rule.get("action") else f"lookup {rule.get('route-table') or MAIN_TABLE}")
    family = " (IPv6)" if rule.get("family") == "ipv6" and not (rule.get("ip-from") or rule.get("ip-to")) else ""
    return f"{' '.join(words)} priority {rule.get('priority')}{family}"


def _short(subnet: str) -> str:
    net = ipaddress.ip_network(subnet, strict=False)
    return str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net)


def _subnet(text: Optional[str]) -> Optional[str]:
    """Return a selector in its short form; None for one that fits everything."""
    subnet = str(ipaddress.ip_network(text, strict=False)) if text else None
    return None if subnet in _EVERYWHERE else subnet


def _renamed(key: RuleKey, new_names: Mapping[str, str]) -> RuleKey:
    return (*key[:3], new_names.get(key[3], key[3]), *key[4:])


def _find_held(desired: State, live: Live, new_names: Mapping[str, str], going: Collection[str]) -> Iterator[RuleKey]:
    """Yield the rules that active profiles contain and keep: not those of interfaces that are removed or become ports,
    and not those of a family that the change disables. (A disabled family may have rules all the same.)"""
    ports = {port for interface in interfaces_of(desired) for port in port_names(interface)}
    wanted = {interface["name"]: interface for interface in interfaces_of(desired)}
    current = {interface["name"]: interface for interface in interfaces_of(live.state)}
    for device, profile in live.profiles.items():
        name = new_names.get(device, device)
        if device in going or name in ports:
            continue
        for family, text in (("ipv4", profile.rules4), ("ipv6", profile.rules6)):
            was_enabled = current.get(device, {}).get(family, {}).get("enabled", False)
            is_enabled = wanted.get(name, {}).get(family, {}).get("enabled", was_enabled)
            if is_enabled or not was_enabled:
                yield from (_renamed(key, new_names) for key in parse_profile_rules(family, text))


def parse_profile_rules(family: str, text: str) -> Iterator[RuleKey]:
    """Yield the rules of a profile that nmcli prints: `priority 1000 from 198.51.100.7/32 table 100, …`."""
    for rule in text.split(","):
        words = rule.split()
        values: dict[str, str] = dict(zip(words, words[1:]))
        if "priority" not in values:
            continue
        parsed: dict[str, Any] = {"family": family, "priority": int(values["priority"], 0)}
        parsed.update({f"ip-{key}": values[key] for key in ("from", "to") if values.get(key, "all") != "all"})
        parsed["iif"] = values.get("iif")
        parsed["fwmark"] = values.get("fwmark", "").partition("/")[0] or None
        parsed["route-table"] = int(table) if (table := values.get("table", "")).isdigit() else None
        parsed["action"] = next((a for a in ("blackhole", "unreachable", "prohibit") if a in words), None)
        yield rule_key(parsed)


def find_holder(rule: Rule, desired: State) -> Optional[str]:
    """Return an interface of the definition whose profile can contain a rule: its incoming interface, else one with a
    route in its table, else the first one with addresses of the family."""
    usable = [i["name"] for i in interfaces_of(desired) if i.get(str(rule["family"]), {}).get("enabled")]
    is_ipv6 = rule["family"] == "ipv6"
    routed: Iterable[str] = (
        str(route["next-hop-interface"])
        for route in routes_of(desired)
        if route.get("table-id") == (rule.get("route-table") or MAIN_TABLE)
        and (":" in str(route["destination"])) == is_ipv6
    )
    return next((name for name in (rule.get("iif"), *routed, *usable) if name in usable), None)
