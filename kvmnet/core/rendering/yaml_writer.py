"""Writes nmstate states as YAML.

kvmnet has its own writer so that the bytes do not depend on the version of a library.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

#: Strings that some YAML parsers read as another type.
_AMBIGUOUS = re.compile(r"(y|n|yes|no|on|off|true|false|null|none|nan|inf)\Z", re.IGNORECASE)
_PLAIN = re.compile(r"([A-Za-z][A-Za-z0-9._/-]*|[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?)\Z")


def to_yaml(value: Any) -> str:
    """Return plain dicts, lists and scalars as YAML. The order of keys is preserved."""
    lines: list[str] = []
    _add_block(lines, value, "", "")
    lines.append("")
    return "\n".join(lines)


def _add_block(lines: list[str], value: Any, indent: str, first: str) -> None:
    """Add the lines of a mapping or list. `first` is what the first line begins with, the others with `indent`."""
    start = first
    if isinstance(value, dict):
        for key, item in value.items():
            name = _text(key)
            if isinstance(item, str):  # the most frequent type first
                lines.append(f"{start}{name}: {_text(item)}")
            elif isinstance(item, dict) and item:
                lines.append(f"{start}{name}:")
                _add_block(lines, item, f"{indent}  ", f"{indent}  ")
            elif isinstance(item, list) and item:
                lines.append(f"{start}{name}:")
                _add_block(lines, item, indent, indent)
            else:
                lines.append(f"{start}{name}: {format_scalar(item)}")
            start = indent
        return
    for item in value:
        if isinstance(item, (dict, list)) and item:
            _add_block(lines, item, f"{indent}  ", f"{start}- ")
        else:
            lines.append(f"{start}- {format_scalar(item)}")
        start = indent


def format_scalar(value: Any) -> str:
    """Return a scalar, or an empty list or mapping, as YAML. Raises TypeError for another type."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value in ({}, []):
        return "{}" if isinstance(value, dict) else "[]"
    raise TypeError(f"a state cannot contain a {type(value).__name__}")


@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    """Return a string, quoted unless every YAML parser reads it as a string. Cached, because strings repeat."""
    return value if _PLAIN.match(value) and not _AMBIGUOUS.match(value) else json.dumps(value)
