"""Tests of the console."""

from __future__ import annotations

from typing import Any

from kvmnet.cli.console import Console


def test_bytes_that_are_not_utf_8_are_escaped(capfdbinary: Any) -> None:
    Console(as_json=False).print_line("links n\udcff: gone")
    assert capfdbinary.readouterr()[0] == b"links n\\udcff: gone\n"
