"""Exporters: each turns the bundles of hosts into the files of one format.

In: bundles. Out: files, by their path relative to the output folder. Exporters are pure: they read and write no files,
and import only kvmnet.core. Writing is the caller's task (for bundle folders kvmnet/bundle_folders.py).

To add an exporter, add a module to this package that defines `EXPORTER`. `EXPORTERS` finds it by itself. A module whose
name begins with "_" is a part of exporters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable, Optional

from kvmnet.core.base.errors import Usage
from kvmnet.core.base.problem import did_you_mean
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.module_registry import ModuleRegistry


@dataclass(frozen=True)
class File:
    """A file to write: its text, and its mode."""

    text: str
    mode: int = 0o644


Files = Mapping[str, File]
"""The exported files by their path relative to the output folder, with "/" between its parts."""

Options = Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """A group of the definition: the group that it inherits from, and the hosts that are directly in it."""

    name: str
    parent: Optional[str]
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Exporter:
    """A format that bundles can be exported to.

    `name` is that of its module, with "-" for "_". `help` is one sentence. `function` gets the bundles, the options
    that the user gave and the groups, and returns the files: the same bytes for the same input. `options` are the names
    of the options that it knows, with one sentence each.
    """

    name: str
    help: str
    function: Callable[[Sequence[Bundle], Options, Sequence[Group]], Files]
    options: Options = field(default_factory=dict)

    def export(
        self, bundles: Sequence[Bundle], options: Optional[Options] = None, groups: Sequence[Group] = ()
    ) -> Files:
        """Return the files for these bundles. Raises Usage for an option that the exporter does not know, and
        KvmnetError when the format cannot express a host."""
        for name in options or ():
            if name not in self.options:
                raise Usage(f"the exporter {self.name} has no option {name!r}", did_you_mean(name, self.options))
        return self.function(bundles, options or {}, groups)


EXPORTERS: ModuleRegistry[Exporter] = ModuleRegistry(__name__, "exporter", "EXPORTER")
