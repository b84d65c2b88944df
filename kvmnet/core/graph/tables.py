"""The tables of a document: every host, guest and network with all its values, also those that pictures fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from kvmnet.core.definition.model import Cluster
from kvmnet.core.graph.folding import Shape
from kvmnet.core.graph.model import GUEST, Box, HostGraph, Row, Table
from kvmnet.core.graph.overview import merge_networks, network_lines
from kvmnet.core.reporting.review_lines import count


def host_table(shapes: Sequence[Shape], links: Sequence[str]) -> Table:
    """Return the table of hosts, each with its interfaces and their values."""
    rows: list[Row] = []
    for shape, link in zip(shapes, links):
        for host in shape.hosts:
            name = f"{host.old_name} -> {host.host}" if host.old_name else host.host
            interfaces = tuple(_box_text(box) for box in host.boxes if box.kind != GUEST)
            guests = tuple(box.title + (f" ({box.event})" if box.event else "") for box in host.guests)
            cells = ((name,), (host.group or "-",), (*interfaces, *host.notes), (", ".join(guests) or "-",))
            rows.append(Row(cells, host.event, f"host-{len(rows) + 1}", link))
    return Table("hosts", "Hosts", ("Host", "Group", "Interfaces", "Guests"), tuple(rows))


def _box_text(box: Box) -> str:
    event = f" ({box.event})" if box.event else ""
    lines = [f"{line.event}: {line.text}" if line.event else line.text for line in box.lines]
    return f"{box.title}{event}: {', '.join([box.kind, *lines, *box.notes])}"


def guest_table(shapes: Sequence[Shape]) -> Table:
    """Return the table of guests, each with its NICs and the hosts that it can run on."""
    boxes: dict[str, Box] = {}
    hosts: dict[str, list[str]] = {}
    for shape in shapes:
        for host in shape.hosts:
            for box in host.guests:
                if box.event or box.title not in boxes:
                    boxes[box.title] = box
                hosts.setdefault(box.title, []).append(host.host)
    rows = []
    for number, (name, box) in enumerate(boxes.items(), 1):
        names = hosts[name]
        place = ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]} ({len(names):,} hosts)"
        nics = tuple(f"{line.event}: {line.text}" if line.event else line.text for line in box.lines)
        rows.append(Row(((name,), (place,), nics), box.event, f"guest-{number}"))
    return Table("guests", "Guests", ("Guest", "Can run on", "NICs"), tuple(rows))


def network_table(new: Optional[Cluster], old: Optional[Cluster], graphs: Sequence[HostGraph]) -> Table:
    """Return the table of networks."""
    rows = []
    for number, (name, (network, event)) in enumerate(merge_networks(new, old).items(), 1):
        own = sum(graph.networks.get(name) is True for graph in graphs)
        weak = sum(graph.networks.get(name) is False for graph in graphs)
        users = [count(own, "host")] if own else []
        users += [f"guests on {count(weak, 'host')}"] if weak else []
        lines = tuple(network_lines(network)) if network is not None else ()
        rows.append(Row(((name,), lines or ("-",), tuple(users) or ("-",)), event, f"network-{number}"))
    return Table("networks", "Networks", ("Network", "Settings", "Used by"), tuple(rows))
