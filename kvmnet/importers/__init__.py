"""Importers: each turns the files of another tool into a definition, with a report of what it could not take over.

In: the texts of files. Out: the text of a definition, and the report. Importers are pure: they read and write no files,
and import only kvmnet.core.

To add an importer, add a module to this package that defines `IMPORTER`. `IMPORTERS` finds it by itself. A module whose
name begins with "_" is a part of importers: `_draft` writes a definition with comments and groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable

from kvmnet.core.base.problem import ERROR
from kvmnet.core.definition.document import Source
from kvmnet.module_registry import ModuleRegistry

#: The severities of a report item besides ERROR. NOTE: the importer assumed something, or took it over in another form.
NOTE = "note"
#: What is not about the network, so that a definition has no place for it.
SKIPPED = "skipped"


@dataclass(frozen=True)
class ReportItem:
    """What an importer reports about a line of a file. Lines start at 1; 0: the whole file.

    `severity` is "error" (a setting of the network is not in the definition), "note" (taken over in another form, or
    assumed) or "skipped" (not about the network).
    """

    severity: str
    message: str
    file: str
    line: int


@dataclass(frozen=True)
class ImportResult:
    """The text of the definition as YAML, and the report in the order of the input. The text is "" if the importer
    could not build a definition."""

    definition: str
    report: tuple[ReportItem, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether there is a definition that contains all settings of the network."""
        return bool(self.definition) and not any(item.severity == ERROR for item in self.report)


@dataclass(frozen=True)
class Importer:
    """A format that definitions can be imported from.

    `name` is that of its module, with "-" for "_". `help` is one sentence. `read` gets the files with their names, and
    never raises for what is wrong with them: it reports it.
    """

    name: str
    help: str
    read: Callable[[Sequence[Source]], ImportResult]


IMPORTERS: ModuleRegistry[Importer] = ModuleRegistry(__name__, "importer", "IMPORTER")
