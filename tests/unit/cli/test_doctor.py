"""Tests of `kvmnet doctor`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.live.host_facts import HostFacts
from kvmnet.host import read_doctor
from tests.unit.cli.samples import EXAMPLE, run
from tests.unit.core.doctor.samples import HEALTHY


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The facts that the next command reads: the last item. The list gets what it is asked for."""
    items: list[Any] = [HEALTHY]

    def read(state_dir: Path, known_nics: Any) -> HostFacts:
        items.insert(0, known_nics)
        facts: HostFacts = replace(items[-1], known_nics=known_nics)
        return facts

    monkeypatch.setattr(read_doctor, "read_host_facts", read)
    return items


def test_a_host_that_is_ready(facts: list[Any], capfdbinary: Any) -> None:
    assert run("doctor") == 0
    out = capfdbinary.readouterr()[0].decode().splitlines()
    assert out[0].startswith("nmstate 2.2.62, NetworkManager 1.52.1, libvirt 11.3.0, python ")
    assert out[1:] == [
        "note KVN610: NICs are named by udev's predictable names",
        "this host has what kvmnet apply requires: 0 errors, 0 warnings, 1 note",
    ]


def test_what_is_missing_fails_with_its_fix(facts: list[Any], capfdbinary: Any) -> None:
    facts.append(replace(HEALTHY, nmstate="", selinux=True, booleans={"virt_hooks_unconfined": False}))
    assert run("doctor") == 1
    out = capfdbinary.readouterr()[0].decode()
    assert "error KVN505: nmstate is not installed\n  fix: dnf install nmstate python3-libnmstate\n" in out
    assert "nmstate (none)" in out and out.endswith("lacks what kvmnet apply requires: 1 error, 0 warnings, 2 notes\n")


def test_a_warning_does_not_fail(facts: list[Any], capfdbinary: Any) -> None:
    facts.append(replace(HEALTHY, silent_servers=("10.1.1.53",)))
    assert run("doctor", "--json") == 0
    document = json.loads(capfdbinary.readouterr()[0])
    assert document["ready"] is True and document["versions"]["nmstate"] == "2.2.62"
    assert document["findings"][0] == {
        "code": "KVN640",
        "severity": "warning",
        "message": "name server 10.1.1.53 does not reply",
        "fix": "nslookup example.org 10.1.1.53",
    }


def test_the_nics_of_a_definition_are_known(facts: list[Any], capfdbinary: Any) -> None:
    assert run("doctor", EXAMPLE) == 0
    assert "00:14:4f:80:de:00" in facts[0]
    assert run("doctor", "/nowhere/cluster.yaml") == 1
