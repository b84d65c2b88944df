"""Problems in definition files: what is wrong, at which place, and how it is printed (text, JSON, GitHub)."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Optional

ERROR = "error"
WARNING = "warning"

#: Line breaks of YAML 1.1. The YAML parsers count lines by them, so source lines must be split in the same way.
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_SHOWN_WIDTH = 120
#: How many known names a wrong one is compared with.
_MAX_COMPARED = 200
#: Characters that must be escaped in a property of a GitHub workflow command.
_ESCAPED_IN_PROPERTY = "%:,\r\n"


class Mark(NamedTuple):
    """A place in a file. Line and column start at 1; columns are counted in characters."""

    file: str
    line: int
    column: int


@dataclass(frozen=True)
class Related:
    """Another place that belongs to a problem, and a message about it."""

    mark: Mark
    message: str


@dataclass(frozen=True)
class Problem:
    """A problem. `code` is stable (see `kvmnet explain CODE`), `severity` is "error" or "warning"."""

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
    """A warning that a `silence` entry suppresses, with the reason and the place of the entry."""

    problem: Problem
    reason: str
    mark: Mark


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems sorted by file, line, column, code and message, without duplicates."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda p: (p.mark, p.code, p.message))


def printable(text: str) -> str:
    """Return one line of text with control characters, characters that change the direction of writing, and surrogates
    escaped, so that a file or a name cannot control the terminal. "##[" is escaped too: a log of CI that contains it
    anywhere in a line runs a command (https://github.com/actions/runner, ActionCommand)."""
    if text.isprintable() and "##[" not in text:
        return text
    escaped = "".join(c if c.isprintable() or c == "\t" else f"\\u{ord(c):04x}" for c in text)
    return escaped.replace("##[", "#\\u0023[")


def quoted(value: object) -> str:
    """Return a value for use in a message: in quotes, on one line, at most 60 characters."""
    text = printable(str(value))
    return f"'{text if len(text) <= 60 else text[:57] + '...'}'"


def did_you_mean(wrong: str, known: Iterable[str]) -> Optional[str]:
    """Return a hint, or None.

    The hint names the most similar known name. If none is similar, it lists the known names, at most eight.
    """
    names = [str(name) for name in itertools.islice(known, _MAX_COMPARED)]  # comparing takes long
    nearest = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean {nearest[0]}?"
    if 0 < len(names) <= 8:
        return "expected one of: " + ", ".join(names) if len(names) > 1 else f"expected: {names[0]}"
    return None


#: What differs in the messages of the same problem on several hosts: the host, and addresses.
_OF_ONE_HOST = re.compile(r"\bhost \S+?(?=[ :,]|$)|\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b|\b[0-9]+(\.[0-9]+){3}\b")
_HOST = re.compile(r"\bhost (\S+?)(?=[ :,]|$)")
#: How many hosts a folded warning names.
_NAMED_HOSTS = 5


def fold(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems with equal warnings of several hosts folded into one each: the first one, whose message names
    the other hosts, at most five. Errors are not folded."""
    groups: dict[object, list[Problem]] = {}
    numbers: Counter[tuple[str, str, str]] = Counter()  # two equal warnings of one host are not the same one
    for problem in in_order(problems):
        host = _HOST.search(problem.message)
        key: object = problem
        if host is not None and not problem.is_error:
            text = _OF_ONE_HOST.sub("*", problem.message)
            numbers[problem.code, text, host[1]] += 1
            key = problem.code, text, numbers[problem.code, text, host[1]]
        groups.setdefault(key, []).append(problem)
    return [_folded(group) for group in groups.values()]


def _folded(group: Sequence[Problem]) -> Problem:
    first, *others = group[0], *(match[1] for problem in group[1:] if (match := _HOST.search(problem.message)))
    if not others:
        return first
    listed = ", ".join(others[:_NAMED_HOSTS]) + (", …" if len(others) > _NAMED_HOSTS else "")
    count = f"{len(others)} more {'host' if len(others) == 1 else 'hosts'}"
    return replace(
        first, message=f"{first.message}; the same on {count} ({listed}); `kvmnet validate --all` lists each"
    )


class Lines:
    """The source lines of the files. Each file is split into lines when first needed: most runs need none."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._split: dict[str, list[str]] = {}

    def get(self, mark: Mark) -> Optional[str]:
        """Return the line at a place, or None if the file or line does not exist."""
        if mark.file not in self._split:
            self._split[mark.file] = _LINE_BREAK.split(self._sources.get(mark.file, ""))
        lines = self._split[mark.file]
        return lines[mark.line - 1] if 0 < mark.line <= len(lines) else None


def _excerpt(lines: Lines, mark: Mark, indent: str) -> list[str]:
    """Return the source line and a line with a caret below the place. A long line is shortened around the caret."""
    line = lines.get(mark)
    if line is None or not line.strip():
        return []
    start = max(0, mark.column - 1 - _SHOWN_WIDTH // 2) if len(line) > _SHOWN_WIDTH else 0
    shown = line[start : start + _SHOWN_WIDTH]
    before = shown[: mark.column - 1 - start]
    padding = "".join("\t" if c == "\t" else " " * len(printable(c)) for c in before)
    # the bar: a line that begins with "::" is a command of GitHub's CI, also after blanks
    return [f"{indent}| {printable(shown).rstrip()}", f"{indent}| {padding}^"]


def _place(mark: Mark) -> str:
    return f"{printable(mark.file)}:{mark.line}:{mark.column}"


def as_text(problems: Iterable[Problem], sources: Mapping[str, str], silenced: Iterable[Silenced] = ()) -> str:
    """Return the problems as text: `file:line:col: CODE message`, source line, caret, related places and hint."""
    del silenced  # in JSON output only
    lines = Lines(sources)
    out: list[str] = []
    for p in in_order(problems):
        prefix = "" if p.is_error else "warning: "
        out.append(f"{_place(p.mark)}: {p.code} {prefix}{printable(p.message)}")
        out.extend(_excerpt(lines, p.mark, "    "))
        for other in p.related:
            out.append(f"  {_place(other.mark)}: {printable(other.message)}")
            out.extend(_excerpt(lines, other.mark, "      "))
        if p.hint:
            out.append(f"  hint: {printable(p.hint)}")
    return "".join(line + "\n" for line in out)


def as_json(problems: Iterable[Problem], sources: Mapping[str, str], silenced: Iterable[Silenced] = ()) -> str:
    """Return the problems as a JSON document: `{"problems": [{code, severity, file, line, column, message, …}]}`.

    "silenced" has the suppressed warnings, each with its reason.
    """
    del sources  # not needed; all reporters have the same signature
    document = {
        "problems": [_json_row(problem) for problem in in_order(problems)],
        "silenced": [
            {**_json_row(s.problem), "reason": s.reason, "silence": s.mark._asdict()}
            for s in sorted(set(silenced), key=lambda s: (s.problem.mark, s.problem.code, s.problem.message))
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _json_row(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        **problem.mark._asdict(),
        "message": problem.message,
        "related": [{**other.mark._asdict(), "message": other.message} for other in problem.related],
        "hint": problem.hint,
    }


def _escaped(text: str, characters: str) -> str:
    """Return `text` escaped for a workflow command. % must be the first of `characters`: each escape contains one."""
    for c in characters:
        text = text.replace(c, f"%{ord(c):02X}")
    return text


def as_github(problems: Iterable[Problem], sources: Mapping[str, str], silenced: Iterable[Silenced] = ()) -> str:
    """Return the problems as GitHub workflow commands, which GitHub shows at the line of a pull request."""
    del sources, silenced
    out = []
    for p in in_order(problems):
        lines = [p.message, *(f"{_place(o.mark)}: {o.message}" for o in p.related)]
        lines += [p.hint] if p.hint else []
        text = "%0A".join(_escaped(printable(part), "%") for line in lines for part in line.split("\n"))
        place = f"file={_escaped(p.mark.file, _ESCAPED_IN_PROPERTY)},line={p.mark.line},col={p.mark.column}"
        out.append(f"::{p.severity} {place},title={p.code}::{text}\n")
    return "".join(out)


REPORTERS = {"text": as_text, "json": as_json, "github": as_github}
