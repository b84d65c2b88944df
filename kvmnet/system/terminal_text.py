"""Text for a terminal: names of interfaces and connection profiles come from other users and may contain anything."""

from __future__ import annotations


def escape_line(text: str) -> str:
    """Return one line with control characters, characters that change the direction of writing, and surrogates
    escaped."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\u{ord(c):04x}" for c in text)
