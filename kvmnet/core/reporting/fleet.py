"""The view of a fleet: what was gathered from each host, as one table. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from kvmnet.core.base.errors import KvmnetError

UNREADABLE = "KVN582"
_NONE = "-"


@dataclass(frozen=True)
class FleetHost:
    """A host of the fleet.

    applied: the digest of what is applied, "" for nothing. wanted: that of the definition, "" if it was not gathered.
    changes: what the definition would change. state: "ok", or the first of what differs; differences: all of them.
    last: when the last change was, and how it ended.
    """

    host: str
    state: str
    differences: tuple[str, ...]
    applied: str
    wanted: str
    last: str
    changes: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the host is not as the definition describes it, or that is not known."""
        return self.state != "ok"


def read_rows(name: str, text: str) -> list[dict[str, Any]]:
    """Return the rows of a file: one JSON object a line, as the playbook kvmnet.kvmnet.gather writes them. `name` is
    for messages. Raises KvmnetError."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _unreadable(f"{name}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict) or not isinstance(row.get("host"), str) or not isinstance(row.get("status"), dict):
            raise _unreadable(f"{name}:{number}: not the row of a host: host and status are needed")
        rows.append(row)
    return rows


def _unreadable(message: str) -> KvmnetError:
    hint = "write it with the playbook kvmnet.kvmnet.gather: one object with host and status for each line"
    return KvmnetError(message, hint, UNREADABLE)


def make_fleet(rows: Iterable[Mapping[str, Any]]) -> list[FleetHost]:
    """Return the hosts, sorted by name. A later row of the same host replaces an earlier one."""
    latest = {str(row["host"]): row for row in rows}
    return [_make_host(latest[name]) for name in sorted(latest)]


def _make_host(row: Mapping[str, Any]) -> FleetHost:
    status = row["status"]
    applied = str((status.get("applied") or {}).get("digest", ""))
    wanted = str(row.get("wanted") or "")
    changes = tuple(f"{change.get('what')} {change.get('name')}" for change in row.get("changes") or ())
    differences = tuple(_find_differences(row, status, applied, wanted, changes))
    state = differences[0] if differences else "ok"
    return FleetHost(str(row["host"]), state, differences, applied, wanted, _last(status), changes)


def _find_differences(
    row: Mapping[str, Any], status: Mapping[str, Any], applied: str, wanted: str, changes: Sequence[str]
) -> Iterable[str]:
    """Yield what is not as it should be, the most important first."""
    error = " ".join(str(row.get("error") or "").split())
    if not row.get("reachable", True):
        yield f"unreachable{': ' + error if error else ''}"
        return
    if error:
        yield f"error: {error}"
    if status.get("open"):
        yield f"open: {status['open'].get('step') or status['open'].get('id', '')}"
    if status.get("drift"):
        yield f"drift: {_count(len(status['drift']))}"
    if wanted and wanted != applied:
        yield "behind" if applied else "nothing applied"
    elif changes and not status.get("drift"):
        yield f"behind: {_count(len(changes))}"


def _count(number: int) -> str:
    return f"{number} change{'' if number == 1 else 's'}"


def _last(status: Mapping[str, Any]) -> str:
    last = status.get("last") or {}
    if "at" not in last:
        return ""
    at = datetime.fromtimestamp(float(last["at"]), timezone.utc).strftime("%Y-%m-%d %H:%M")
    return f"{at} {last.get('outcome', '')}".strip()


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:12] or _NONE


def status_table(fleet: Sequence[FleetHost]) -> list[list[str]]:
    """Return the heading and a row for each host: what is applied, when, and what differs."""
    rows = [
        [host.host, _short(host.applied), host.last or _NONE, "; ".join(host.differences) or "ok"] for host in fleet
    ]
    return [["host", "applied", "last change (UTC)", "state"], *rows]


def plan_table(fleet: Sequence[FleetHost]) -> list[list[str]]:
    """Return the heading and a row for each host: what the definition would change."""
    rows = [[host.host, _short(host.wanted), _describe_plan(host)] for host in fleet]
    return [["host", "wanted", "would change"], *rows]


def _describe_plan(host: FleetHost) -> str:
    if host.changes:
        return "; ".join(host.changes)
    return "nothing" if host.wanted and not host.differs else host.state if host.differs else "not planned"


def format_text(table: Sequence[Sequence[str]], summary: str) -> str:
    """Return a table as columns, and the summary below it."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table]
    return "\n".join([*lines, summary, ""])


def format_markdown(table: Sequence[Sequence[str]], summary: str) -> str:
    """Return a table in Markdown, and the summary above it."""
    head, *rows = [[_escape(cell) for cell in row] for row in table]
    lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join([summary, "", *lines, ""])


def _escape(text: str) -> str:
    for character in "\\|<>`*_[]":
        text = text.replace(character, "\\" + character)
    return text


def summarize(fleet: Sequence[FleetHost]) -> str:
    """Return one line: how many hosts there are, and how many differ."""
    differing = sum(host.differs for host in fleet)
    hosts = f"{len(fleet)} host{'' if len(fleet) == 1 else 's'}"
    if not differing:
        return f"{hosts}: all in the desired state"
    return f"{hosts}: {differing} differ{'s' * (differing == 1)}"


def fleet_to_json(fleet: Sequence[FleetHost]) -> dict[str, Any]:
    """Return the fleet for programs."""
    rows = [{**asdict(host), "differs": host.differs} for host in fleet]
    return {"hosts": rows, "total": len(fleet), "differing": sum(host.differs for host in fleet)}
