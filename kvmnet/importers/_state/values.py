"""Reads YAML or JSON as plain values, and remembers the line of each part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from kvmnet.core.base.problem import Problem
from kvmnet.core.definition.document import Leaf, Map, Node, Source, parse
from kvmnet.importers._draft import Origin

Path = tuple[Union[str, int], ...]
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
#: Scalars without quotes that are no text, as nmstate's parser (serde_yaml, YAML 1.2) reads them.
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass
class Values:
    """The plain values of a file, and the line of each part by its path."""

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)

    def origin(self, *path: Union[str, int]) -> Origin:
        """Return the place of a part, or of its nearest parent that is known."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return Origin(self.file, self.lines[path[:end]])
        return Origin(self.file, 1)


def section_of(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a part that should be a mapping; empty when it is missing or something else."""
    section = values.get(key)
    return section if isinstance(section, Mapping) else {}


def read_values(source: Source) -> tuple[Values, list[Problem]]:
    """Return the values of a file with a mapping at its top, and the problems of reading it. Other files have None."""
    text = re.sub(r"\A\s*---[^\n]*\n", lambda match: "\n" * match[0].count("\n"), source.text)
    tree, problems = parse(Source(source.name, text))
    values = Values(source.name)
    if tree is not None:
        values.data = _convert(tree, (), values.lines)
    return values, problems


def _convert(node: Node, path: Path, lines: dict[Path, int]) -> Any:
    lines[path] = node.mark.line
    if isinstance(node, Leaf):
        return _scalar(node)
    if isinstance(node, Map):
        result = {}
        for key, entry in node.entries.items():
            place = (*path, key)
            result[key] = _convert(entry.node, place, lines)
            lines[place] = entry.mark.line
        return result
    return [_convert(item, (*path, number), lines) for number, item in enumerate(node.items)]


def _scalar(leaf: Leaf) -> Any:
    text = leaf.value
    if not isinstance(text, str) or not leaf.plain:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return int(text) if _INTEGER.match(text) and len(text) < 20 else text
