"""Fixtures of the transaction's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet.core.assessment import assess
from kvmnet.rescue import snapshot
from kvmnet.system import programs
from kvmnet.transaction import safeguards
from kvmnet.transaction.prepare import Prepared
from tests.unit.core.samples import before
from tests.unit.transaction.samples import BUNDLE, KEYFILE, LINK, MAC, compile_sample, file, link, write_history


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """A prepared change. Installing the rescue program and the units and taking the snapshot succeed."""
    monkeypatch.setattr(safeguards, "UNIT_DIR", tmp_path / "units")
    (tmp_path / "units" / "multi-user.target.wants").mkdir(parents=True)
    monkeypatch.setattr(programs, "run", lambda *words, **_: "")
    monkeypatch.setattr(snapshot, "take_snapshot", lambda *_: {"files": []})
    return Prepared(assess(BUNDLE, before()), "nmstatectl", compile_sample())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder of a host: a change failed, one adopted the NIC, and another one changed it."""
    first = {
        "files": [file(KEYFILE, "[connection]\nuuid=u-1\n"), file(LINK, None)],
        "links": {"eth0": link("eth0")},
        "addresses": {"eth0": ["10.1.255.254/16"]},
        "zones": {"eth0": "trusted", "peth0": None},
        "profiles": [{"uuid": "u-1", "device": "eth0", "file": KEYFILE, "id": "eth0"}],
    }
    later = {
        "files": [
            file(KEYFILE, "[connection]\nuuid=u-1\ncontroller=eth0\n"),
            file(LINK, "ours"),
            file("/etc/NetworkManager/system-connections/bridge.nmconnection", "[connection]\nuuid=u-2\n"),
            file(str(tmp_path / "applied" / "bundle.json"), "{}"),
        ],
        "links": {"peth0": link("peth0")},
    }
    write_history(tmp_path, "0", kept=False, snapshot=later, adopts=[MAC])
    write_history(tmp_path, "1", snapshot=first, adopts=[MAC])
    write_history(tmp_path, "2", snapshot=later, adopts=[])
    return tmp_path
