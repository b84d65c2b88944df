"""Finds the SSH connection that this command was started through, and whether it runs at the host's own console.

What a session claims of itself (SSH_CONNECTION, the name of a process) only shows that it is a remote one. The ends of
a connection come from the kernel: from the TCP socket that sshd holds.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kvmnet.host.tcp_sockets import ESTABLISHED, TcpSocket, device_name, read_tcp_sockets
from kvmnet.system.errors import HostError

#: The programs that hold the socket of a connection; since OpenSSH 9.8 it is sshd-session.
_SSH_SERVERS = ("sshd", "sshd-session")
#: Programs that give a command a terminal of its own, inside of the terminal that they run on.
_RELAYS = ("sudo", "su", "runuser", "doas", "pkexec", "script")
#: The kernel's numbers (major) of pseudo-terminals: admin-guide/devices.txt.
_PSEUDO_TERMINALS = (2, 3, *range(136, 144))

ReadSockets = Callable[[], Sequence[TcpSocket]]


@dataclass(frozen=True)
class SshConnection:
    """A connection by which an operator came in: the peer's address, this host's address, and when it was opened, in
    seconds since boot (as `system.clock.uptime`).

    cookie: the kernel's number of sshd's socket; None where no such socket was found (tmux, other users than root).
        Only a connection that has one can prove anything.
    device: the interface of a link-local connection.
    bound: the interface that the socket is bound to: the VRF of a connection through one, otherwise mostly empty.

    The addresses are empty for a session that is remote in another way: a web terminal, run0, machinectl.
    """

    peer: str
    address: str
    opened: float
    cookie: Optional[int] = None
    device: str = ""
    bound: str = ""


def find_ssh_connection(
    proc: Path = Path("/proc"), pid: Optional[int] = None, read_sockets: ReadSockets = read_tcp_sockets
) -> Optional[SshConnection]:
    """Return the connection that this process was started through, or None at a console or in a unit.

    The nearest sshd among the parent processes is that of the connection: sudo removes SSH_CONNECTION from the
    environment, and a shell over an old multiplexed connection (ControlMaster) has the sshd of the old connection as
    its parent. The server of a screen or tmux has no sshd as parent: the connection is then the one in its environment,
    opened at 0. A session on a pseudo-terminal without any of these is remote too: somebody holds its other end.
    """
    processes = list(_list_ancestors(proc, os.getpid() if pid is None else pid))
    child: Optional[int] = None
    for process in processes:
        if _read_name(proc, process).startswith("sshd"):
            claim = _read_environment(proc, child).get("SSH_CONNECTION", "") if child else ""
            first = _find_first_process(proc, process)
            opened = _read_start_time(proc, first)
            held = _find_socket(proc, _list_servers(proc, process, first), claim, read_sockets)
            if held is not None:
                return _as_connection(held, opened)
            if len(fields := claim.split()) == 4:
                return SshConnection(_normalize(fields[0]), _normalize(fields[2]), opened)
        child = process
    for process in processes:
        fields = _read_environment(proc, process).get("SSH_CONNECTION", "").split()
        if len(fields) == 4:
            return SshConnection(_normalize(fields[0]), _normalize(fields[2]), 0.0)
    is_remote = any(_read_name(proc, process).startswith(("cockpit-", "sshd")) for process in processes)
    is_remote = is_remote or _is_pseudo_terminal(_find_terminal(proc, processes))
    return SshConnection("", "", 0.0) if is_remote else None


def is_at_console(proc: Path = Path("/proc"), pid: Optional[int] = None) -> bool:
    """Return whether this command runs at the host itself: on a virtual terminal or a serial line, without sshd."""
    pid = os.getpid() if pid is None else pid
    terminal = _find_terminal(proc, list(_list_ancestors(proc, pid)))
    is_terminal = terminal != 0 and not _is_pseudo_terminal(terminal)
    return is_terminal and find_ssh_connection(proc, pid, lambda: ()) is None


def _list_servers(proc: Path, nearest: int, first: int) -> list[int]:
    """Return the processes of a connection that run as root and are sshd, whatever they call themselves.

    For an ordinary user the nearest one runs as this user; its parent, which runs as root, holds the socket too.
    """
    processes = []
    for process in _list_ancestors(proc, nearest):
        with contextlib.suppress(OSError):
            program = (proc / str(process) / "exe").readlink().name.removesuffix(" (deleted)")
            if program in _SSH_SERVERS and _read_users(proc, process) == {"0"}:
                processes.append(process)
        if process == first:
            break
    return processes


def _find_socket(proc: Path, servers: Sequence[int], claim: str, read_sockets: ReadSockets) -> Optional[TcpSocket]:
    """Return the connection whose socket these processes hold: the one that sshd `claim`s (SSH_CONNECTION), otherwise
    the one that was accepted first, because sshd also holds the sockets of forwarded ports."""
    inodes = [inode for process in servers for inode in _list_socket_inodes(proc, process)]
    if not inodes:
        return None
    sockets: list[TcpSocket] = []
    with contextlib.suppress(HostError):
        sockets = [s for s in read_sockets() if s.state == ESTABLISHED and s.inode in inodes]
    sockets.sort(key=lambda found: inodes.index(found.inode))
    claimed = [found for found in sockets if _has_ends(found, claim.split())]
    return next(iter([*claimed, *sockets]), None)


def _has_ends(found: TcpSocket, claim: Sequence[str]) -> bool:
    if len(claim) != 4:
        return False
    ends = (_as_text(found.peer), str(found.peer_port), _as_text(found.address), str(found.port))
    return ends == (_normalize(claim[0]), claim[1], _normalize(claim[2]), claim[3])


def _as_connection(found: TcpSocket, opened: float) -> SshConnection:
    peer = _as_text(found.peer)
    bound = device_name(found.device)
    device = bound if ":" in peer and ipaddress.ip_address(peer).is_link_local else ""
    return SshConnection(peer, _as_text(found.address), opened, found.cookie, device, bound)


def _as_text(address: bytes) -> str:
    return _normalize(str(ipaddress.ip_address(address)))


def _list_socket_inodes(proc: Path, pid: int) -> list[int]:
    """Return the inodes of the sockets that a process holds, in the order of its descriptors."""
    found = {}
    with contextlib.suppress(OSError):
        for descriptor in (proc / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError, ValueError):
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    found[int(descriptor.name)] = int(target[8:-1])
    return [found[number] for number in sorted(found)]


def _find_terminal(proc: Path, processes: Sequence[int]) -> int:
    """Return the kernel's number of the terminal that a command runs on; 0 without one. sudo and the like give a
    command a terminal of its own: then it is theirs."""
    if not processes:
        return 0
    terminal = _read_terminal(proc, processes[0])
    for process in processes[1:]:
        other = _read_terminal(proc, process)
        if other != terminal and _read_name(proc, process) not in _RELAYS:
            break
        terminal = other
    return terminal


def _read_terminal(proc: Path, pid: int) -> int:
    return int(_read_stat(proc, pid)[4])


def _is_pseudo_terminal(number: int) -> bool:
    return (number >> 8) & 0xFFF in _PSEUDO_TERMINALS


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


def _read_users(proc: Path, pid: int) -> set[str]:
    """Return the user IDs of a process: real, effective, saved, of the file system."""
    for line in (proc / str(pid) / "status").read_text(errors="replace").splitlines():
        if line.startswith("Uid:"):
            return set(line.split()[1:])
    return set()


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
    with contextlib.suppress(ValueError):
        ip = ipaddress.ip_address(address.partition("%")[0])
        return str(getattr(ip, "ipv4_mapped", None) or ip)
    return ""
