"""firewalld's zones are read."""

from __future__ import annotations

import json

import pytest

from kvmnet.system import firewalld, programs


def test_all_zones_are_read_by_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [
        {"trusted": {"interfaces": ["eth0", "peth0"]}, "drop": {"sources": ["10.0.0.0/8"]}, "dmz": {"interfaces": []}}
    ]
    monkeypatch.setattr(programs, "run", lambda *argv: json.dumps({"type": "a{sa{sas}}", "data": data}))
    assert firewalld.read_zones() == {"eth0": "trusted", "peth0": "trusted"}


def test_the_names_of_all_zones_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []

    def run(*argv: str) -> str:
        calls.append(argv)
        return json.dumps({"type": "as", "data": [["block", "public"]]})

    monkeypatch.setattr(programs, "run", run)
    assert firewalld.read_zone_names() == ["block", "public"]
    assert calls[0][-1] == "getZones"
