"""Reads tests/plain_words.txt: words that readers should not meet, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tests/plain_words.txt"


class Finding(NamedTuple):
    """A word of the list in a text: its offset, what was matched, and what to write instead."""

    offset: int
    match: str
    instead: str


@cache
def patterns() -> list[tuple[re.Pattern[str], str]]:
    """The expressions of the list and what to write instead. A blank in an expression matches a line break too."""
    lines = [line for line in LIST.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    parts = [line.partition("\t# ") for line in lines]
    assert all(expression and instead for expression, _, instead in parts), "expression, tab, # replacement"
    return [(re.compile(expression.replace(" ", r"\s+"), re.I), instead) for expression, _, instead in parts]


def find(text: str) -> Iterator[Finding]:
    """Yield each word of the list that is in the text outside of code spans."""
    prose = re.sub(r"`[^`\n]*`", lambda span: "`" + "_" * (len(span[0]) - 2) + "`", text)
    for pattern, instead in patterns():
        for match in pattern.finditer(prose):
            yield Finding(match.start(), " ".join(match[0].split()), instead)
