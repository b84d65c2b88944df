"""A problem in somebody's file: what it is, where it is, and how it is told."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

ERROR = "error"
WARNING = "warning"

#: What YAML 1.1 takes as the end of a line; the loaders count lines by it, so the printing must too.
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_SHOWN_WIDTH = 120
#: What a field of a workflow command must have escaped.
_FIELD = "%:,\r\n"


class Mark(NamedTuple):
    """A place in a file: line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int


@dataclass(frozen=True)
class Related:
    """A second place that belongs to a problem, and what is there."""

    mark: Mark
    message: str


@dataclass(frozen=True)
class Problem:
    """One finding. `code` is stable (`kvmnet explain CODE`), `severity` is "error" or "warning"."""

    code: str
    message: str
    mark: Mark
    severity: str = ERROR
    related: tuple[Related, ...] = ()
    hint: Optional[str] = None

    @property
    def is_error(self) -> bool:
        return self.severity == ERROR


@dataclass(frozen=True)
class Silenced:
    """A warning that the definition accepts: the reason it gives, and where it does."""

    problem: Problem
    reason: str
    mark: Mark


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """The problems by file, line, column, code and words, each said once."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda p: (p.mark, p.code, p.message))


def printable(text: str) -> str:
    """`text` with everything that a terminal might obey written out (a file is not to move the cursor)."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\u{ord(c):04x}" for c in text)


def quoted(value: object) -> str:
    """A value as a message shows it: in quotes, shortened, on one line."""
    text = printable(str(value))
    return f"'{text if len(text) <= 60 else text[:57] + '...'}'"


def did_you_mean(wrong: str, known: Iterable[str]) -> Optional[str]:
    """A hint that names the nearest known word, or lists the known ones when they are few."""
    words = [str(word) for word in known]
    near = difflib.get_close_matches(wrong, words, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    if 0 < len(words) <= 8:
        return "known here: " + ", ".join(words)
    return None


class Lines:
    """The lines of the files, split when first asked for (most runs print none)."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._split: dict[str, list[str]] = {}

    def get(self, mark: Mark) -> Optional[str]:
        """The line at a place, or None when the file or line is not there."""
        if mark.file not in self._split:
            self._split[mark.file] = _LINE_BREAK.split(self._sources.get(mark.file, ""))
        lines = self._split[mark.file]
        return lines[mark.line - 1] if 0 < mark.line <= len(lines) else None


def _excerpt(lines: Lines, mark: Mark, indent: str) -> list[str]:
    """The source line and a caret under the place; a long line is cut around the caret."""
    line = lines.get(mark)
    if line is None or not line.strip():
        return []
    start = max(0, mark.column - 1 - _SHOWN_WIDTH // 2) if len(line) > _SHOWN_WIDTH else 0
    shown = line[start : start + _SHOWN_WIDTH]
    before = shown[: mark.column - 1 - start]
    padding = "".join("\t" if c == "\t" else " " * len(printable(c)) for c in before)
    return [indent + printable(shown).rstrip(), indent + padding + "^"]


def _place(mark: Mark) -> str:
    return f"{printable(mark.file)}:{mark.line}:{mark.column}"


def as_text(problems: Iterable[Problem], sources: Mapping[str, str], silenced: Iterable[Silenced] = ()) -> str:
    """Every problem as `file:line:col: CODE message`, the source line, a caret, what belongs to it."""
    del silenced  # told in json only
    lines = Lines(sources)
    out: list[str] = []
    for p in in_order(problems):
        word = "" if p.is_error else "warning: "
        out.append(f"{_place(p.mark)}: {p.code} {word}{printable(p.message)}")
        out.extend(_excerpt(lines, p.mark, "    "))
        for other in p.related:
            out.append(f"  {_place(other.mark)}: {printable(other.message)}")
            out.extend(_excerpt(lines, other.mark, "      "))
        if p.hint:
            out.append(f"  hint: {printable(p.hint)}")
    return "".join(line + "\n" for line in out)


def as_json(problems: Iterable[Problem], sources: Mapping[str, str], silenced: Iterable[Silenced] = ()) -> str:
    """The same as a JSON document: `{"problems": [{code, severity, file, line, column, message, …}]}`, and
    under "silenced" the accepted warnings, each with its reason."""
    del sources  # the same signature as the other reporters
    document = {
        "problems": [_row(problem) for problem in in_order(problems)],
        "silenced": [
            {**_row(one.problem), "reason": one.reason, "silence": one.mark._asdict()}
            for one in sorted(set(silenced), key=lambda one: (one.problem.mark, one.problem.code, one.problem.message))
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _row(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        **problem.mark._asdict(),
        "message": problem.message,
        "related": [{**other.mark._asdict(), "message": other.message} for other in problem.related],
        "hint": problem.hint,
    }


def _escaped(text: str, characters: str) -> str:
    """The escapes of workflow commands: % first, as the others bring one."""
    for c in characters:
        text = text.replace(c, f"%{ord(c):02X}")
    return text


def as_github(problems: Iterable[Problem], sources: Mapping[str, str], silenced: Iterable[Silenced] = ()) -> str:
    """The same as workflow commands, which GitHub shows beside the line of a pull request."""
    del sources, silenced
    out = []
    for p in in_order(problems):
        words = [p.message, *(f"{_place(o.mark)}: {o.message}" for o in p.related)]
        words += [p.hint] if p.hint else []
        text = "%0A".join(_escaped(word, "%\r\n") for word in words)
        place = f"file={_escaped(p.mark.file, _FIELD)},line={p.mark.line},col={p.mark.column}"
        out.append(f"::{p.severity} {place},title={p.code}::{text}\n")
    return "".join(out)


REPORTERS = {"text": as_text, "json": as_json, "github": as_github}
