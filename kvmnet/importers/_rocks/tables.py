"""Reads the tables that `rocks list` prints, also from a paste with prompts, prose and several tables.

A row is read in two ways: split at blanks, and cut at the columns of its header. A cell with blanks defeats the first
way, a row that was edited by hand the second. If both give plausible values that differ, the row is reported and not
used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from kvmnet.importers._draft import Origin
from kvmnet.importers._report import Report
from kvmnet.importers._rocks.lines import Line
from kvmnet.importers._rocks.records import (
    CLUSTER_MEMBER,
    GUEST,
    INTERFACE,
    ROUTE,
    TABLE_KINDS,
    Column,
    Record,
    TableKind,
)

_BLANK = re.compile(r"-+:?|:?\Z")
_MAC = re.compile(r"[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2}){5}(?:(:[0-9A-Fa-f]{1,2}){14})?\Z")
_ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9xX*]{1,3}){3}\Z")
#: What the value of a column must look like, so that a wrong reading of a row is recognized.
_PLAUSIBLE = {
    "mac": _MAC,
    "ip": _ADDRESS,
    "netmask": _ADDRESS,
    "vlan": re.compile(r"[0-9]+\Z"),
    "mtu": re.compile(r"[0-9]+\Z"),
    "cpus": re.compile(r"[0-9]+\Z"),
    "slice": re.compile(r"[0-9]+\Z"),
    "memory": re.compile(r"[0-9]+\Z"),
    "rank": re.compile(r"[0-9]+\Z"),
    "rack": re.compile(r"[0-9]+\Z"),
    "servedns": re.compile(r"(?i)(true|false|yes|no|0|1)\Z"),
    "source": re.compile(r"[A-Za-z]\Z"),
}


@dataclass(frozen=True)
class Header:
    """The header of a table: its kind, its columns, and where each begins (counted in characters)."""

    kind: TableKind
    columns: tuple[Column, ...]
    starts: tuple[int, ...]


def read_header(text: str) -> Optional[Header]:
    """Return the header that a line is, or None."""
    return next((h for kind in TABLE_KINDS if (h := _match_header(text, kind)) is not None), None)


def _match_header(text: str, kind: TableKind) -> Optional[Header]:
    names = sorted(kind.columns, key=len, reverse=True)
    pattern = re.compile("|".join(re.escape(name) + r"(?!\S)" for name in names))
    found: list[str] = []
    starts: list[int] = []
    position = re.match(r"[\s#>]*", text).end()  # type: ignore[union-attr]
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            return None
        found.append(match[0])
        starts.append(match.start())
        position = match.end()
        position += len(text[position:]) - len(text[position:].lstrip())
    if not kind.required <= set(found) or kind.excluded & set(found) or len(set(found)) != len(found):
        return None
    return Header(kind, tuple(kind.columns[name] for name in found), tuple(starts))


def read_row(header: Header, text: str) -> list[Mapping[str, str]]:
    """Return the readings of a row that are plausible: none, one, or several that differ."""
    readings = [r for r in (_split(header, text), _cut(header, text)) if r is not None]
    plausible = [values for values in readings if _is_plausible(values)]
    return [values for number, values in enumerate(plausible) if values not in plausible[:number]]


def _split(header: Header, text: str) -> Optional[dict[str, str]]:
    """Read a row by its words. Surplus words belong to the one column whose cells may have blanks."""
    words = text.strip().lstrip("#>").split()
    surplus = len(words) - len(header.columns)
    if surplus > 0:
        places = [number for number, column in enumerate(header.columns) if column.may_have_blanks]
        if len(places) != 1:
            return None
        place = places[0]
        words[place : place + surplus + 1] = [" ".join(words[place : place + surplus + 1])]
    elif surplus < 0:
        return None
    return _values(header, words)


def _cut(header: Header, text: str) -> Optional[dict[str, str]]:
    """Read a row by the columns of its header. None if a word crosses the beginning of a column."""
    cells = []
    for number, start in enumerate(header.starts):
        end = header.starts[number + 1] if number + 1 < len(header.starts) else None
        if number and text[start - 1 : start].strip():
            return None
        cells.append(text[start:end].strip())
    if text[: header.starts[0]].strip(" #>"):
        return None
    blanks = [c for cell, c in zip(cells, header.columns) if " " in cell and not c.may_have_blanks]
    return None if blanks else _values(header, cells)


def _values(header: Header, cells: Sequence[str]) -> dict[str, str]:
    values = {}
    for number, (column, cell) in enumerate(zip(header.columns, cells)):
        # The first column of a table with several hosts ends in a colon.
        value = cell[:-1] if number == 0 and cell.endswith(":") and len(cell) > 1 else cell
        if not _BLANK.fullmatch(value):
            values[column.key] = value
    return values


def _is_plausible(values: Mapping[str, str]) -> bool:
    if any(_BLANK.fullmatch(word) for value in values.values() if " " in value for word in value.split()):
        return False  # the dashes of an empty cell are never a part of another
    return bool(values) and all(pattern.match(values[key]) for key, pattern in _PLAUSIBLE.items() if key in values)


class TableReader:
    """Reads tables line by line. `read` is given every line that is not a command."""

    def __init__(self, file: str, report: Report) -> None:
        self.file, self.report = file, report
        self.header: Optional[Header] = None
        self.command = ""
        self._above: dict[str, str] = {}
        self._tables = 0

    def begin_command(self, command: str) -> None:
        """Remember the command above the next table; it ends the current one."""
        self.header, self.command = None, command

    def read(self, line: Line) -> Iterator[Record]:
        """Yield the record of a line of a table. A blank line between the header and the rows is ignored."""
        header = read_header(line.text)
        if header is not None:
            self.header, self._above = header, {}
            self._tables += 1
            return
        if self.header is None or not line.text.strip(" #>"):
            return
        readings = read_row(self.header, line.text)
        origin = Origin(self.file, line.number)
        if not readings:
            self._report_unreadable(line, origin)
            return
        if len(readings) > 1:
            columns = sorted(k for k in {*readings[0], *readings[1]} if readings[0].get(k) != readings[1].get(k))
            differences = "; ".join(
                f"{key} is {' or '.join(repr(r.get(key, 'empty')) for r in readings)}" for key in columns
            )
            self.report.lose(f"the row can be read in two ways, so it was not used: {differences}", origin)
            return
        yield self._finish(dict(readings[0]), origin)

    def _report_unreadable(self, line: Line, origin: Origin) -> None:
        """Report a line that does not fit the header; the end of a table if it looks like prose."""
        assert self.header is not None
        words = line.text.split()
        if any(_MAC.match(word) or _ADDRESS.match(word) or _BLANK.fullmatch(word) for word in words):
            self.report.lose(f"the row does not fit the columns of its table: {line.text.strip()}", origin)
        else:
            self.header = None

    def _finish(self, values: dict[str, str], origin: Origin) -> Record:
        """Add what a row takes over from the rows above it, and from the command above its table."""
        assert self.header is not None
        kind = self.header.kind.record
        if kind == GUEST and "host" not in values and values.get("guest") == self._above.get("guest"):
            values = {**values, "host": self._above.get("host", "")}
        if kind == CLUSTER_MEMBER and "frontend" not in values:
            values = {**values, "frontend": self._above.get("frontend", "")}
        if kind == INTERFACE and "host" not in values:
            values = {**values, "table": f"{self.file}:{self._tables}", "command": self._named_host()}
        if kind == ROUTE and "host" not in values and values.get("source", "").upper() == "H":
            values = {**values, "host": self._named_host()}
        self._above = values
        return Record(kind, values, origin)

    def _named_host(self) -> str:
        """Return the only host that the command above the table names, otherwise an empty string."""
        words = [word for word in self.command.split() if "=" not in word]
        hosts = words[3:] if words[:2] == ["list", "host"] and words[2:3] in (["interface"], ["route"]) else []
        return hosts[0] if len(hosts) == 1 else ""
