"""Fixtures for tests of kvmnet/rescue: an open transaction, guests' ports, the state of a host, keyfiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import comparison, snapshot
from kvmnet.system import files, links, networkmanager, programs, units
from tests.unit.system.samples import IP_LINKS, GuestPorts


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An open transaction of three steps on a host that is as its snapshot describes it; the state folder."""
    folder = tmp_path / "open"
    folder.mkdir()
    steps = [{"title": f"step {n}", "undo": [{"op": "note", "n": n}]} for n in range(3)]
    files.write_file(str(folder / "transaction.json"), json.dumps({"id": "T", "steps": steps}).encode())
    files.write_file(str(folder / "snapshot.json"), json.dumps({"files": [], "profiles": []}).encode())
    monkeypatch.setattr(networkmanager, "make_responsive", lambda: None)
    monkeypatch.setattr(units, "stop_watchdog", lambda identity: None)
    monkeypatch.setattr(comparison, "find_differences", lambda before: [])
    return tmp_path


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> GuestPorts:
    """A kernel with a bridge and guests' devices, which `ip` shows and changes."""
    kernel = GuestPorts()
    monkeypatch.setattr(programs, "run_json", kernel.run_json)
    monkeypatch.setattr(programs, "run", kernel.run)
    return kernel


@pytest.fixture
def host_state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the host shows; a test changes it."""
    state: dict[str, Any] = {
        "links": links.read_links(json.loads(json.dumps(IP_LINKS))),
        "addresses": {"eth0": ["10.0.0.1/8"]},
        "routes": [],
        "zones": {"eth0": "trusted", "br0": None},
        "profiles": [
            {"uuid": "u-0", "device": "eth0", "file": "/etc/x", "id": "eth0"},
            {"uuid": "u-b", "device": "bond0", "file": "/etc/b", "id": "bond0"},
        ],
        "dns": {"eth0": {"nameservers": ["10.0.0.53"]}},
        "global dns": {},
    }
    monkeypatch.setattr(snapshot, "read_host_state", lambda *_: json.loads(json.dumps(state)))
    monkeypatch.setattr(links, "read_guest_ports", dict)
    return state


@pytest.fixture
def keyfiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of keyfiles on a host where NetworkManager runs; the open transaction's folder is beside it."""
    folder = tmp_path / "system-connections"
    folder.mkdir()
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(networkmanager, "PROFILE_FOLDERS", (str(folder),))
    monkeypatch.setattr(links, "read_guest_ports", dict)
    monkeypatch.setattr(networkmanager, "is_running", lambda: True)
    monkeypatch.setattr(programs, "run", lambda *argv, **_: "")
    return folder
