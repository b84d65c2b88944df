"""Finds the SSH connection that this command was started through, when it was opened, and where its replies leave."""

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
class SshConnection:
    """An SSH connection: the peer's address, this host's address, and when it was opened, in seconds since boot (as
    `system.clock.uptime`). The addresses are empty for a session of Cockpit."""

    peer: str
    address: str
    opened: float


def find_ssh_connection(proc: Path = Path("/proc"), pid: Optional[int] = None) -> Optional[SshConnection]:
    """Return the SSH connection that this process was started through, or None at a console or in a unit.

    The nearest sshd among the parent processes is that of the connection: sudo removes SSH_CONNECTION from the
    environment, and a shell over an old multiplexed connection (ControlMaster) has the sshd of the old connection as
    its parent. The server of a screen or tmux has no sshd as parent: the connection is then the one in its environment,
    opened at 0.
    """
    processes = list(_list_ancestors(proc, os.getpid() if pid is None else pid))
    child: Optional[int] = None
    for process in processes:
        if _read_name(proc, process).startswith("sshd"):
            fields = _read_environment(proc, child).get("SSH_CONNECTION", "").split() if child else []
            if len(fields) == 4:
                peer, _, address, _ = (_normalize(field) for field in fields)
                return SshConnection(peer, address, _read_start_time(proc, _find_first_process(proc, process)))
        child = process
    for process in processes:
        fields = _read_environment(proc, process).get("SSH_CONNECTION", "").split()
        if len(fields) == 4:
            return SshConnection(_normalize(fields[0]), _normalize(fields[2]), 0.0)
    is_cockpit = any(_read_name(proc, process).startswith("cockpit-") for process in processes)
    return SshConnection("", "", 0.0) if is_cockpit else None


def find_reply_path(peer: str, address: str) -> tuple[str, str]:
    """Return the bridge (or the VLAN over it) through which replies from `address` to an on-link peer leave, and the
    port behind which the peer is, if it is a guest or a container of this host. Each is "" if there is none or if it
    cannot be read."""
    with contextlib.suppress(HostError, LookupError, TypeError):
        route = programs.run_json("ip", "-j", "route", "get", peer, "from", address)[0]
        rows = {link["ifname"]: link for link in links.read_ip_links()}
        device = bridge = str(route["dev"])
        if _kind(rows[device]) == "vlan":
            bridge = rows[device]["link"]
        if "gateway" in route or "via" in route or _kind(rows[bridge]) != "bridge":
            return "", ""
        macs = [n.get("lladdr") for n in programs.run_json("ip", "-j", "neighbor", "show", "to", peer, "dev", device)]
        entries = programs.run_json("bridge", "-j", "fdb", "show", "br", bridge)
        learned = [entry["ifname"] for entry in entries if entry.get("mac") in macs]
        ports = [port for port in learned if _is_guest_port(rows[port])]
        return device, str(ports[0]) if ports else ""
    return "", ""


def _kind(link: Json) -> str:
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def _is_guest_port(link: Json) -> bool:
    """Whether a port is that of a virtual machine, or its other end is in a container. A veth between two bridges is
    not."""
    return _kind(link) == "tun" or (_kind(link) == "veth" and "link_netnsid" in link)


def _find_first_process(proc: Path, sshd: int) -> int:
    """Return the first process of an SSH connection.

    The nearest sshd may be younger: for an ordinary user sshd starts it after the login, and a connection may wait at
    the prompt for a long time. All processes of a connection are in one session (setsid(2)), which sshd creates, or
    systemd with ssh@.service. The listening sshd is in another session (OpenSSH 7.4 to 9.9).
    """
    parent = int(_read_stat(proc, sshd)[1])
    while _read_name(proc, parent).startswith("sshd") and _read_stat(proc, parent)[3] == _read_stat(proc, sshd)[3]:
        sshd, parent = parent, int(_read_stat(proc, parent)[1])
    return sshd


def _list_ancestors(proc: Path, pid: int) -> Iterator[int]:
    """Yield the process ID itself, then those of its parents, without init."""
    while pid > 1:
        yield pid
        pid = int(_read_stat(proc, pid)[1])


def _read_stat(proc: Path, pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the program's name, which may contain any character."""
    try:
        return (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # the process has ended meanwhile
        return ["", "0", *["0"] * 20]


def _read_name(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _read_environment(proc: Path, pid: int) -> dict[str, str]:
    try:
        entries = (proc / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def _read_start_time(proc: Path, pid: int) -> float:
    """Return when a process was started, in seconds since boot: field 22 of proc_pid_stat(5), in clock ticks."""
    return int(_read_stat(proc, pid)[19]) / os.sysconf("SC_CLK_TCK")


def _normalize(address: str) -> str:
    """Return an address without the prefix of an IPv4 address on an IPv6 socket and without a zone, or "" if it is no
    address (sshd writes UNKNOWN for a socket that is not of the network)."""
    bare = address.removeprefix("::ffff:").partition("%")[0]
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(bare))
    return ""
