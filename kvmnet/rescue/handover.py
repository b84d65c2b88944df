"""Moves the ports of guests and containers from one bridge to another, with all their attributes.

A saved port (links.read_guest_ports) has its bridge as `of`. A transaction that replaces a bridge also notes the other
one, as `from`: there a rollback finds the port (restore.restore_guest_ports).
"""

from __future__ import annotations

import contextlib

from kvmnet.system import bridge_ports, links
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json

#: Kinds of links that are ports of guests and containers.
PORT_KINDS = ("tun", "veth")


def note_successors(ports: Json, bridges: dict[str, str]) -> Json:
    """Return saved ports with the bridges that take them over (old bridge -> new one) as `from`."""
    return {
        name: {**port, "from": bridges[port["of"]]} if _is_moved(port, bridges) else port
        for name, port in ports.items()
    }


def after_hand_over(ports: Json, bridges: dict[str, str]) -> Json:
    """Return saved ports as they must be after a hand-over (old bridge -> new one)."""
    return {
        name: {**port, "of": bridges[port["of"]], "from": port["of"]} if _is_moved(port, bridges) else port
        for name, port in ports.items()
    }


def return_new_ports(ports: Json, bridges: dict[str, str]) -> Json:
    """Return those ports of new bridges (old bridge -> new one) that a rollback must move to the old one and that no
    snapshot has, because their guests started during the change. `ports` are read before the rollback."""
    former = {new: old for old, new in bridges.items()}
    return {
        name: {**port, "of": former[port["of"]], "from": port["of"]}
        for name, port in ports.items()
        if port["kind"] == "tap" and port["of"] in former
    }


def _is_moved(port: Json, bridges: dict[str, str]) -> bool:
    return port.get("kind") != "macvtap" and port.get("of") in bridges


def move_guest_ports(bridges: dict[str, str], ports: Json) -> list[str]:
    """Move the guests' ports of bridges (old bridge -> new one), and return the names of those that were moved.

    A saved port that has no bridge any more is moved too. One that was not saved, because its guest has just started,
    is moved if it is a port of the old bridge. A port that another tool has moved elsewhere is left alone, and so are
    all ports of a bridge whose successor does not exist. Raises HostError.
    """
    rows = {row["ifname"]: row for row in links.read_ip_links()}
    current: Json = {}
    moved = []
    for name, row in rows.items():
        port = ports.get(name, {})
        is_saved = _is_moved(port, bridges) and port.get("index") == row["ifindex"]
        new = bridges.get(str(row.get("master") or (port["of"] if is_saved else "")))
        if row.get("linkinfo", {}).get("info_kind") not in PORT_KINDS or new is None or new not in rows:
            continue
        if not is_saved:
            current = current or links.read_guest_ports()
            port = current.get(name, {})
        with contextlib.suppress(HostError):  # its guest has just stopped; the other ports must be moved
            bridge_ports.attach_port(name, new, port)
            moved.append(name)
    return moved


def find_left_ports(bridges: dict[str, str]) -> list[str]:
    """Return the guests' ports that the old bridges still have. Raises HostError."""
    return [
        row["ifname"]
        for row in links.read_ip_links()
        if row.get("master") in bridges and row.get("linkinfo", {}).get("info_kind") in PORT_KINDS
    ]
