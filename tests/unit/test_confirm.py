"""Who may confirm a change, and when one is asked to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kvmnet.host import operator_connection
from kvmnet.host.operator_connection import Connection, ssh_connection
from kvmnet.system import links, programs
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal

TICK = os.sysconf("SC_CLK_TCK")


def process(
    proc: Path, pid: int, parent: int, name: str, started: float = 1.0, session: int = 0, **environment: str
) -> None:
    """In a `session` of its own where none is said."""
    folder = proc / str(pid)
    folder.mkdir()
    fields = ["S", str(parent), "0", str(session or pid), *["0"] * 15, str(int(started * TICK)), "0"]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (folder / "comm").write_text(name + "\n")
    (folder / "environ").write_bytes("".join(f"{k}={v}\0" for k, v in environment.items()).encode())


def test_the_connection_is_found_through_sudo(tmp_path: Path) -> None:
    """The shell's parent is the sshd of this one connection; the listener above it is older than all."""
    process(tmp_path, 10, 1, "sshd", 5.0)
    process(tmp_path, 20, 10, "sshd-session", 100.5)
    process(tmp_path, 30, 20, "a) (shell", SSH_CONNECTION="::ffff:10.1.1.1 50000 ::ffff:10.1.255.254 22")
    process(tmp_path, 40, 30, "sudo")
    process(tmp_path, 50, 40, "kvmnet")
    assert ssh_connection(tmp_path, 50) == Connection("10.1.1.1", "10.1.255.254", 100.5)


@pytest.mark.parametrize(
    ("sshds", "opened"),
    [
        ([(10, 1, "sshd", 5.0, 10), (20, 10, "sshd", 100.5, 20)], 100.5),  # root, who has one process
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
    """And not as the one that comes with the login, which may wait at its prompt; nor as the listener."""
    for sshd in sshds:
        process(tmp_path, *sshd)
    process(tmp_path, 30, sshds[-1][0], "bash", 171.0, SSH_CONNECTION="10.1.1.1 50000 10.1.255.254 22")
    process(tmp_path, 40, 30, "sudo", 180.0, 30)
    assert ssh_connection(tmp_path, 40) == Connection("10.1.1.1", "10.1.255.254", opened)


def test_a_tmux_is_as_old_as_can_be_and_a_console_is_no_connection(tmp_path: Path) -> None:
    process(tmp_path, 20, 1, "login")
    process(tmp_path, 21, 20, "bash")
    assert ssh_connection(tmp_path, 21) is None
    process(tmp_path, 30, 1, "tmux: server", SSH_CONNECTION="10.1.1.1 50000 10.1.255.254 22")
    process(tmp_path, 40, 30, "bash", SSH_CONNECTION="10.1.1.1 50000 10.1.255.254 22")
    assert ssh_connection(tmp_path, 40) == Connection("10.1.1.1", "10.1.255.254", 0.0)


def test_the_way_back_to_a_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the answers from our address leave, which may be by a table of its own; a guest is behind a port."""
    ways = {
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
        if words[2:4] == ("route", "get") and words[5:] == ("from", "10.1.255.254") and words[4] in ways:
            return [ways[words[4]]]
        if words[2:5] == ("neighbor", "show", "to"):
            return [{"dst": words[5], "lladdr": f"mac of {words[5]}"}]
        if words == ("bridge", "-j", "fdb", "show", "br", "br0"):
            return [{"mac": f"mac of {peer}", "ifname": port} for peer, port in behind.items()]
        raise HostError("RTNETLINK answers: Network is unreachable")

    monkeypatch.setattr(programs, "run_json", run_json)
    monkeypatch.setattr(links, "read_ip_links", lambda: rows)
    found = {peer: operator_connection.way_back(peer, "10.1.255.254") for peer in [*ways, "10.9.0.1"]}
    assert found == {
        "10.1.0.9": ("br0", "vnet3"),
        "10.1.0.8": ("br0", ""),
        "10.1.0.7": ("br0", "veth1"),
        "10.1.0.6": ("br0", ""),  # it joins two bridges
        "10.5.0.9": ("br0.5", "vnet3"),
        "10.6.0.1": ("", ""),  # who is behind a router is elsewhere
        "10.7.0.1": ("", ""),
        "10.9.0.1": ("", ""),
    }


def test_what_is_no_connection_of_the_network_has_no_addresses(tmp_path: Path) -> None:
    process(tmp_path, 20, 1, "sshd", 5.0)
    process(tmp_path, 30, 20, "bash", SSH_CONNECTION="UNKNOWN 65535 UNKNOWN 65535")
    assert ssh_connection(tmp_path, 30) == Connection("", "", 5.0)


@pytest.mark.guarantee("G37")
def test_who_comes_by_the_web_is_no_person_at_the_console(tmp_path: Path) -> None:
    process(tmp_path, 20, 1, "cockpit-ws")
    process(tmp_path, 21, 20, "cockpit-session")
    process(tmp_path, 22, 21, "cockpit-bridge")
    process(tmp_path, 23, 22, "bash")
    assert ssh_connection(tmp_path, 23) == Connection("", "", 0.0)


def state(*interfaces: dict[str, Any]) -> dict[str, Any]:
    return {"interfaces": list(interfaces)}


BRIDGE: dict[str, Any] = {
    "name": "eth0",
    "type": "linux-bridge",
    "bridge": {"port": [{"name": "peth0"}]},
    "ipv4": {"address": [{"ip": "10.1.255.254", "prefix-length": 16}]},
}


def test_history_is_read_from_the_journals(tmp_path: Path) -> None:
    from kvmnet.transaction.history import adopted, before_the_last, ended

    def past(name: str, events: list[dict[str, Any]], transaction: dict[str, Any], files: dict[str, str]) -> None:
        folder = tmp_path / "history" / name
        folder.mkdir(parents=True)
        journal = Journal(folder)
        for event in events:
            journal.append(str(event["event"]), **{k: v for k, v in event.items() if k != "event"})
        (folder / "transaction.json").write_text(json.dumps({"host": "h", "changes": [{"what": "add"}], **transaction}))
        import base64

        records = [
            {"path": str(tmp_path / "applied" / n), "data": base64.b64encode(t.encode()).decode()}
            for n, t in files.items()
        ]
        (folder / "snapshot.json").write_text(json.dumps({"files": records}))

    kept: list[dict[str, Any]] = [
        {"event": "begin"},
        {"event": "kept"},
        {"event": "end", "outcome": "kept", "away": 0.3},
    ]
    past("1", kept, {"adopts": ["m1"]}, {})
    past("2", kept, {"adopts": ["m2"]}, {"nmstate.yml": "the first"})
    undone: list[dict[str, Any]] = [
        {"event": "begin"},
        {"event": "failed", "error": "no answer"},
        {"event": "undo", "why": "no answer"},
        {"event": "end", "outcome": "rolled back", "verified": True},
    ]
    past("3", undone, {"adopts": ["m3"]}, {"nmstate.yml": "the second"})
    told = [(one.id, one.outcome, one.verified, one.why, one.away, one.kept) for one in ended(tmp_path)]
    assert told == [
        ("1", "kept", None, None, 0.3, True),
        ("2", "kept", None, None, 0.3, True),
        ("3", "rolled back", True, "no answer", None, False),
    ]
    assert adopted(tmp_path) == {"m1", "m2"}
    assert before_the_last(tmp_path) == {"nmstate.yml": "the first"}
    past("4", kept, {"removes": True}, {})
    assert adopted(tmp_path) == set()
