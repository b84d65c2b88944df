"""Tests of kvmnet/host/operator_connection.py, with a simulated /proc and recorded output of ip and bridge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kvmnet.host import operator_connection
from kvmnet.host.operator_connection import SshConnection, find_ssh_connection
from kvmnet.system import links, programs
from kvmnet.system.errors import HostError

TICK = os.sysconf("SC_CLK_TCK")


def process(
    proc: Path, pid: int, parent: int, name: str, started: float = 1.0, session: int = 0, **environment: str
) -> None:
    """Add a process to /proc, in a session of its own by default."""
    folder = proc / str(pid)
    folder.mkdir()
    fields = ["S", str(parent), "0", str(session or pid), *["0"] * 15, str(int(started * TICK)), "0"]
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


def test_replies_to_a_peer_leave_by_a_bridge_or_vlan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The route of replies from our address counts, which may be in another table. A guest is behind a port."""
    routes = {
        "10.1.0.9": {"dev": "br0"},
        "10.1.0.8": {"dev": "br0"},
        "10.1.0.7": {"dev": "br0"},
        "10.1.0.6": {"dev": "br0"},
        "10.5.0.9": {"dev": "br0.5"},
        "10.6.0.1": {"dev": "br0", "gateway": "10.1.0.9"},
        "10.7.0.1": {"dev": "eth1"},
    }
    behind = {"10.1.0.9": "vnet3", "10.1.0.8": "eth0", "10.1.0.7": "veth1", "10.1.0.6": "patch0", "10.5.0.9": "vnet3"}
    kinds = {
        "br0": "bridge",
        "br0.5": "vlan",
        "vnet3": "tun",
        "veth1": "veth",
        "patch0": "veth",
        "eth0": "",
        "eth1": "",
    }
    rows: list[dict[str, Any]] = [
        {"ifname": n, **({"linkinfo": {"info_kind": k}} if k else {})} for n, k in kinds.items()
    ]
    rows[1]["link"], rows[3]["link_netnsid"] = "br0", 0

    def run_json(*words: str) -> Any:
        if words[2:4] == ("route", "get") and words[5:] == ("from", "10.1.255.254") and words[4] in routes:
            return [routes[words[4]]]
        if words[2:5] == ("neighbor", "show", "to"):
            return [{"dst": words[5], "lladdr": f"mac of {words[5]}"}]
        if words == ("bridge", "-j", "fdb", "show", "br", "br0"):
            return [{"mac": f"mac of {peer}", "ifname": port} for peer, port in behind.items()]
        raise HostError("RTNETLINK answers: Network is unreachable")

    monkeypatch.setattr(programs, "run_json", run_json)
    monkeypatch.setattr(links, "read_ip_links", lambda: rows)
    replies = {peer: operator_connection.find_reply_path(peer, "10.1.255.254") for peer in [*routes, "10.9.0.1"]}
    assert replies == {
        "10.1.0.9": ("br0", "vnet3"),
        "10.1.0.8": ("br0", ""),
        "10.1.0.7": ("br0", "veth1"),
        "10.1.0.6": ("br0", ""),  # a veth between two bridges
        "10.5.0.9": ("br0.5", "vnet3"),
        "10.6.0.1": ("", ""),  # behind a router, so not on this host
        "10.7.0.1": ("", ""),
        "10.9.0.1": ("", ""),
    }
