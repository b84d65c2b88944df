"""Tests of kvmnet/importers/_numbers.py."""

from __future__ import annotations

import pytest

from kvmnet.importers._numbers import is_number


@pytest.mark.parametrize("text", ["0", "4094", "0010", "9" * 10])
def test_what_int_reads_is_a_number(text: str) -> None:
    assert is_number(text) and int(text) >= 0


@pytest.mark.parametrize("text", ["", "-1", "1.0", " 1", "\u00b2", "\u0663", "9" * 11, "9" * 5000])
def test_other_texts_are_none(text: str) -> None:
    """Python calls ² a digit, but cannot convert it; it refuses to convert thousands of digits."""
    assert not is_number(text)
