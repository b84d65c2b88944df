"""The sections ipv4 and ipv6 of keyfiles: methods, addresses, routes, rules and name servers.

Source of the keys: nm-settings-keyfile(5). The values that a state leaves to nmstate are those that nmstate 2.2 writes
(`nmstatectl gc`), so that a profile from a file is the same as one from `kvmnet apply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from kvmnet.core.base.nmstate import FAMILIES, LOOPBACK, MAIN_TABLE, State, dns_of, interfaces_of, routes_of, rules_of
from kvmnet.core.planning.rule_changes import find_holder

Section = dict[str, str]
Placed = dict[tuple[str, str], Section]
"""Keys by interface and family."""

#: NetworkManager's largest timeout: it never stops to ask, as nmstate wants it.
_NEVER = "2147483647"
_DEFAULT_ROUTES = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
#: nmstate's order of the name servers: those of the family of the first one come first.
_FIRST_PRIORITY, _SECOND_PRIORITY = "40", "50"


def make_family(settings: Mapping[str, Any], family: str) -> Section:
    """Return the section of one IP family from its settings in a state. An interface that stays down has none."""
    section: Section = {"method": _find_method(settings, family)}
    if family == "ipv6" and "enabled" in settings:
        section["addr-gen-mode"] = "eui64"
    if not settings.get("enabled"):
        return section
    for number, address in enumerate(settings.get("address", []), 1):
        section[f"address{number}"] = f"{address['ip']}/{address['prefix-length']}"
    if settings.get("dhcp") or settings.get("autoconf"):
        section.update(_make_automatic(settings, family))
    return section


def _find_method(settings: Mapping[str, Any], family: str) -> str:
    has_addresses = bool(settings.get("address"))
    if not settings.get("enabled"):
        return "disabled"
    if settings.get("autoconf") or (settings.get("dhcp") and family == "ipv4"):
        return "auto"
    if settings.get("dhcp"):
        return "dhcp"
    if has_addresses:
        return "manual"
    return "disabled" if family == "ipv4" else "link-local"


def _make_automatic(settings: Mapping[str, Any], family: str) -> Section:
    """Return the keys for addresses from DHCP and routers."""
    section: Section = {"dhcp-timeout": _NEVER, "dhcp-send-hostname": "true"}
    if family == "ipv6":
        section.update({"ra-timeout": _NEVER, "dhcp-duid": "ll", "dhcp-iaid": "mac"})
    elif settings.get("dhcp-client-id") == "ll":
        section["dhcp-client-id"] = "mac"
    for key, name in (("auto-dns", "ignore-auto-dns"), ("auto-routes", "ignore-auto-routes")):
        section[name] = _boolean(settings.get(key) is False)
    section["never-default"] = _boolean(settings.get("auto-gateway") is False)
    if "auto-route-metric" in settings:
        section["route-metric"] = str(settings["auto-route-metric"])
    return section


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def place_routes(state: State) -> Placed:
    """Return the routes of each interface."""
    placed: Placed = {}
    for route in routes_of(state):
        section = placed.setdefault((str(route["next-hop-interface"]), _family_of(str(route["destination"]))), {})
        number = sum(not key.endswith("_options") for key in section) + 1
        section[f"route{number}"] = f"{route['destination']},{route.get('next-hop-address', '')},{route['metric']}"
        section[f"route{number}_options"] = f"table={route['table-id']}"
    return placed


def place_rules(state: State) -> tuple[Placed, list[str]]:
    """Return the routing rules by the interface whose profile has them, and the texts of those that none can have."""
    placed: Placed = {}
    homeless = []
    for rule in rules_of(state):
        holder, text = find_holder(rule, state), format_rule(rule)
        if holder is None:
            homeless.append(text)
            continue
        section = placed.setdefault((holder, str(rule["family"])), {})
        section[f"routing-rule{len(section) + 1}"] = text
    return placed, homeless


def format_rule(rule: Mapping[str, Any]) -> str:
    """Return a rule of a state in the notation of `ip rule add`, as keyfiles have it."""
    words = [f"priority {rule['priority']}"]
    words += [f"from {rule['ip-from']}"] if "ip-from" in rule else []
    words += [f"to {rule['ip-to']}"] if "ip-to" in rule else []
    if "ip-from" not in rule and "ip-to" not in rule:
        words.append(f"from {_DEFAULT_ROUTES[rule['family']]}")
    words += [f"iif {rule['iif']}"] if "iif" in rule else []
    words += [f"fwmark {rule['fwmark']}"] if "fwmark" in rule else []
    words.append(f"table {rule.get('route-table') or MAIN_TABLE}")
    words += [f"type {rule['action']}"] if "action" in rule else []
    return " ".join(words)


def place_name_servers(state: State) -> tuple[Placed, list[str]]:
    """Return the name servers and search domains by the interface whose profile has them, and those that none can have.

    The search domains are with the servers of the first family.
    """
    config = dns_of(state)
    servers, search = config.get("server", []), config.get("search", [])
    families = list(dict.fromkeys(map(_family_of, servers)))
    if not families and search:
        families = [family for family in FAMILIES if _find_holder_of_servers(state, family) is not None][:1]
    placed: Placed = {}
    homeless = list(search) if search and not families else []
    for family, priority in zip(families, (_FIRST_PRIORITY, _SECOND_PRIORITY)):
        holder = _find_holder_of_servers(state, family)
        own = [server for server in servers if _family_of(server) == family]
        if holder is None:
            homeless += own
            continue
        section: Section = {"dns-priority": priority}
        if own:
            section["dns"] = "".join(f"{server};" for server in own)
        if search and family == families[0]:
            section["dns-search"] = "".join(f"{domain};" for domain in search)
        placed[holder, family] = section
    return placed, homeless


def _find_holder_of_servers(state: State, family: str) -> Optional[str]:
    """Return the interface of the default route with the lowest metric, or else the first one with addresses of the
    family. A port has none, and the loopback interface is always up."""
    usable = [i["name"] for i in interfaces_of(state) if i["name"] != LOOPBACK and i.get(family, {}).get("enabled")]
    defaults = [route for route in routes_of(state) if route["destination"] == _DEFAULT_ROUTES[family]]
    routed = [route["next-hop-interface"] for route in sorted(defaults, key=lambda route: int(route["metric"]))]
    return next((str(name) for name in [*routed, *usable] if name in usable), None)


def _family_of(text: str) -> str:
    return "ipv6" if ":" in text else "ipv4"
