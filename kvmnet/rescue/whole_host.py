"""Reads the whole host for the snapshot, and compares what a transaction may have changed beyond its own interfaces.

An interface is the transaction's own if its name is in the snapshot (`names`). One depends on it if it is a port of one
or based on one, directly or not: what happens to the lower interface happens to it too. A difference in either is a
difference from the snapshot. All other interfaces are other tools': while a change runs, guests start, containers stop,
cables are pulled. What changed there is listed as a note, because a rollback must not fail, and so be repeated, for
something that kvmnet did not do and must not repair. The devices of guests and containers are not even noted.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Collection
from pathlib import Path
from typing import Optional

from kvmnet.rescue import difference_text
from kvmnet.system import bridge_ports, files, links, networkmanager
from kvmnet.system.errors import EXPECTED_ERRORS
from kvmnet.system.links import Kernel
from kvmnet.system.types import Json

#: The kinds of links that guests and containers bring and take away.
GUEST_KINDS = ("tun", "veth", "macvtap", "macvlan", "ipvtap", "ipvlan")

#: The largest number of notes.
NOTE_LIMIT = 20

#: How NetworkManager, and not only it, marks its routing rules in what `ip rule` prints.
_MANAGED_RULE = " proto static "

#: Routing tables that all interfaces use.
_SHARED_TABLES = frozenset(("local", "main", "default"))


def read_whole_host(kernel: Kernel) -> Json:
    """Return the part `host` of a snapshot: every interface with its index, static addresses, routes, routing rules,
    ports of bridges, and keyfiles. Raises HostError."""
    return {
        "links": links.read_links(kernel.links),
        "indices": {row["ifname"]: row["ifindex"] for row in kernel.links},
        "addresses": links.read_addresses(kernel.addresses, with_dynamic=False),
        "routes": kernel.routes,
        "rules": links.read_rules(),
        "ports": bridge_ports.read_ports(kernel.links),
        "keyfiles": networkmanager.hash_keyfiles(),
    }


def find_own_differences(before: Json, kernel: Kernel) -> list[str]:
    """Return the differences that the transaction is responsible for and that no other part of the snapshot has: ports
    of its bridges, routing rules, dependent interfaces, new keyfiles. None for a snapshot of an earlier kvmnet. Raises
    HostError."""
    if "host" not in before:
        return []
    missing_rules, new_rules = find_own_rules(before)
    return [
        *compare_own_ports(before, kernel),
        *(f"the routing rule {rule} is missing" for _, rule in missing_rules),
        *(f"the routing rule {rule} is new" for _, rule in new_rules),
        *compare_dependents(before, kernel),
        *(f"file {path}: did not exist before" for path in find_new_keyfiles(before)),
    ]


def own_ports(before: Json) -> Json:
    """Return the ports among the transaction's own interfaces, and its bridges that have VLANs themselves. The ports of
    guests are in the part `guests`."""
    ports = before.get("host", {}).get("ports", {})
    return {name: port for name, port in ports.items() if name in before["names"]}


def compare_own_ports(before: Json, kernel: Kernel) -> list[str]:
    saved = own_ports(before)
    current = bridge_ports.read_ports(kernel.links, saved) if saved else {}
    # a port of no bridge, or of another one, is a difference of the part `links`
    return [
        line
        for name, was in sorted(saved.items())
        if (now := current.get(name, {})).get("of") == was.get("of")
        for line in difference_text.compare_port(name, was, now)
    ]


def find_own_rules(before: Json) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the routing rules that are missing and those that are new, each with its family, as far as they are the
    transaction's own (`is_own_rule`). Raises HostError."""
    missing, new = _compare_rules(before)
    return [r for r in missing if is_own_rule(r[1], before)], [r for r in new if is_own_rule(r[1], before)]


def _compare_rules(before: Json) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    was, now = before["host"]["rules"], links.read_rules()
    missing = [(family, rule) for family, rules in was.items() for rule in rules if rule not in now.get(family, [])]
    return missing, [
        (family, rule) for family, rules in now.items() for rule in rules if rule not in was.get(family, [])
    ]


def is_own_rule(rule: str, before: Json) -> bool:
    """Return whether a routing rule is the transaction's: it names one of its interfaces in the snapshot, or it is
    NetworkManager's, and the definition has it, or it has a routing table, an address or a network of such an
    interface. NetworkManager marks its rules as VPNs and systemd-networkd mark theirs, so the mark alone is
    not enough."""
    words = rule.split()
    values = list(zip(words, words[1:]))
    names = set(before.get("names", ()))
    if any(word in ("iif", "oif") and value in names for word, value in values):
        return True
    if _MANAGED_RULE not in f"{rule} ":
        return False
    if _parse_rule(rule) in [(stated["priority"], stated["from"], stated["to"]) for stated in before.get("rules", ())]:
        return True
    routes = [route for route in before.get("routes", ()) if route["dev"] in names]
    tables = {str(route.get("table", "main")) for route in routes} - _SHARED_TABLES
    places = {str(route["to"]) for route in routes} - {"default"}
    places |= {a.partition("/")[0] for name in names for a in before.get("addresses", {}).get(name) or ()}
    return any(
        (word in ("from", "to") and value in places) or (word == "lookup" and value in tables) for word, value in values
    )


def _parse_rule(rule: str) -> tuple[int, Optional[str], Optional[str]]:
    """Return the priority, the source and the destination of a rule as `ip rule` prints it. None: all addresses."""
    words = rule.split()
    values = dict(zip(words, words[1:]))
    priority = words[0].rstrip(":")
    source, destination = (_parse_selector(values.get(word, "all")) for word in ("from", "to"))
    return int(priority) if priority.isdigit() else -1, source, destination


def _parse_selector(text: str) -> Optional[str]:
    try:
        return None if text == "all" else str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


def find_new_keyfiles(before: Json) -> dict[str, str]:
    """Return the keyfiles for the transaction's own interfaces that did not exist before, with the UUID that each
    names. nmstate may create a second profile for an interface."""
    known = {*before["host"]["keyfiles"], *(record["path"] for record in before.get("files", []))}
    new: dict[str, str] = {}
    for path in networkmanager.list_keyfiles(*networkmanager.PROFILE_FOLDERS):
        with contextlib.suppress(OSError):
            if path not in known:
                keyfile = Path(path).read_bytes()
                if networkmanager.concerns_interface(keyfile, before["names"], before["macs"]):
                    new[path] = networkmanager.find_uuid(keyfile)
    return new


def find_traces(before: Json) -> Json:
    """Return what a kept transaction has left beside its interfaces, for a later removal: `keyfiles` that are new (path
    to UUID), and routing `rules` that are `missing` or `new`, each with its family. Empty if it cannot be read."""
    with contextlib.suppress(*EXPECTED_ERRORS):
        missing, new = find_own_rules(before)
        return {"keyfiles": find_new_keyfiles(before), "rules": {"missing": missing, "new": new}}
    return {}


def move_new_keyfiles_aside(folder: Path, before: Json) -> list[str]:
    """Move the keyfiles that `find_new_keyfiles` returns into the transaction's folder; return their paths. Raises
    OSError."""
    paths = list(find_new_keyfiles(before)) if "host" in before else []
    for path in paths:
        files.move_aside(path, folder / files.ASIDE_FOLDER)
    return paths


def _find_dependents(before: Json) -> set[str]:
    """Return the interfaces that depend on the transaction's own ones, without the devices of guests and containers,
    whose loss the part `guests` covers."""
    saved = before["host"]["links"]
    dependents = {
        name
        for name, link in saved.items()
        if link["kind"] not in GUEST_KINDS and name not in before["names"] and name not in before.get("guests", {})
    }
    found: set[str] = set()
    while new := {
        name
        for name in dependents - found
        if {saved[name].get("over"), saved[name].get("master")} & {*before["names"], *found}
    }:
        found |= new
    return found


def compare_dependents(
    before: Json, kernel: Kernel, removed: Collection[str] = (), mtus: Optional[dict[str, int]] = None
) -> list[str]:
    """Return how dependent interfaces differ; those that exist, because a tool may remove its interface at any time,
    and those that were removed together with what they are based on.

    `removed` are interfaces that the transaction has removed with permission: what was based on one of them, directly
    or not, is gone with it, and what was a port of one is a port no more. `mtus` are MTUs that count instead of those
    of the snapshot.
    """
    names = _find_dependents(before)
    names -= _find_based(before, removed)
    if not names:
        return []
    host, current = _accept_changes(before["host"], removed, mtus or {}), links.read_links(kernel.links)
    indices = {row["ifname"]: row["ifindex"] for row in kernel.links}
    kept = {n for n in names if n in current or indices.get(_base(host, n)) != host["indices"].get(_base(host, n))}
    for link in current.values():  # a removal gives the lower interface another name
        for key in ("over", "master"):
            former = host["links"].get(link["name"], {}).get(key)
            if link[key] and former and indices.get(link[key]) == host["indices"].get(former):
                link[key] = former
    addresses = links.read_addresses(kernel.addresses)
    still_there = {n: [a for a in addresses.get(n, []) if a in host["addresses"].get(n, [])] for n in kept}
    return [
        *difference_text.compare_links(_select(host["links"], kept), _select(current, kept)),
        *difference_text.compare_addresses(_select(host["addresses"], kept), still_there),
    ]


def find_lowered_mtus(before: Json, kernel: Kernel) -> dict[str, int]:
    """Return the dependent interfaces that had a greater MTU than what they are based on has now, with their MTU now.
    The kernel lowers them together."""
    saved, current = before["host"]["links"], links.read_links(kernel.links)
    lowered: dict[str, int] = {}
    for name in sorted(_find_dependents(before) & set(current)):
        link = current[name]
        base = current.get(link["over"] or link["master"])
        if base and link["mtu"] <= base["mtu"] < saved[name]["mtu"]:
            lowered[name] = link["mtu"]
    return lowered


def _find_based(before: Json, lower: Collection[str]) -> set[str]:
    """Return the interfaces that were based on one of these, directly or not."""
    saved = before["host"]["links"]
    found: set[str] = set()
    while new := {name for name in saved if name not in found and saved[name].get("over") in {*lower, *found}}:
        found |= new
    return found


def _accept_changes(host: Json, removed: Collection[str], mtus: dict[str, int]) -> Json:
    """Return the part `host` of a snapshot with these MTUs, and without the controllers that were removed: a port of
    one has no controller now, or another."""
    saved = {
        name: {
            **{key: value for key, value in link.items() if key != "master" or value not in removed},
            **({"mtu": mtus[name]} if name in mtus else {}),
        }
        for name, link in host["links"].items()
    }
    return {**host, "links": saved}


def _base(host: Json, name: str) -> str:
    return str(host["links"][name].get("over") or host["links"][name].get("master") or "")


def _select(part: Json, names: set[str]) -> Json:
    return {name: value for name, value in part.items() if name in names}


def find_notes(before: Json) -> list[str]:
    """Return what changed during the transaction that is not its own: other interfaces, routing rules and keyfiles, and
    attributes of ports that kvmnet does not know. Raises HostError."""
    if "host" not in before:
        return []
    host, now = before["host"], read_whole_host(links.read_kernel(before.get("virtual", ())))
    own = {*before["names"], *_find_dependents(before), *before.get("guests", {})}
    foreign = {
        name
        for name, link in {**now["links"], **host["links"]}.items()
        if name not in own and link["kind"] not in GUEST_KINDS and link["mac"] not in before["macs"]
    }
    missing_rules, new_rules = _compare_rules(before)
    notes = [
        *difference_text.compare_links(_select(host["links"], foreign), _select(now["links"], foreign)),
        *difference_text.compare_addresses(_select(host["addresses"], foreign), _select(now["addresses"], foreign)),
        *difference_text.compare_routes(_routes_of(host, foreign), _routes_of(now, foreign)),
        *(f"the routing rule {rule} is missing" for _, rule in missing_rules if not is_own_rule(rule, before)),
        *(f"the routing rule {rule} is new" for _, rule in new_rules if not is_own_rule(rule, before)),
        *_note_keyfiles(before, now["keyfiles"]),
        *_note_ports({**own_ports(before), **before.get("guests", {})}, now["ports"]),
    ]
    return [*notes[:NOTE_LIMIT], *([f"and {len(notes) - NOTE_LIMIT} more"] if len(notes) > NOTE_LIMIT else [])]


def _routes_of(host: Json, names: set[str]) -> list[Json]:
    """Return the routes of these interfaces without their rank, which depends on other interfaces' routes."""
    return [{k: v for k, v in route.items() if k != "rank"} for route in host["routes"] if route["dev"] in names]


def _note_keyfiles(before: Json, now: dict[str, str]) -> list[str]:
    was, own = before["host"]["keyfiles"], {record["path"] for record in before.get("files", [])}
    return [
        f"file {path}: " + ("is new" if path not in was else "no longer exists" if path not in now else "has changed")
        for path in sorted({*was, *now} - own)
        if was.get(path) != now.get(path)
    ]


def _note_ports(saved: Json, now: Json) -> list[str]:
    return [
        line
        for name, was in sorted(saved.items())
        if name in now and now[name].get("of") == was.get("of")
        for line in difference_text.compare_unknown_attributes(name, was, now[name])
    ]
