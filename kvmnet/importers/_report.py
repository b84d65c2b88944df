"""The report of an importer in the making."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvmnet.core.base.problem import ERROR
from kvmnet.importers import NOTE, SKIPPED, ReportItem
from kvmnet.importers._draft import Origin


@dataclass
class Report:
    """The report in the making."""

    items: list[ReportItem] = field(default_factory=list)

    def lose(self, message: str, origin: Origin) -> None:
        """Report a setting of the network that is not in the definition."""
        self._add(ERROR, message, origin)

    def note(self, message: str, origin: Origin) -> None:
        """Report what was assumed or taken over in another form."""
        self._add(NOTE, message, origin)

    def skip(self, message: str, origin: Origin) -> None:
        """Report what is not about the network."""
        self._add(SKIPPED, message, origin)

    def _add(self, severity: str, message: str, origin: Origin) -> None:
        self.items.append(ReportItem(severity, message, origin.file, origin.line))

    def sorted(self, files: list[str]) -> tuple[ReportItem, ...]:
        """Return the items in the order of the input, without duplicates."""
        order = {name: number for number, name in enumerate(files)}
        return tuple(sorted(dict.fromkeys(self.items), key=lambda i: (order.get(i.file, len(order)), i.line)))
