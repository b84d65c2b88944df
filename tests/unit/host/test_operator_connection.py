"""Tests of kvmnet/host/operator_connection.py, with a simulated /proc."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Optional

import pytest

from kvmnet.host import operator_connection
from kvmnet.host.operator_connection import SshConnection, find_ssh_connection, is_at_console
from kvmnet.host.tcp_sockets import ESTABLISHED, TcpSocket
from kvmnet.system.errors import HostError

#: The kernel's numbers of terminals: tty1, ttyS0, ttyAMA0, hvc0; pts/0, and one with a number above 255.
CONSOLES, PSEUDO_TERMINALS = (0x401, 0x440, 204 << 8 | 64, 229 << 8), (136 << 8, 136 << 8 | 1 << 20)
TICK = os.sysconf("SC_CLK_TCK")


def process(
    proc: Path,
    pid: int,
    parent: int,
    name: str,
    started: float = 1.0,
    session: int = 0,
    terminal: int = 0,
    **environment: str,
) -> None:
    """Add a process to /proc, in a session of its own by default."""
    folder = proc / str(pid)
    folder.mkdir()
    fields = ["S", str(parent), "0", str(session or pid), str(terminal), *["0"] * 14, str(int(started * TICK)), "0"]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (folder / "comm").write_text(name + "\n")
    (folder / "environ").write_bytes("".join(f"{k}={v}\0" for k, v in environment.items()).encode())


def test_the_connection_is_found_through_sudo(tmp_path: Path) -> None:
    """The parent of the shell is the sshd of this connection; the listening sshd above it is older."""
    process(tmp_path, 10, 1, "sshd", 5.0)
    process(tmp_path, 20, 10, "sshd-session", 100.5)
    process(tmp_path, 30, 20, "a) (shell", SSH_CONNECTION="::ffff:10.1.1.1 50000 ::ffff:10.1.255.254 22")
    process(tmp_path, 40, 30, "sudo")
    process(tmp_path, 50, 40, "kvmnet")
    assert find_ssh_connection(tmp_path, 50) == SshConnection("10.1.1.1", "10.1.255.254", 100.5)


@pytest.mark.parametrize(
    ("sshds", "opened"),
    [
        ([(10, 1, "sshd", 5.0, 10), (20, 10, "sshd", 100.5, 20)], 100.5),  # root: one process
        ([(10, 1, "sshd", 5.0, 10), (20, 10, "sshd", 100.5, 20), (21, 20, "sshd", 170.0, 20)], 100.5),
        ([(10, 1, "sshd", 5.0, 10), (20, 10, "sshd-session", 100.5, 20), (21, 20, "sshd-session", 170.0, 20)], 100.5),
        ([(10, 1, "sshd", 5.0, 10), (20, 1, "sshd", 100.5, 20), (21, 20, "sshd", 170.0, 20)], 100.5),  # restarted since
        ([(1, 0, "systemd", 0.1, 1), (20, 1, "sshd", 100.5, 20), (21, 20, "sshd", 170.0, 20)], 100.5),  # ssh@.service
        ([(1, 0, "systemd", 0.1, 1), (20, 1, "sshd", 100.5, 20)], 100.5),
        ([(1, 0, "sshd", 0.1, 1), (20, 1, "sshd", 100.5, 20), (21, 20, "sshd", 170.0, 20)], 100.5),  # a container
        ([(9, 1, "inetd", 5.0, 9), (20, 9, "sshd", 100.5, 9), (21, 20, "sshd", 170.0, 9)], 100.5),
        ([(9, 1, "runsv", 4.0, 9), (10, 9, "sshd", 5.0, 9), (20, 10, "sshd", 100.5, 20)], 100.5),
    ],
)
def test_a_connection_is_as_old_as_its_first_process(
    tmp_path: Path, sshds: list[tuple[int, int, str, float, int]], opened: float
) -> None:
    """Neither the process that sshd starts after the login counts, nor the listening sshd."""
    for sshd in sshds:
        process(tmp_path, *sshd)
    process(tmp_path, 30, sshds[-1][0], "bash", 171.0, SSH_CONNECTION="10.1.1.1 50000 10.1.255.254 22")
    process(tmp_path, 40, 30, "sudo", 180.0, 30)
    assert find_ssh_connection(tmp_path, 40) == SshConnection("10.1.1.1", "10.1.255.254", opened)


def test_a_tmux_has_a_connection_opened_at_0_and_a_console_has_none(tmp_path: Path) -> None:
    process(tmp_path, 20, 1, "login")
    process(tmp_path, 21, 20, "bash")
    assert find_ssh_connection(tmp_path, 21) is None
    process(tmp_path, 30, 1, "tmux: server", SSH_CONNECTION="10.1.1.1 50000 10.1.255.254 22")
    process(tmp_path, 40, 30, "bash", SSH_CONNECTION="10.1.1.1 50000 10.1.255.254 22")
    assert find_ssh_connection(tmp_path, 40) == SshConnection("10.1.1.1", "10.1.255.254", 0.0)


def test_a_connection_over_no_network_socket_has_no_addresses(tmp_path: Path) -> None:
    process(tmp_path, 20, 1, "sshd", 5.0)
    process(tmp_path, 30, 20, "bash", SSH_CONNECTION="UNKNOWN 65535 UNKNOWN 65535")
    assert find_ssh_connection(tmp_path, 30) == SshConnection("", "", 5.0)


@pytest.mark.guarantee("G37")
def test_a_session_of_cockpit_is_a_connection_without_addresses(tmp_path: Path) -> None:
    process(tmp_path, 20, 1, "cockpit-ws")
    process(tmp_path, 21, 20, "cockpit-session")
    process(tmp_path, 22, 21, "cockpit-bridge")
    process(tmp_path, 23, 22, "bash")
    assert find_ssh_connection(tmp_path, 23) == SshConnection("", "", 0.0)


def hold(proc: Path, pid: int, *inodes: int, program: str = "/usr/sbin/sshd", user: int = 0) -> None:
    """Let a process run a program as a user and hold sockets."""
    folder = proc / str(pid)
    (folder / "exe").symlink_to(program)
    (folder / "status").write_text(f"Name:\tx\nUid:\t{user}\t{user}\t{user}\t{user}\n")
    (folder / "fd").mkdir()
    (folder / "fd" / "0").symlink_to("/dev/null")
    for number, inode in enumerate(inodes, 3):
        (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


def tcp(
    inode: int,
    peer: str = "10.1.1.1",
    address: str = "10.1.255.254",
    cookie: int = 77,
    port: int = 50000,
    device: int = 0,
) -> TcpSocket:
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    own, other = (socket.inet_pton(family, text) for text in (address, peer))
    return TcpSocket(ESTABLISHED, own, 22, other, port, device, cookie, inode)


CLAIM = "10.9.9.9 50000 10.8.8.8 22"


def session(proc: Path, server: int = 20, claim: str = "") -> None:
    """Add a shell with sudo and kvmnet (50) below the sshd 20, whose parent is the listening sshd 10."""
    process(proc, 10, 1, "sshd", 5.0)
    process(proc, 20, 10, "sshd-session", 100.5)
    process(proc, 30, server, "bash", 101.0, SSH_CONNECTION=claim)
    process(proc, 40, 30, "sudo")
    process(proc, 50, 40, "kvmnet")


@pytest.mark.guarantee("G97")
@pytest.mark.parametrize("program", ["/usr/sbin/sshd", "/usr/lib/openssh/sshd-session", "/usr/sbin/sshd (deleted)"])
def test_the_ends_of_a_connection_are_those_of_sshds_socket(tmp_path: Path, program: str) -> None:
    """Whatever the environment claims."""
    session(tmp_path, claim=CLAIM)
    hold(tmp_path, 20, 5001, program=program)
    sockets = [tcp(4000, "192.0.2.1", cookie=1), tcp(5001)]
    assert find_ssh_connection(tmp_path, 50, lambda: sockets) == SshConnection("10.1.1.1", "10.1.255.254", 100.5, 77)
    mapped = tcp(5001, "::ffff:10.1.1.1", "::ffff:10.1.255.254")
    assert find_ssh_connection(tmp_path, 50, lambda: [mapped]) == SshConnection("10.1.1.1", "10.1.255.254", 100.5, 77)


@pytest.mark.guarantee("G97")
def test_a_link_local_connection_has_its_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_connection, "device_name", lambda index: {7: "eth0"}[index])
    session(tmp_path)
    hold(tmp_path, 20, 5001)
    found = find_ssh_connection(tmp_path, 50, lambda: [tcp(5001, "fe80::1", "fe80::2", device=7)])
    assert found == SshConnection("fe80::1", "fe80::2", 100.5, 77, "eth0", "eth0")


@pytest.mark.guarantee("G97")
@pytest.mark.parametrize(
    ("program", "user", "listed"),
    [("/usr/bin/python3.11", 0, True), ("/usr/sbin/sshd", 1000, True), ("/usr/sbin/sshd", 0, False)],
    ids=["a process that only calls itself sshd", "not root's", "no network socket"],
)
def test_a_process_that_is_not_sshd_of_root_with_a_socket_proves_nothing(
    tmp_path: Path, program: str, user: int, listed: bool
) -> None:
    """It still shows that the session is a remote one."""
    session(tmp_path, claim=CLAIM)
    hold(tmp_path, 20, 5001, program=program, user=user)
    found = find_ssh_connection(tmp_path, 50, lambda: [tcp(5001)] if listed else [])
    assert found == SshConnection("10.9.9.9", "10.8.8.8", 100.5, None)


@pytest.mark.guarantee("G97")
def test_the_socket_of_an_ordinary_users_session_is_that_of_the_parent(tmp_path: Path) -> None:
    process(tmp_path, 21, 20, "sshd-session", 170.0, session=20)
    session(tmp_path, 21)
    hold(tmp_path, 21, 5001, 5002, user=1000)
    hold(tmp_path, 20, 5001)
    sockets = [tcp(5001), tcp(5002, "192.0.2.1", cookie=99)]
    assert find_ssh_connection(tmp_path, 50, lambda: sockets) == SshConnection("10.1.1.1", "10.1.255.254", 100.5, 77)


@pytest.mark.guarantee("G97")
def test_a_forwarded_port_of_an_old_connection_is_not_the_connection(tmp_path: Path) -> None:
    """sshd of root holds the sockets of forwarded ports too: the connection is the first, or the one it names."""
    session(tmp_path)
    hold(tmp_path, 20, 5001, 5002)
    sockets = [tcp(5002, "192.0.2.1", cookie=99), tcp(5001)]
    found = find_ssh_connection(tmp_path, 50, lambda: sockets)
    assert found is not None and found.cookie == 77
    (tmp_path / "30" / "environ").write_bytes(b"SSH_CONNECTION=192.0.2.1 50000 10.1.255.254 22\0")
    found = find_ssh_connection(tmp_path, 50, lambda: sockets)
    assert found is not None and found.cookie == 99


def test_without_the_kernels_list_the_connection_proves_nothing(tmp_path: Path) -> None:
    def fail() -> list[TcpSocket]:
        raise HostError("no sock_diag")

    session(tmp_path, claim=CLAIM)
    hold(tmp_path, 20, 5001)
    assert find_ssh_connection(tmp_path, 50, fail) == SshConnection("10.9.9.9", "10.8.8.8", 100.5, None)


def terminals(proc: Path, *rows: tuple[str, int]) -> int:
    """Add processes, the last one the youngest, each with its terminal; return the last one."""
    for number, (name, terminal) in enumerate(rows, 20):
        process(proc, number, number - 1 if number > 20 else 1, name, terminal=terminal)
    return 19 + len(rows)


@pytest.mark.guarantee("G97")
@pytest.mark.parametrize("pty", PSEUDO_TERMINALS)
@pytest.mark.parametrize("parents", [[], ["ttyd"], ["tmux: server"], ["gnome-terminal-"], ["systemd-run"]])
def test_a_session_on_a_pseudo_terminal_is_a_remote_one(tmp_path: Path, pty: int, parents: list[str]) -> None:
    """run0 and machinectl: systemd started it; a web terminal, tmux: their server has no terminal."""
    pid = terminals(tmp_path, *((name, 0) for name in parents), ("bash", pty), ("kvmnet", pty))
    assert find_ssh_connection(tmp_path, pid, lambda: ()) == SshConnection("", "", 0.0)
    assert not is_at_console(tmp_path, pid)


@pytest.mark.guarantee("G97")
@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize(("relay", "own"), [(None, None), ("sudo", None), ("sudo", PSEUDO_TERMINALS[0])])
def test_a_virtual_terminal_or_serial_line_is_the_console(
    tmp_path: Path, console: int, relay: Optional[str], own: Optional[int]
) -> None:
    """sudo (1.9.14 and newer) gives the command a pseudo-terminal of its own."""
    above = [(relay, console), (relay, own or console)] if relay else []
    rows = [("login", 0), ("bash", console), *above, ("kvmnet", own or console)]
    pid = terminals(tmp_path, *rows)
    assert find_ssh_connection(tmp_path, pid, lambda: ()) is None
    assert is_at_console(tmp_path, pid)


def test_a_unit_or_cron_job_has_no_terminal_and_is_no_console(tmp_path: Path) -> None:
    pid = terminals(tmp_path, ("cron", 0), ("sh", 0), ("kvmnet", 0))
    assert find_ssh_connection(tmp_path, pid, lambda: ()) is None
    assert not is_at_console(tmp_path, pid)


@pytest.mark.guarantee("G97")
def test_a_session_below_sshd_is_not_at_the_console(tmp_path: Path) -> None:
    """Whatever terminal it opens."""
    pid = terminals(tmp_path, ("sshd", 0), ("bash", CONSOLES[0]), ("kvmnet", CONSOLES[0]))
    assert not is_at_console(tmp_path, pid)
