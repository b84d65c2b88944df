"""Tests of kvmnet/host/read_live.py: what it reads from nmstate, and the other facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.core.base.nmstate import State
from kvmnet.core.live.kernel_only import ManagedDevice
from kvmnet.core.live.live_host import ConnectionProfile, Owned
from kvmnet.host import read_live
from kvmnet.host.connection_profiles import ManagerState
from kvmnet.host.read_live import AppliedRecord, read_live_host
from kvmnet.system import firewalld, programs

STATIC = ManagedDevice(100, ("manual", "disabled"))


def wanted(**family: Any) -> State:
    return {"interfaces": [{"name": "eth0", "type": "ethernet", "state": "up", **family}]}


class Source:
    """A simulated nmstate and NetworkManager; `calls` are those of `show`."""

    def __init__(self) -> None:
        self.calls: list[bool] = []

    def show(self, kernel_only: bool = False) -> State:
        self.calls.append(kernel_only)
        return {"interfaces": []}

    def version(self) -> str:
        return "1"

    def checkpoints(self) -> list[str]:
        return ["/Checkpoint/1"]


@pytest.mark.parametrize(
    ("state", "device", "kernel_only"),
    [
        (wanted(), STATIC, [True]),
        (wanted(ipv4={"enabled": True, "dhcp": True}), STATIC, [False]),
        (wanted(), ManagedDevice(100, ("auto", "disabled")), [False]),
        (None, STATIC, [False]),
    ],
)
def test_nmstate_reads_only_the_kernel_if_that_is_enough(
    state: Optional[State], device: ManagedDevice, kernel_only: list[bool]
) -> None:
    backend = Source()
    read_live._read_state(backend, ManagerState((), {"eth0": device}), state)  # type: ignore[arg-type]
    assert backend.calls == kernel_only


def test_the_live_host_has_every_fact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    active, idle = (
        ConnectionProfile("u-1", "eth0", "bridge", "eth0", "/etc/a"),
        ConnectionProfile("u-3", "other", "bridge", "", "/etc/b"),
    )
    (tmp_path / "00-kvmnet-peth0.link").write_text("[Link]")
    (tmp_path / "10-other.link").write_text("[Link]")
    (tmp_path / "settings").write_text("[device]")
    temporary = json.dumps([{}, {"addr_info": [{"local": "2001:db8::7", "temporary": True}, {"local": "fe80::7"}]}])
    monkeypatch.setattr(programs, "run", lambda *words, **_: temporary)
    monkeypatch.setattr(firewalld, "is_running", lambda: True)
    monkeypatch.setattr(firewalld, "read_zones", lambda: {"eth0": "public", "gone": "public"})
    monkeypatch.setattr(read_live, "read_links", lambda: {"eth0": None})
    monkeypatch.setattr(read_live, "read_boot_files", lambda *facts: facts)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(read_live, "LINK_DIR", tmp_path)
    monkeypatch.setattr(read_live, "SETTINGS_FILE", str(tmp_path / "settings"))
    source: Any = Source()
    record = AppliedRecord(
        "sha256:1", "{}", {"eth0": Owned("ethernet", False)}, {"interfaces": []}, {"m": "eth0"}, {"b": {}}
    )
    devices = {"eth0": ManagedDevice(100, ("manual", "auto"))}
    live = read_live_host(source, source, ManagerState((active, idle), devices), record)
    assert (live.profiles, live.idle, live.temporary) == ({"eth0": active}, (idle,), ("2001:db8::7",))
    assert (live.link_files, live.settings) == (
        {"00-kvmnet-peth0.link": "[Link]"},
        {str(tmp_path / "settings"): "[device]"},
    )
    assert (live.zones, live.checkpoints, live.nmstate) == ({"eth0": "public"}, ("/Checkpoint/1",), "1")
    assert (live.applied, live.hook, live.owned) == (record.digest, record.hook, record.owned)
    assert (live.applied_state, live.first_names) == (record.state, record.first_names)
    assert live.applied_settings == {"b": {}}
    boot: Any = live.boot
    assert boot == ({"eth0": None}, {"eth0": "u-1"}, "1")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert read_live_host(source, source, ManagerState((active, idle), devices), record).boot is None
