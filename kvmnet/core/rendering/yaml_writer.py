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
    return "".join(line + "\n" for line in _block(value, ""))


def _block(value: Any, indent: str) -> list[str]:
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            lines += _item(f"{indent}{format_scalar(key)}:", item, indent + "  ")
    else:
        for item in value:
            if isinstance(item, (dict, list)) and item:
                inner = _block(item, indent + "  ")
                lines += [f"{indent}- {inner[0].lstrip()}", *inner[1:]]
            else:
                lines += _item(f"{indent}-", item, indent + "  ")
    return lines


def _item(head: str, item: Any, indent: str) -> list[str]:
    if isinstance(item, dict) and item:
        return [head, *_block(item, indent)]
    if isinstance(item, list) and item:
        return [head, *_block(item, indent[:-2])]
    return [f"{head} {format_scalar(item)}"]


def format_scalar(value: Any) -> str:
    """Return a scalar, or an empty list or mapping, as YAML. Raises TypeError for another type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if value in ({}, []):
        return "{}" if isinstance(value, dict) else "[]"
    raise TypeError(f"a state cannot contain a {type(value).__name__}")


@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    """Return a string, quoted unless every YAML parser reads it as a string. Cached, because strings repeat."""
    return value if _PLAIN.match(value) and not _AMBIGUOUS.match(value) else json.dumps(value)
