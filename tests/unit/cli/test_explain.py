"""Tests of `kvmnet explain`."""

from __future__ import annotations

from typing import Any

from kvmnet.core import catalogue
from tests.unit.cli.samples import ROOT, run


def test_every_code_is_listed_and_explained(capfdbinary: Any) -> None:
    assert run("explain") == 0
    listed = capfdbinary.readouterr()[0].decode().splitlines()
    assert [line.split()[0] for line in listed] == [entry.code for entry in catalogue.all_codes()]
    for entry in catalogue.all_codes():
        assert run("explain", entry.code.lower()) == 0
        out = capfdbinary.readouterr()[0].decode()
        assert out.startswith(f"{entry.code}: {entry.title}\n\n") and len(entry.page) > 40
    assert run("explain", "KVN999") == 2


def test_every_code_is_used_in_the_sources() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "kvmnet").rglob("*.py"))
    sources += (ROOT / "schemas/cluster.schema.json").read_text()
    for entry in catalogue.all_codes():
        assert sources.count(f'"{entry.code}"') >= 2, entry.code  # registered, and reported somewhere
