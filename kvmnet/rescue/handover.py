"""Moves the ports of guests and containers from one bridge to another, with all their attributes."""

from __future__ import annotations

import contextlib

from kvmnet.system import bridge_ports, links, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json

#: Kinds of links that are ports of guests and containers.
PORT_KINDS = ("tun", "veth")


def move_guest_ports(bridges: dict[str, str], ports: Json) -> list[str]:
    """Move the guests' ports of bridges (old bridge -> new one), and return the names of those that were moved.

    `ports` are saved ports (links.read_guest_ports), in which a port is of the old bridge or already of the new one. A
    saved port that has no bridge any more is moved too. One that is not among them, because its guest has just started,
    is moved if it is a port of the old bridge. A port that another tool has moved elsewhere is left alone, and so are
    all ports of a bridge whose successor does not exist. Raises HostError.
    """
    rows = {row["ifname"]: row for row in links.read_ip_links()}
    current: Json = {}
    moved = []
    for name, row in rows.items():
        kind = row.get("linkinfo", {}).get("info_kind")
        port = ports.get(name, {})
        is_saved = port.get("kind") == "tap" and port.get("index") == row["ifindex"]
        old = row.get("master") or (port["of"] if is_saved else None)
        new = bridges.get(str(old))
        if kind not in PORT_KINDS or new is None or new not in rows:
            continue
        if not is_saved:
            current = current or links.read_guest_ports()
            port = current.get(name, {})
        with contextlib.suppress(HostError):  # its guest has just stopped; the other ports must be moved
            bridge_ports.attach_port(name, new, port)
            moved.append(name)
    return moved


def detach_guest_ports(bridges: dict[str, str], ports: Json) -> list[str]:
    """Detach the saved ports of bridges that another bridge has now (that one -> the saved one), and return their
    names. Raises HostError."""
    detached = []
    for name, row in {row["ifname"]: row for row in links.read_ip_links()}.items():
        port = ports.get(name, {})
        is_saved = port.get("kind") == "tap" and port.get("index") == row["ifindex"]
        if is_saved and row.get("master") in bridges and port["of"] == bridges[row["master"]]:
            with contextlib.suppress(HostError):  # its guest has just stopped
                programs.run("ip", "link", "set", "dev", name, "nomaster")
                detached.append(name)
    return detached


def rename_bridges(ports: Json, bridges: dict[str, str]) -> Json:
    """Return saved ports as they are after a hand-over (old bridge -> new one)."""
    return {
        name: {**port, "of": bridges.get(port["of"], port["of"])} if port.get("kind") == "tap" else port
        for name, port in ports.items()
    }


def find_left_ports(bridges: dict[str, str]) -> list[str]:
    """Return the guests' ports that the old bridges still have. Raises HostError."""
    return [
        row["ifname"]
        for row in links.read_ip_links()
        if row.get("master") in bridges and row.get("linkinfo", {}).get("info_kind") in PORT_KINDS
    ]
