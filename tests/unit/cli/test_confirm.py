"""Tests of `kvmnet confirm`: which connections can confirm a change."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.cli import confirm
from kvmnet.core.base.errors import Refused
from kvmnet.host import operator_connection
from kvmnet.host.operator_connection import SshConnection
from kvmnet.system import links, units
from kvmnet.system.journal import Journal
from tests.unit.cli.samples import run

#: The bridge through which replies to a peer leave, and the port that the peer is behind if it runs on this host.
REPLY_PATHS = {"10.1.1.1": ("eth0", ""), "10.1.0.9": ("eth0", "vnet3"), "192.168.122.9": ("virbr0", "")}
NEW = SshConnection("10.1.1.1", "10.1.255.254", 201.0)


def wait_for_confirmation(folder: Path, *later: dict[str, Any], proving: tuple[str, ...] = ("eth0", "peth0")) -> None:
    """Write an open transaction that waits for confirmation since 200 s of uptime, or has gone on with `later`."""
    (folder / "open").mkdir()
    (folder / "open" / "transaction.json").write_text(json.dumps({"id": "T", "host": "h", "proving": proving}))
    (folder / "open" / "snapshot.json").write_text('{"names": ["eth0", "eth1", "peth0"]}')
    journal = Journal(folder / "open")
    for event in ({"event": "do", "step": 5, "title": "wait", "op": "confirm", "up": 200.0, "until": 400.0}, *later):
        journal.append(str(event.pop("event")), **event)


def find_confirmer(
    monkeypatch: pytest.MonkeyPatch, state: Path, connection: Optional[SshConnection], *, at_the_console: bool = False
) -> str:
    monkeypatch.setattr(operator_connection, "find_ssh_connection", lambda: connection)
    monkeypatch.setattr(links, "read_addresses", lambda: {"eth0": ["10.1.255.254/16"], "eth1": ["192.0.2.7/24"]})
    monkeypatch.setattr(operator_connection, "find_reply_path", lambda peer, address: REPLY_PATHS.get(peer, ("", "")))
    return confirm._find_confirmer(state, at_the_console)


@pytest.mark.guarantee("G37")
def test_a_new_connection_from_another_host_or_the_console_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_confirmation(tmp_path)
    assert find_confirmer(monkeypatch, tmp_path, NEW) == "10.1.1.1"
    assert find_confirmer(monkeypatch, tmp_path, None, at_the_console=True) == "the console"


@pytest.mark.guarantee("G37")
@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (SshConnection("10.1.1.1", "10.1.255.254", 150.0), "opened 50 s before the change and cannot confirm it"),
        (SshConnection("192.0.2.1", "192.0.2.7", 201.0), "uses eth1, which the change does not affect"),
        (SshConnection("10.1.255.254", "10.1.255.254", 201.0), "from this host itself"),
        (None, "this is not an SSH connection"),
        (SshConnection("10.1.0.9", "10.1.255.254", 201.0), r"from a guest or container on this host \(port vnet3\)"),
        (
            SshConnection("192.168.122.9", "10.1.255.254", 201.0),
            "replies to this connection leave through virbr0, which the change does not affect",
        ),
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
        find_confirmer(monkeypatch, tmp_path, SshConnection("192.0.2.1", "192.0.2.7", 201.0))
    assert refused.value.hint is not None and refused.value.hint.endswith(", to an address of eth0")


def test_any_new_connection_confirms_when_the_change_affects_no_interface_with_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_confirmation(tmp_path, proving=())
    assert find_confirmer(monkeypatch, tmp_path, SshConnection("192.0.2.1", "192.0.2.7", 201.0)) == "192.0.2.1"
    with pytest.raises(Refused, match="from this host itself"):
        find_confirmer(monkeypatch, tmp_path, SshConnection("192.0.2.7", "192.0.2.7", 201.0))
    with pytest.raises(Refused, match="opened 50 s before the change"):
        find_confirmer(monkeypatch, tmp_path, SshConnection("192.0.2.1", "192.0.2.7", 150.0))


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
    assert run("confirm", "--at-the-console") == 5
    assert "KVN510" in capfd.readouterr().err
