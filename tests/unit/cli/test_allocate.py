"""Tests of `kvmnet allocate`."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.samples import BAD, EXAMPLE, run


def test_values_are_printed_one_on_a_line(capfdbinary: Any) -> None:
    assert run("allocate", "ip", "private", EXAMPLE, "--count", "2") == 0
    out = capfdbinary.readouterr()[0].decode().splitlines()
    assert len(out) == 2 and all(line.startswith("10.1.255.") for line in out)
    assert run("allocate", "mac", EXAMPLE) == 0
    assert capfdbinary.readouterr()[0] == b"36:77:6e:c0:00:03\n"
    assert run("allocate", "tag", EXAMPLE) == 0
    assert capfdbinary.readouterr()[0] == b"3\n"


def test_a_family_without_a_subnet_is_an_error(capfdbinary: Any) -> None:
    assert run("allocate", "ip", "private", EXAMPLE, "--family", "6") == 2
    assert b"network private has no IPv6 subnet" in capfdbinary.readouterr()[1]


def test_a_definition_with_errors_gives_nothing(capfdbinary: Any) -> None:
    assert run("allocate", "tag", BAD) == 1
    assert capfdbinary.readouterr()[0] == b""
