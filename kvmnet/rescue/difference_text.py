"""Words how a host differs from its snapshot: one sentence for each difference.

Each function gets a part of the snapshot and the same part of the host now, and returns the sentences, sorted by name.
`is_runtime_only` knows the beginnings of some of them.
"""

from __future__ import annotations

import json
from typing import Any, Optional

from kvmnet.system import bridge_ports, links
from kvmnet.system.types import Json


def is_runtime_only(difference: str) -> bool:
    """Return whether a sentence is about state that only the running host had, such as an address set by hand.

    After a boot it cannot be restored, so it is only reported. A file, a missing interface, a NIC with another name and
    a profile that is not active are never runtime-only.
    """
    is_missing = difference.startswith("interface ") and difference.endswith(" is missing")
    return not (is_missing or difference.startswith(("file ", "connection profile ", "the NIC ", "the host ")))


def compare_links(was: Json, now: Json) -> list[str]:
    """Return how links (links.read_links) differ."""
    lines: list[str] = []
    for name in sorted({*was, *now}):
        if name not in now:
            mac = was[name].get("mac")
            current = next((link["name"] for link in now.values() if mac and link.get("mac") == mac), None)
            lines.append(
                f"the NIC {mac} is called {current}, not {name}" if current else f"interface {name} is missing"
            )
        elif name in was:
            lines += _compare_link(name, was[name], now[name])
        elif not any(link.get("mac") and link["mac"] == now[name].get("mac") for link in was.values()):
            lines.append(f"interface {name} exists, which did not exist before")
    return lines


def _compare_link(name: str, was: Json, now: Json) -> list[str]:
    """Return how one link differs, in what was recorded: an earlier kvmnet recorded less."""
    lines: list[str] = []
    for key in was:
        value, current = links.align_options(was, now) if key == "options" else (was[key], now.get(key))
        if value != current:
            lines += _describe_link_change(name, key, value, current)
    return lines


def _describe_link_change(name: str, key: str, was: Any, now: Any) -> list[str]:
    if key == "altnames":
        missing, new = sorted(set(was) - set(now or [])), sorted(set(now or []) - set(was))
        return [
            *(f"the alternative name {x} of {name} is missing" for x in missing),
            *(f"{name} has the alternative name {x}, which it did not have" for x in new),
        ]
    if key == "options":
        now = now or {}
        return [
            _describe_value(f"the option {option} of {name}", was.get(option), now.get(option))
            for option in sorted({*was, *now})
            if was.get(option) != now.get(option)
        ]
    if key == "master":
        return [_describe_port_change(name, was, now)]
    sentences = {
        "mac": f"{name} is another NIC: its permanent MAC address is {now}, not {was}",
        "address": f"the MAC address of {name} is {now}, not {was}",
        "kind": f"{name} is a {now or 'NIC'}, not a {was or 'NIC'}",
        "mtu": f"the MTU of {name} is {now}, not {was}",
        "up": f"{name} is down" if was else f"{name} is up, although it was down",
        "promiscuous": _describe_value(f"the promiscuous mode of {name}", was, now),
        "over": f"{name} is based on {now or 'nothing'}, not on {was or 'nothing'}",
    }
    return [sentences.get(key, _describe_value(f"{key} of {name}", was, now))]


def _describe_port_change(name: str, was: Optional[str], now: Optional[str]) -> str:
    if now is None:
        return f"{name} is not a port of {was}"
    return f"{name} is a port of {now}, " + (f"not of {was}" if was else "which it was not")


def compare_port(name: str, was: Json, now: Json) -> list[str]:
    """Return how a port of a bridge, or a bridge with its own VLANs, differs from what bridge_ports.read_ports
    returned. Attributes that kvmnet does not know are left out (`compare_unknown_attributes`)."""
    label = f"the port {name}" if "of" in now else f"the bridge {name}"
    lines = [
        _describe_value(f"{d.name} of {label}", d.was, d.now)
        for d in bridge_ports.compare_settings(was.get("settings", {}), now.get("settings", {}))
        if d.is_known
    ]
    if "vlans" not in was:  # a snapshot of an earlier kvmnet
        return lines
    missing, new = bridge_ports.compare_vlans(was["vlans"], now.get("vlans", []))
    lines += [f"{label} is not in VLAN {vids} ({_mode(flags)})" for vids, flags in bridge_ports.vlan_ranges(missing)]
    lines += [
        f"{label} is in VLAN {vids} ({_mode(flags)}), in which it was not"
        for vids, flags in bridge_ports.vlan_ranges(new)
    ]
    entries = [mac for mac, vlan, is_sticky in was.get("fdb", []) if [mac, vlan, is_sticky] not in now.get("fdb", [])]
    return [*lines, *(f"{label} has no static FDB entry for {mac}" for mac in entries)]


def compare_unknown_attributes(name: str, was: Json, now: Json) -> list[str]:
    """Return the attributes of a port that changed and that kvmnet does not know: iproute2 is newer than kvmnet. They
    may be state, which changes by itself."""
    return [
        _describe_value(f"{d.name} of the port {name}", d.was, d.now) + "; kvmnet does not know this attribute"
        for d in bridge_ports.compare_settings(was.get("settings", {}), now.get("settings", {}))
        if not d.is_known
    ]


def _mode(flags: tuple[str, ...]) -> str:
    return ", ".join(flags) or "tagged"


def compare_rules(was: list[str], now: list[str]) -> list[str]:
    """Return which routing rules (links.read_rules) are missing or new."""
    return [
        *(f"the routing rule {rule} is missing" for rule in was if rule not in now),
        *(f"the routing rule {rule} is new" for rule in now if rule not in was),
    ]


def compare_addresses(was: Json, now: Json) -> list[str]:
    """Return which addresses are missing or new, by interface name."""
    lines: list[str] = []
    for name in sorted({*was, *now}):
        before, after = was.get(name) or [], now.get(name) or []
        lines += [f"the address {address} of {name} is missing" for address in before if address not in after]
        lines += [
            f"{name} has the address {address}, which it did not have" for address in after if address not in before
        ]
    return lines


def compare_routes(was: list[Json], now: list[Json]) -> list[str]:
    """Return which routes (links.rank_routes) are missing or new, or have another rank among those to their target."""
    lost, gained = [_plain_route(r) for r in was if r not in now], [_plain_route(r) for r in now if r not in was]
    return [
        *(f"{text} is missing" for text in lost if text not in gained),
        *(f"{text} is new" for text in gained if text not in lost),
        *(f"{text} is preferred differently to other routes to the same target" for text in lost if text in gained),
    ]


def _plain_route(route: Json) -> str:
    target = "the default route" if route.get("to") == "default" else f"the route to {route.get('to')}"
    family = " (IPv6)" if route.get("to") == "default" and route.get("family") == "6" else ""
    words = [("via", route.get("via")), ("on", route.get("dev")), ("with source address", route.get("source"))]
    table = "" if route.get("table", "main") == "main" else f" in table {route['table']}"
    return target + family + "".join(f" {word} {value}" for word, value in words if value) + table


def compare_zones(was: Optional[Json], now: Optional[Json]) -> list[str]:
    """Return which interfaces are in another firewalld zone. None: firewalld does not run."""
    if was is None or now is None:
        return [] if was == now else [f"firewalld is {'not ' if now is None else ''}running, unlike before"]

    def place(zone: Optional[str]) -> str:
        return f"firewalld zone {zone}" if zone else "no firewalld zone"

    names = sorted(name for name in {*was, *now} if was.get(name) != now.get(name))
    return [f"{name} is in {place(now.get(name))}, not in {place(was.get(name))}" for name in names]


def compare_profiles(was: list[Json], now: list[Json]) -> list[str]:
    """Return how connection profiles (networkmanager.list_profiles) differ."""
    before, after = {p["uuid"]: p for p in was}, {p["uuid"]: p for p in now}
    lines: list[str] = []
    for uuid in sorted({*before, *after}):
        old, new = before.get(uuid), after.get(uuid)
        label = f"connection profile {(old or new or {}).get('id')} ({uuid})"
        if old is None or new is None:
            lines.append(f"{label} " + ("is missing" if new is None else "exists, which did not exist before"))
            continue
        if old.get("device") != new.get("device"):
            lines.append(f"{label} is {_activity(new)}, not {_activity(old)}")
        lines += [
            f"{label} has the {what} {new.get(key)}, not {old.get(key)}"
            for key, what in (("id", "name"), ("file", "file"))
            if old.get(key) != new.get(key)
        ]
    return lines


def _activity(profile: Json) -> str:
    return f"active on {profile['device']}" if profile.get("device") else "inactive"


def compare_name_servers(was: Json, now: Json) -> list[str]:
    """Return which interfaces gave NetworkManager other name servers or search domains."""
    return [
        f"the {what} of {name} are {_join(now.get(name, {}).get(key))}, not {_join(was.get(name, {}).get(key))}"
        for name in sorted({*was, *now})
        for key, what in (("nameservers", "name servers"), ("domains", "search domains"))
        if was.get(name, {}).get(key) != now.get(name, {}).get(key)
    ]


def compare_global_dns(was: Json, now: Json) -> list[str]:
    """Return how NetworkManager's global name servers (networkmanager.read_global_dns) differ."""
    if was == now:
        return []
    servers, before = _join(_find_servers(now)), _join(_find_servers(was))
    if servers != before:
        return [f"the global name servers of NetworkManager are {servers}, not {before}"]
    return ["the global search domains or DNS options of NetworkManager are not as before"]


def _find_servers(global_dns: Json) -> list[str]:
    domains = global_dns.get("domains", {}).get("data", {})
    return [str(s) for domain in domains.values() for s in domain.get("data", {}).get("servers", {}).get("data", [])]


def _join(values: Optional[list[Any]]) -> str:
    return ", ".join(str(value) for value in values or ()) or "none"


def _describe_value(subject: str, was: Any, now: Any) -> str:
    """Return the sentence about a value that has changed; None and an empty text are no value."""
    if was in (None, ""):
        return f"{subject} is {_plain(now)}, although it was not set"
    if now in (None, ""):
        return f"{subject} is not set, but was {_plain(was)}"
    return f"{subject} is {_plain(now)}, not {_plain(was)}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else json.dumps(value)
