"""Tests of `kvmnet schema`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.samples import ROOT, run


@pytest.mark.parametrize("name", ["cluster", "profile", "state"])
def test_the_file_is_printed(name: str, capfdbinary: Any) -> None:
    assert run("schema", name) == 0
    assert capfdbinary.readouterr()[0] == (ROOT / f"schemas/{name}.schema.json").read_bytes()
    assert run("schema", "clutser") == 2  # codespell:ignore clutser
