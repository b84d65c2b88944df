"""Imports a cluster from Rocks Clusters 4.3 to 7: `rocks dump`, the tables of `rocks list`, and JSON of Rocks 7."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvmnet.core.definition.document import Source
from kvmnet.importers import Importer, ImportResult
from kvmnet.importers._draft import Origin, write_draft
from kvmnet.importers._report import Report
from kvmnet.importers._rocks.commands import read_command
from kvmnet.importers._rocks.convert import convert
from kvmnet.importers._rocks.inventory import sort_records
from kvmnet.importers._rocks.json_rows import is_json, read_json
from kvmnet.importers._rocks.lines import read_lines
from kvmnet.importers._rocks.records import Record
from kvmnet.importers._rocks.tables import TableReader


def read(sources: Sequence[Source]) -> ImportResult:
    """Return the definition of the cluster that the files describe, and the report."""
    report = Report()
    records = [record for source in sources for record in _read_source(source, report)]
    draft = convert(sort_records(records, report), report)
    if not draft.hosts and not draft.networks:
        for source in sources:
            report.lose(
                "the file contains no table, command or JSON of Rocks that kvmnet knows", Origin(source.name, 1)
            )
        return ImportResult("", report.sorted([source.name for source in sources]))
    return ImportResult(write_draft(draft), report.sorted([source.name for source in sources]))


def _read_source(source: Source, report: Report) -> Iterator[Record]:
    if is_json(source.text):
        yield from read_json(source.name, source.text, report)
        return
    tables = TableReader(source.name, report)
    for line in read_lines(source.text):
        if line.command:
            tables.begin_command(line.command)
            yield from read_command(line.command, Origin(source.name, line.number), report)
        else:
            yield from tables.read(line)


IMPORTER = Importer("rocks", "Import a cluster from the output of `rocks dump` or `rocks list`.", read)
