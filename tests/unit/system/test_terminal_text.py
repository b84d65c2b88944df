"""Text for a terminal."""

from __future__ import annotations

import sys

from kvmnet.core.base.problem import printable
from kvmnet.system.terminal_text import escape_line


def test_control_characters_are_escaped_as_in_all_other_output() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    assert escape_line(every) == printable(every)
    assert escape_line("\x1b[2J a\tb \u202e \udcff\n") == "\\u001b[2J a\tb \\u202e \\udcff\\u000a"
