"""Adds the host of a draft to a definition that exists: to its text, so that comments stay, and with its networks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Optional

from kvmnet.core.base.errors import Usage
from kvmnet.core.definition.document import Leaf, Map, Source, parse
from kvmnet.core.definition.model import Cluster, Network
from kvmnet.importers._draft import Draft, Origin, Part, write_entries
from kvmnet.importers._report import Report

_HERE = Origin("", 0)
_SECTIONS = ("networks", "hosts", "guests")
#: A section without entries: `hosts: {}`, or nothing after the colon.
_EMPTY = re.compile(r"([A-Za-z]+:)[ \t]*(?:\{[ \t]*\})?[ \t]*(#.*)?\Z")


def reuse_networks(draft: Draft, cluster: Cluster, policy: str, report: Report) -> None:
    """Replace the networks of a draft by those of the cluster that have the same VLAN ID and subnets, rename the others
    if the cluster has one of the name, and leave out guests that it has. `policy` is the naming policy of the cluster.
    Raises Usage if it has the host already."""
    for name in draft.hosts:
        if name in cluster.hosts:
            raise Usage(f"the definition has a host {name} already", "rename or delete it first")
    names: dict[str, str] = {}
    new: dict[str, Part] = {}
    for name, part in draft.networks.items():
        known = _find_network(part.values, cluster)
        if known is not None:
            names[name] = known.name
            _note_differences(name, part.values, known, report)
            continue
        names[name] = _free_name(name, {*cluster.networks, *new})
        new[names[name]] = part
    draft.networks = new
    for host in draft.hosts.values():
        if policy != draft.policy:
            host.settings = {"profile": draft.policy, **host.settings}
        for key, part in host.interfaces.items():
            host.interfaces[key] = Part(_with_network(part.values, names), part.origin, part.comment)
    for name in [name for name in draft.guests if name in cluster.guests]:
        report.note(f"guest {name} is in the definition already: it is left as it is", _HERE)
        del draft.guests[name]
    for part in draft.guests.values():
        part.values["nics"] = [_with_network(nic, names) for nic in part.values["nics"]]


def _with_network(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {**values, **({"network": names[values["network"]]} if "network" in values else {})}


def _free_name(name: str, used: set[str]) -> str:
    return next(n for n in (name, *(f"{name}-{number}" for number in range(2, len(used) + 3))) if n not in used)


def _find_network(values: Mapping[str, Any], cluster: Cluster) -> Optional[Network]:
    """Return the network of the cluster with the VLAN ID and the subnets of another one. Without a subnet only the VLAN
    ID identifies it."""
    subnets = set(values.get("subnets", []))
    for network in cluster.networks.values():
        known = {str(subnet.net) for subnet in network.subnets}
        if network.over is not None or network.vlan != values.get("vlan"):
            continue
        if (subnets and subnets <= known) or (not subnets and network.vlan is not None):
            return network
    return None


def _note_differences(name: str, values: Mapping[str, Any], known: Network, report: Report) -> None:
    """Note what the network of the cluster gives to hosts and this host does not have, or the other way round."""
    gateways = {str(gateway.ip) for gateway in known.gateways} if known.default_route else set()
    servers = [str(server.ip) for server in known.dns_servers]
    pairs = {
        "gateways": (sorted(values.get("gateways", [])), sorted(gateways)),
        "name servers": (values.get("dns", {}).get("servers", []), servers),
        "MTU": (values.get("mtu") or 1500, known.mtu or 1500),
    }
    for key, (own, theirs) in pairs.items():
        if own != theirs:
            message = f"network {known.name} of the definition has other {key} than this host"
            report.note(f"{message}: {_format(theirs)}, not {_format(own)}", _HERE)


def _format(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def read_policy(source: Source) -> str:
    """Return the naming policy of a definition's cluster, or an empty string."""
    tree, _ = parse(source)
    leaf = tree.get("profile") if tree is not None else None
    return str(leaf.value) if isinstance(leaf, Leaf) else ""


def append_host(source: Source, draft: Draft) -> str:
    """Return the text of a definition with the networks, hosts and guests of a draft added; everything else stays byte
    for byte. Raises Usage if the text cannot be changed safely."""
    tree, problems = parse(source)
    if tree is None or problems:
        raise Usage(f"{source.name} is not a definition", "run kvmnet validate")
    newline = "\r\n" if "\r\n" in source.text else "\n"
    lines = source.text.splitlines()
    entries = write_entries(draft)
    for section in sorted(_SECTIONS, key=lambda name: -_line_of(tree, name)):  # the last first: lines stay valid
        if entries[section]:
            _insert(lines, section, tree, entries[section], source.name)
    return newline.join(lines) + newline


def _line_of(tree: Map, section: str) -> int:
    """Return the line of a section; one that is missing comes at the end of the file."""
    entry = tree.entries.get(section)
    return entry.mark.line if entry is not None else 1 << 30


def _insert(lines: list[str], section: str, tree: Map, entries: list[str], file: str) -> None:
    """Insert the lines of new entries at the end of a section."""
    entry = tree.entries.get(section)
    if entry is None:
        lines += [f"{section}:", *entries]
        return
    start = entry.mark.line  # lines start at 1: this is the index of the line after the key
    children = entry.node.entries if isinstance(entry.node, Map) else {}
    empty = _EMPTY.match(lines[start - 1])
    if not children and empty:
        comment = f"  {empty[2]}" if empty[2] else ""
        lines[start - 1 : start] = [empty[1] + comment, *entries]
        return
    first = next(iter(children.values()), None)
    if first is None or first.mark.line <= start or first.mark.column < 2:
        hint = f"write {section} in lines of their own, below the key {section}"
        raise Usage(f"{file}:{start}: {section} is written in a form that cannot be extended", hint)
    indent = " " * (first.mark.column - 1)
    end = _find_end(lines, start)
    lines[end:end] = [indent + line[2:] for line in entries]


def _find_end(lines: list[str], start: int) -> int:
    """Return the index after the last line of a block. Comments and empty lines after it belong to what follows."""
    end = start
    for index in range(start, len(lines)):
        line = lines[index]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line.startswith((" ", "\t")):
            break
        end = index + 1
    return end
