"""Reads the JSON that `rocks list … output-format=json` of Rocks 7 prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kvmnet.importers._draft import Origin
from kvmnet.importers._report import Report
from kvmnet.importers._rocks.records import INTERFACE, TABLE_KINDS, Record


def is_json(text: str) -> bool:
    """Whether a file is JSON and not a paste of tables."""
    return text.lstrip("\ufeff \t\r\n")[:1] in ("[", "{") and text.rstrip("\x00 \t\r\n")[-1:] in ("]", "}")


def read_json(file: str, text: str, report: Report) -> Iterator[Record]:
    """Yield the records of a file. A file that is not JSON is reported."""
    try:
        document = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        report.lose(f"the file is not valid JSON: {error}", Origin(file, getattr(error, "lineno", 1)))
        return
    origin = Origin(file, 1)
    for row in document if isinstance(document, list) else [document]:
        if not isinstance(row, dict):
            report.lose("an entry of the JSON list is not an object", origin)
        elif isinstance(row.get("interface"), list):
            for interface in row["interface"]:
                if isinstance(interface, dict):
                    yield _record(INTERFACE, {"host": row.get("host"), **interface}, origin)
        else:
            kind = _find_kind(row)
            if not kind:
                report.skip(
                    f"an object with the keys {', '.join(sorted(map(str, row)))} is not about the network", origin
                )
            else:
                yield _record(kind, row, origin)


def _find_kind(row: Mapping[str, Any]) -> str:
    """Return the kind of record with the headers that an object has as keys, or an empty string."""
    headers = {str(key).upper().replace("_", "-") for key in row}
    kinds = [k for k in TABLE_KINDS if k.required <= headers and not k.excluded & headers]
    return kinds[0].record if kinds else ""


def _record(kind: str, row: Mapping[str, Any], origin: Origin) -> Record:
    columns = {k: c for table in TABLE_KINDS if table.record == kind for k, c in table.columns.items()}
    values = {}
    for key, value in row.items():
        column = columns.get(str(key).upper().replace("_", "-"))
        if column is not None and value is not None and not isinstance(value, (dict, list)) and str(value).strip("-"):
            values[column.key] = str(value).rstrip(":") if column.key in ("host", "guest") else str(value)
    return Record(kind, values, origin)
