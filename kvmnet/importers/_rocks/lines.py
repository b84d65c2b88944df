"""Cleans the lines of pasted text: prompts, prefixes, colours and continuations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Escape sequences of terminals (ECMA-48), and other control characters except tab.
_CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b-\x1f\x7f]")
_PROMPT = re.compile(r"^\s*(?:\[[^\]]*\]\s*[#$%>]|[\w.@:~/-]*[#$%>])\s*(?=\S*rocks\s)")
_COMMAND = re.compile(r"^(?:sudo\s+)?(?:\S*/)?rocks\s+(.+)$")
#: What a mail, a wiki or a comment puts before each line.
_PREFIXES = ("# ", "> ", "#", "> ")


@dataclass(frozen=True)
class Line:
    """A line without its prefix. `number` starts at 1. `command`: the words after `rocks`, empty for other lines."""

    number: int
    text: str
    command: str


def read_lines(text: str) -> Iterator[Line]:
    """Yield the lines of a text. A command that is continued by a backslash is one line."""
    pending, first = "", 0
    for number, raw in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        line = _CONTROL.sub("", raw).expandtabs().rstrip()
        line = pending + line.strip() if pending else line
        first = first if pending else number
        command = find_command(line)
        pending = line[:-1] if command and line.endswith("\\") else ""
        if not pending:
            yield Line(first, line, command)
    if pending:
        yield Line(first, pending, find_command(pending))


def find_command(line: str) -> str:
    """Return the words after `rocks` in a line with a command, otherwise an empty string."""
    stripped = _PROMPT.sub("", line, count=1).strip()
    for prefix in _PREFIXES:
        if stripped.startswith(prefix):
            stripped = stripped[len(prefix) :].strip()
    match = _COMMAND.match(stripped)
    return match[1].strip() if match else ""
