"""Numbers in imported files."""

from __future__ import annotations


def is_number(text: str) -> bool:
    """Whether a text is a decimal number that `int` reads: ASCII digits, at most ten."""
    return len(text) <= 10 and text.isascii() and text.isdigit()
