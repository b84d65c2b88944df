"""Describes the live host as a definition that changes nothing: its interfaces keep their names and settings."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kvmnet.core.base.nmstate import FAMILIES, interfaces_of
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.live.running_guests import Running
from kvmnet.from_host.guests import add_guests
from kvmnet.importers import SKIPPED, ReportItem
from kvmnet.importers._draft import Draft, HostPart, Origin, Part
from kvmnet.importers._report import Report
from kvmnet.importers._state.convert import add_host

#: The "file" of the report's items and of the comments.
SOURCE = "this host"
_HERE = Origin(SOURCE, 0)
_TITLE = """The network of host {host} as it was found by `kvmnet init --from-host`.
Networks have names that kvmnet chose: rename them. Then: kvmnet validate, kvmnet plan."""
#: Kinds of links that belong to guests and containers unless a saved connection profile is for them.
_GUEST_KINDS = ("tun", "veth", "macvtap")
_VIRTUAL = ("linux-bridge", "bond", "vlan")


def describe_host(live: Live, running: Running) -> tuple[Draft, tuple[ReportItem, ...]]:
    """Return the definition of the host and its guests, and the report of what it does not contain."""
    report, converted = Report(), Report()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", live.hostname.partition(".")[0]).strip("-._") or "host"
    draft = Draft(_TITLE.format(host=name), "site", "plain")
    state = _read_state(live, report)
    add_host(draft, name, state, {}, converted)
    for item in converted.items:  # it stays as it is, or the comparison with the host shows what would change
        if item.severity != SKIPPED:
            report.note(item.message, _HERE)
    host = draft.hosts[name]
    host.interfaces = {key: _without_place(part) for key, part in host.interfaces.items()}
    draft.networks = {key: _without_place(part) for key, part in draft.networks.items()}
    host.settings = {
        key: [_without_place(part) for part in value] if isinstance(value, list) else value
        for key, value in host.settings.items()
    }
    _leave_mixed_name_servers(draft, host, live, report)
    _add_unmanaged_nics(host, live, report)
    add_guests(draft, name, running, report)
    _note_profile_settings(host, live, report)
    return draft, tuple(dict.fromkeys(_with_source(report)))


def _without_place(part: Part) -> Part:
    return Part(part.values, None, part.comment)


def _with_source(report: Report) -> Iterator[ReportItem]:
    for item in report.items:
        yield ReportItem(item.severity, item.message, SOURCE, 0)


def _read_state(live: Live, report: Report) -> dict[str, Any]:
    """Return the live state without what the definition leaves alone: devices of guests and containers, interfaces that
    NetworkManager does not configure, and settings that stay in connection profiles."""
    rows = {str(i["name"]): copy.deepcopy(dict(i)) for i in interfaces_of(live.state)}
    kept = {name: row for name, row in rows.items() if _is_of_host(name, row, live, report)}
    for name, row in kept.items():
        _complete(row, live.links.get(name))
        _drop_ports(row, kept)
    rules = live.state.get("route-rules", {}).get("config") or []
    for rule in rules:
        report.note(f"the routing rule {_describe_rule(rule)} stays in its connection profile", _HERE)
    return {**live.state, "interfaces": list(kept.values()), "route-rules": {}, "hostname": {}}


def _describe_rule(rule: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in rule.items() if value is not None)


def _is_of_host(name: str, row: Mapping[str, Any], live: Live, report: Report) -> bool:
    """Whether an interface belongs to the host's own network and is configured by NetworkManager."""
    link, profile = live.links.get(name), live.profiles.get(name)
    if link is None or row.get("type") == "loopback":
        return False
    if link.kind in _GUEST_KINDS and not _is_saved(profile):
        return False  # plans report guests' devices themselves
    if link.kind is None:
        return _is_managed(row, profile)
    if row.get("type") in _VIRTUAL and not _is_saved(profile):
        message = f"{name} ({row.get('type')}) has no saved connection profile: another program creates it"
        report.note(f"{message}, and it is left out", _HERE)
        return False
    return True


def _is_managed(row: Mapping[str, Any], profile: ConnectionProfile | None) -> bool:
    """Whether NetworkManager configures a NIC now."""
    return profile is not None and row.get("state") == "up"


def _is_saved(profile: ConnectionProfile | None) -> bool:
    return profile is not None and (profile.saved or profile.is_netplans)


def _complete(row: dict[str, Any], link: Link | None) -> None:
    """Add what nmstate does not show: the permanent MAC address and VLAN filtering."""
    if link is None:
        return
    if link.kind is None and link.mac:
        row["permanent-mac-address"] = link.mac
    bridge = row.get("bridge")
    if isinstance(bridge, dict) and link.options.get("vlan_filtering"):
        bridge.setdefault("options", {})["vlan-filtering"] = True


def _drop_ports(row: dict[str, Any], kept: Mapping[str, Any]) -> None:
    """Remove the ports of guests from a bridge."""
    bridge = row.get("bridge")
    ports = bridge.get("port") if isinstance(bridge, dict) else None
    if isinstance(bridge, dict) and isinstance(ports, list):
        bridge["port"] = [port for port in ports if isinstance(port, Mapping) and port.get("name") in kept]


def _leave_mixed_name_servers(draft: Draft, host: HostPart, live: Live, report: Report) -> None:
    """Leave name servers out of networks whose interface also takes some from DHCP or routers: with `dns`, a network
    takes none from there. Name servers that a definition does not state stay as they are."""
    rows = {str(i["name"]): i for i in interfaces_of(live.state)}
    for key, part in host.interfaces.items():
        network = draft.networks.get(part.values.get("network", ""))
        if network is None or "dns" not in network.values:
            continue
        row = rows.get(name_of_bridge(part) or key, {})
        sources = [(row.get(family) or {}, part.values.get(family)) for family in FAMILIES]
        if any(source in ("dhcp", "auto") and values.get("auto-dns") is not False for values, source in sources):
            del network.values["dns"]
            message = (
                f"the static name servers of {key} stay in its connection profile, beside those from DHCP or routers"
            )
            report.note(message, _HERE)


def _add_unmanaged_nics(host: HostPart, live: Live, report: Report) -> None:
    """Add the NICs that are not configured: their MAC addresses identify the host, and nobody wonders about them."""
    for name, link in sorted(live.links.items()):
        if link.mac and link.kind is None and name not in host.interfaces:
            host.interfaces[name] = Part({"mac": link.mac, "manage": False}, None, "not configured now")
            report.note(f"NIC {name} is not configured by NetworkManager: kvmnet does not manage it", _HERE)


def _note_profile_settings(host: HostPart, live: Live, report: Report) -> None:
    """Note the firewalld zones: they stay in the connection profiles."""
    names = {*host.interfaces, *(bridge for part in host.interfaces.values() if (bridge := name_of_bridge(part)))}
    for name in sorted(names):
        profile = live.profiles.get(name)
        if profile is not None and profile.zone:
            report.note(f"the firewalld zone {profile.zone} of {name} stays in its connection profile", _HERE)


def name_of_bridge(part: Part) -> str:
    """Return the name of the bridge that an interface is the port of, or an empty string."""
    bridge = part.values.get("bridge")
    if isinstance(bridge, Mapping):
        return str(bridge.get("name", ""))
    return bridge if isinstance(bridge, str) else ""
