"""Tests of `kvmnet confirm`: which connections can confirm a change."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.cli import confirm
from kvmnet.core.base.errors import Refused
from kvmnet.host import operator_connection, reply_path
from kvmnet.host.operator_connection import SshConnection
from kvmnet.host.reply_path import ReplyPath
from kvmnet.system import links, units
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from tests.unit.cli.samples import run

#: The device through which replies to a peer leave, and the port that the peer is behind if it runs on this host.
REPLY_PATHS = {
    "10.1.1.1": ReplyPath("eth0", "10.1.1.1"),
    "192.0.2.1": ReplyPath("eth1", "192.0.2.1"),
    "10.1.0.9": ReplyPath("eth0", "10.1.0.9", "vnet3"),
    "10.7.0.1": ReplyPath("tap9", "10.7.0.1", "tap9"),
    "10.7.0.2": ReplyPath("veth7", "10.7.0.2", "veth7"),
    "fe80::9": ReplyPath("eth0", "fe80::9", "vnet3"),
    "fe80::1": ReplyPath("eth0", "fe80::1"),
    "192.168.122.9": ReplyPath("virbr0", "192.168.122.9"),
}


def ssh(peer: str, address: str, opened: float = 201.0, cookie: Optional[int] = 77, device: str = "") -> SshConnection:
    return SshConnection(peer, address, opened, cookie, device)


NEW = ssh("10.1.1.1", "10.1.255.254")


def wait_for_confirmation(folder: Path, *later: dict[str, Any], proving: tuple[str, ...] = ("eth0", "peth0")) -> None:
    """Write an open transaction that waits for confirmation since 200 s of uptime, or has gone on with `later`."""
    (folder / "open").mkdir()
    (folder / "open" / "transaction.json").write_text(json.dumps({"id": "T", "host": "h", "proving": proving}))
    (folder / "open" / "connections.json").write_text('{"cookies": [5, 6]}')
    (folder / "open" / "snapshot.json").write_text('{"names": ["eth0", "eth1", "peth0"]}')
    journal = Journal(folder / "open")
    for event in ({"event": "do", "step": 5, "title": "wait", "op": "confirm", "up": 200.0, "until": 400.0}, *later):
        journal.append(str(event.pop("event")), **event)


def find_confirmer(
    monkeypatch: pytest.MonkeyPatch, state: Path, connection: Optional[SshConnection], *, at_the_console: bool = False
) -> str:
    monkeypatch.setattr(operator_connection, "find_ssh_connection", lambda: connection)
    monkeypatch.setattr(operator_connection, "is_at_console", lambda: connection is None)
    addresses = {"eth1": ["192.0.2.7/24", "fe80::2/64"], "eth0": ["10.1.255.254/16", "fe80::2/64"]}
    monkeypatch.setattr(links, "read_addresses", lambda: addresses)

    def find_reply_path(peer: str, source: str, device: str) -> ReplyPath:
        assert bool(source) != bool(device)
        if peer not in REPLY_PATHS:
            raise HostError("Network is unreachable")
        return REPLY_PATHS[peer]

    monkeypatch.setattr(reply_path, "find_reply_path", find_reply_path)
    return confirm._find_confirmer(state, at_the_console)


@pytest.mark.guarantee("G37")
def test_a_new_connection_from_another_host_or_the_console_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_confirmation(tmp_path)
    assert find_confirmer(monkeypatch, tmp_path, NEW) == "10.1.1.1"
    assert find_confirmer(monkeypatch, tmp_path, ssh("fe80::1", "fe80::2", device="eth0")) == "fe80::1"
    assert find_confirmer(monkeypatch, tmp_path, None, at_the_console=True) == "the console"


@pytest.mark.guarantee("G37", "G97")
@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (ssh("10.1.1.1", "10.1.255.254", 150.0), "opened 50 s before the change and cannot confirm it"),
        (ssh("10.1.1.1", "10.1.255.254", cookie=6), "this connection was opened before the change and cannot"),
        (ssh("10.1.1.1", "10.1.255.254", cookie=None), "no socket of sshd was found for this session"),
        (ssh("", "", 0.0, None), "this session does not come over SSH from another machine"),
        (ssh("192.0.2.1", "192.0.2.7"), "uses eth1, which the change does not affect"),
        (ssh("fe80::1", "fe80::2", device="eth1"), "uses eth1, which the change does not affect"),
        (ssh("10.1.255.254", "10.1.255.254"), "from this host itself"),
        (None, "this is not an SSH connection"),
        (ssh("10.1.0.9", "10.1.255.254"), r"from a guest or container on this host \(port vnet3\)"),
        (ssh("10.7.0.1", "10.1.255.254"), r"from a guest or container on this host \(port tap9\)"),
        (ssh("10.7.0.2", "10.1.255.254"), r"from a guest or container on this host \(port veth7\)"),
        (ssh("fe80::9", "fe80::2", device="eth0"), r"from a guest or container on this host \(port vnet3\)"),
        (ssh("192.0.2.1", "10.1.255.254"), "replies to this connection leave through eth1, which the change does not"),
        (ssh("192.168.122.9", "10.1.255.254"), "replies to this connection leave through virbr0, which the change"),
        (ssh("203.0.113.1", "10.1.255.254"), "the route back to 203.0.113.1 could not be read"),
    ],
)
def test_a_connection_that_does_not_show_that_the_host_is_reachable_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Optional[SshConnection], message: str
) -> None:
    wait_for_confirmation(tmp_path)
    with pytest.raises(Refused, match=message) as refused:
        find_confirmer(monkeypatch, tmp_path, connection)
    assert refused.value.code == "KVN561" and "cannot confirm" in refused.value.message
    assert refused.value.hint is not None and "ssh -S none HOST kvmnet confirm" in refused.value.hint


def test_the_hint_names_an_interface_that_has_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_confirmation(tmp_path)
    with pytest.raises(Refused) as refused:
        find_confirmer(monkeypatch, tmp_path, ssh("192.0.2.1", "192.0.2.7"))
    assert refused.value.hint is not None and refused.value.hint.endswith(", to an address of eth0")


def test_any_new_connection_confirms_when_the_change_affects_no_interface_with_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_confirmation(tmp_path, proving=())
    assert find_confirmer(monkeypatch, tmp_path, ssh("192.0.2.1", "192.0.2.7")) == "192.0.2.1"
    with pytest.raises(Refused, match="from this host itself"):
        find_confirmer(monkeypatch, tmp_path, ssh("192.0.2.7", "192.0.2.7"))
    with pytest.raises(Refused, match="opened 50 s before the change"):
        find_confirmer(monkeypatch, tmp_path, ssh("192.0.2.1", "192.0.2.7", 150.0))


def test_a_confirmation_is_refused_when_no_change_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="no change is waiting for confirmation") as refused:
        find_confirmer(monkeypatch, tmp_path, NEW)
    assert refused.value.code == "KVN560"
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: True)
    wait_for_confirmation(tmp_path, {"event": "failed", "error": "not confirmed in time"})
    with pytest.raises(Refused, match="the open change is not waiting for confirmation") as refused:
        find_confirmer(monkeypatch, tmp_path, NEW)
    assert refused.value.code == "KVN560"


def test_a_confirmation_that_does_not_fit_on_the_disk_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wait_for_confirmation(tmp_path)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(confirm, "state_path", lambda: tmp_path)
    monkeypatch.setattr(Path, "write_text", fail)
    monkeypatch.setattr(operator_connection, "is_at_console", lambda: True)
    assert run("confirm", "--at-the-console") == 5
    assert "KVN510" in capfd.readouterr().err


@pytest.mark.guarantee("G97")
def test_only_the_hosts_console_confirms_without_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a shell in an SSH session or a web terminal."""
    wait_for_confirmation(tmp_path)
    with pytest.raises(Refused, match="this is not the host's console") as refused:
        find_confirmer(monkeypatch, tmp_path, NEW, at_the_console=True)
    assert refused.value.code == "KVN561"


@pytest.mark.guarantee("G97")
def test_a_confirmation_has_the_id_of_the_change_that_it_was_given_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suspended `kvmnet confirm` may go on while the next change waits."""
    wait_for_confirmation(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(confirm, "state_path", lambda: tmp_path)
    monkeypatch.setattr(confirm, "follow_to_end", lambda *_, **__: 0)

    def become_another_change(*_: Any) -> str:
        (tmp_path / "open" / "transaction.json").write_text('{"id": "U"}')
        return "10.1.1.1"

    monkeypatch.setattr(confirm, "_find_confirmer", become_another_change)
    assert run("confirm") == 0
    assert json.loads((tmp_path / "open" / "confirmed.json").read_text()) == {"id": "T", "by": "10.1.1.1"}
