"""Reads by which device packets to a target leave, and whether a guest of this host is on the way."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union

from kvmnet.core.live.guest_ports import Row, device_kind, find_guest_port, is_guest_port, judge_arrivals
from kvmnet.host.ndp import NdpProbe
from kvmnet.host.ping import ArpProbe
from kvmnet.system import links, programs
from kvmnet.system.errors import HostError

#: How many tunnels within tunnels are followed.
_TUNNELS = 3
#: Seconds to wait for a neighbour's reply.
_WAIT = 1.0


@dataclass(frozen=True)
class ReplyPath:
    """The way of packets to a target: the device by which they leave, the address of the neighbour that gets them (the
    target itself if it is on-link), and the guest's port on the way, empty if there is none."""

    device: str
    neighbour: str
    port: str = ""


def find_reply_path(target: str, source: str = "", device: str = "") -> ReplyPath:
    """Return the way of packets from the own address `source` to `target`, as the kernel's rules and routes are now;
    `device` is needed for a link-local target. Raises HostError, also if there is no route."""
    if ipaddress.ip_address(target).is_loopback:
        return ReplyPath("lo", target)
    rows: dict[str, Row] = {str(row["ifname"]): row for row in links.read_ip_links()}
    return _find_path(target, source, device, rows, _TUNNELS)


def _find_path(target: str, source: str, device: str, rows: dict[str, Row], depth: int) -> ReplyPath:
    words = [*(["from", source] if source else []), *(["oif", device] if device else [])]
    try:
        route = programs.run_json("ip", "-j", "route", "get", target, *words)[0]
        leaving = str(route["dev"])
    except (LookupError, TypeError) as error:
        raise HostError(f"ip route get {target}: unexpected output") from error
    neighbour = str(route.get("gateway") or route.get("via", {}).get("host") or target)
    if route.get("type") == "local" or not any(is_guest_port(row) for row in rows.values()):
        return ReplyPath(leaving, neighbour)
    port, is_known = find_guest_port(leaving, _read_mac(neighbour, leaving), rows, _read_table(rows))
    if port and not is_known and _replies_from_outside(neighbour, leaving, rows):
        port = ""
    remote = str(rows.get(leaving, {}).get("linkinfo", {}).get("info_data", {}).get("remote", ""))
    if not port and depth and _is_address(remote):  # a tunnel: its other end may be a guest
        port = _find_path(remote, "", "", rows, depth - 1).port
    return ReplyPath(leaving, neighbour, port)


def _replies_from_outside(neighbour: str, device: str, rows: Mapping[str, Row]) -> bool:
    """Return whether the neighbour replies to ARP or neighbour discovery through no guest's port. No bridge learns the
    address of a virtual router (VRRP, anycast gateways) that sends only from another one."""
    is_link_local = ipaddress.ip_address(neighbour).is_link_local
    with contextlib.suppress(OSError):
        asked: Union[ArpProbe, NdpProbe] = (
            NdpProbe(neighbour, device if is_link_local else "") if ":" in neighbour else ArpProbe(neighbour)
        )
        with contextlib.closing(asked):
            end = time.monotonic() + _WAIT
            is_sent = asked.send(1)
            while is_sent and asked.device == device and (remaining := end - time.monotonic()) > 0:
                if asked.replies(remaining) and judge_arrivals(device, asked.arrivals, rows)[0]:
                    return True
    return False


def _is_address(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return not ipaddress.ip_address(text).is_unspecified
    return False


def _read_mac(neighbour: str, device: str) -> str:
    """Return the MAC address of a neighbour; empty if the kernel knows none."""
    rows = programs.run_json("ip", "-j", "neighbor", "show", "to", neighbour, "dev", device)
    return next((str(row["lladdr"]) for row in rows if row.get("lladdr")), "")


def _read_table(rows: dict[str, Row]) -> list[Row]:
    """Return what the bridges of the host have learned; for Open vSwitch, which may not answer, what it prints."""
    table: list[Row] = list(programs.run_json("bridge", "-j", "fdb", "show"))
    if any(device_kind(row) == "openvswitch" for row in rows.values()):
        with contextlib.suppress(HostError, LookupError, TypeError, ValueError):
            table += _read_ovs_table()
    return table


def _read_ovs_table() -> Iterator[Row]:
    """Yield the rows of `ovs-appctl fdb/show` in the form of `bridge -j fdb show`: ovs-vswitchd(8)."""
    listed: Any = programs.run_json("ovs-vsctl", "--format=json", "--columns=name,ofport", "list", "Interface")
    names = {str(port): str(name) for name, port in listed["data"]}
    for bridge in programs.run("ovs-vsctl", "list-br").split():
        for line in programs.run("ovs-appctl", "fdb/show", bridge).splitlines():
            if match := re.match(r"\s*(\d+)\s+\d+\s+([0-9a-fA-F:]{17})\s", line):
                yield {"mac": match[2], "ifname": names.get(match[1], ""), "master": bridge}
