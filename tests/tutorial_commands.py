"""The commands of a tutorial, for the tests that run them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Command(NamedTuple):
    """A line of a ```sh block; `on_host` if the block's info string is `sh host`."""

    section: str
    on_host: bool
    line: str


def commands(text: str) -> Iterator[Command]:
    """Return the commands of a page in their order."""
    section, block = "", None
    for line in text.splitlines():
        if line.startswith("```"):
            block = line[3:] if block is None else None
        elif block in ("sh", "sh host"):
            yield Command(section, block == "sh host", line)
        elif block is None and line.startswith("## "):
            section = line[3:]
