"""Widths of texts at most. The browser test compares them with real ones."""

from __future__ import annotations

import string

from kvmnet.core.graph.text_width import measure, shorten


def test_wide_and_narrow_characters() -> None:
    assert measure("iiii", 10) < measure("aaaa", 10) < measure("MMMM", 10) < measure("漢漢漢漢", 10)
    assert measure("abc", 10, is_bold=True) > measure("abc", 10)
    assert all(measure(c, 1000) <= 1000 for c in string.printable if c.isprintable())


def test_a_text_is_shortened_to_what_fits() -> None:
    assert shorten("bond0", 12, 1000) == "bond0"
    short = shorten("a long description of an interface", 12, 90)
    assert short.endswith("…") and short != "…" and measure(short, 12) <= 90


def test_without_room_only_the_mark_is_left() -> None:
    assert shorten("bond0", 12, 1) == "…"
