"""Finds what a package offers when each of its modules is one entry: importers and exporters.

A new module in the package is a new entry; no list has to be changed. Finding an entry imports its module alone.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from kvmnet.core.base.errors import Usage
from kvmnet.core.base.problem import did_you_mean

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class ModuleRegistry(Generic[Entry]):
    """The entries of a package: `kind` is the noun for messages, `variable` what each module calls its entry.

    The name of an entry is that of its module, with "-" for "_": the name may be a Python keyword, the module not, so
    an entry `import` is in the module `import_`. A module whose name begins with "_" is a part of entries, not one.
    """

    package: str
    kind: str
    variable: str

    def names(self) -> list[str]:
        """Return the names of all entries, in alphabetical order."""
        return sorted(self._modules())

    def find(self, name: str) -> Entry:
        """Return the entry of this name. Raises Usage if there is none."""
        modules = self._modules()
        if name not in modules:
            raise Usage(f"there is no {self.kind} {name!r}", did_you_mean(name, modules))
        return cast(Entry, getattr(importlib.import_module(f"{self.package}.{modules[name]}"), self.variable))

    def entries(self) -> list[Entry]:
        """Return all entries, in the alphabetical order of their names."""
        return [self.find(name) for name in self.names()]

    def _modules(self) -> dict[str, str]:
        """Return the name of each entry's module by the entry's name."""
        import pkgutil

        folders = importlib.import_module(self.package).__path__
        names = [module.name for module in pkgutil.iter_modules(folders)]
        return {name.rstrip("_").replace("_", "-"): name for name in names if not name.startswith("_")}
