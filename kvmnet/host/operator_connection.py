"""Who runs this command: is it a person at the end of an SSH connection, and since when does that exist?"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kvmnet.system import links, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json


@dataclass(frozen=True)
class Connection:
    """An SSH connection: the address of the other end, ours, and when it was opened (seconds since the
    machine started, as `rescue.uptime`). The addresses are empty where a person came by the web (Cockpit)."""

    peer: str
    address: str
    opened: float


def ssh_connection(proc: Path = Path("/proc"), pid: Optional[int] = None) -> Optional[Connection]:
    """The SSH connection that this process came through; None at a console or in a unit. In a screen or tmux,
    whose server is nobody's child, it is the one that opened it, and as old as can be (0).

    Found by walking up to the nearest sshd: sudo drops SSH_CONNECTION from the environment, and a shell that
    was opened over an old multiplexed connection (ControlMaster) has the old connection's sshd above it.
    """
    below: Optional[int] = None
    for one in _ancestors(proc, os.getpid() if pid is None else pid):
        if _name(proc, one).startswith("sshd"):
            said = _environment(proc, below).get("SSH_CONNECTION", "").split() if below else []
            if len(said) == 4:
                peer, _, address, _ = (_plain(word) for word in said)
                return Connection(peer, address, _started(proc, _first(proc, one)))
        below = one
    for one in _ancestors(proc, os.getpid() if pid is None else pid):  # a screen, a tmux: whenever it was opened
        said = _environment(proc, one).get("SSH_CONNECTION", "").split()
        if len(said) == 4:
            return Connection(_plain(said[0]), _plain(said[2]), 0.0)
    names = [_name(proc, one) for one in _ancestors(proc, os.getpid() if pid is None else pid)]
    return Connection("", "", 0.0) if any(name.startswith("cockpit-") for name in names) else None


def way_back(peer: str, address: str) -> tuple[str, str]:
    """The bridge by which an answer from our address to an on-link peer leaves (under a VLAN, where it is one), and its
    port behind which the peer is, if that is a guest's or a container's; each empty where there is none, or nobody
    says."""
    with contextlib.suppress(HostError, LookupError, TypeError):
        route = programs.run_json("ip", "-j", "route", "get", peer, "from", address)[0]
        rows = {link["ifname"]: link for link in links.read_ip_links()}
        device = bridge = str(route["dev"])
        if _kind(rows[device]) == "vlan":
            bridge = rows[device]["link"]
        if "gateway" in route or "via" in route or _kind(rows[bridge]) != "bridge":
            return "", ""
        macs = [n.get("lladdr") for n in programs.run_json("ip", "-j", "neighbor", "show", "to", peer, "dev", device)]
        learned = programs.run_json("bridge", "-j", "fdb", "show", "br", bridge)
        ports = [row["ifname"] for row in learned if row.get("mac") in macs and _is_guests(rows[row["ifname"]])]
        return device, str(ports[0]) if ports else ""
    return "", ""


def _kind(link: Json) -> str:
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def _is_guests(link: Json) -> bool:
    """A virtual machine's port, or one whose other end is in a container; not one that joins two bridges."""
    return _kind(link) == "tun" or (_kind(link) == "veth" and "link_netnsid" in link)


def _first(proc: Path, sshd: int) -> int:
    """The process that a connection began with. The nearest sshd may be younger: for a user it comes with the login,
    and a connection may wait at its prompt for long. Each connection has a session (setsid(2)) of its own, from sshd
    or, with ssh@.service, from systemd, and all its processes are in it; the listener is in another (OpenSSH 7.4 to
    9.9)."""
    parent = int(_stat(proc, sshd)[1])
    while _name(proc, parent).startswith("sshd") and _stat(proc, parent)[3] == _stat(proc, sshd)[3]:
        sshd, parent = parent, int(_stat(proc, parent)[1])
    return sshd


def _ancestors(proc: Path, pid: int) -> Iterator[int]:
    while pid > 1:
        yield pid
        pid = int(_stat(proc, pid)[1])


def _stat(proc: Path, pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the program's name, which may hold anything."""
    try:
        return (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return ["", "0", *["0"] * 20]


def _name(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _environment(proc: Path, pid: int) -> dict[str, str]:
    try:
        words = (proc / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def _started(proc: Path, pid: int) -> float:
    """Field 22 of proc_pid_stat(5): clock ticks since the machine started."""
    return int(_stat(proc, pid)[19]) / os.sysconf("SC_CLK_TCK")


def _plain(address: str) -> str:
    """Without the mark of an IPv4 address on an IPv6 socket, and without a link-local one's zone; empty where it is
    none (sshd says UNKNOWN of what is no socket of the network)."""
    plain = address.removeprefix("::ffff:").partition("%")[0]
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(plain))
    return ""
