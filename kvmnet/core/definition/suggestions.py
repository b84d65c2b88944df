"""What a person probably meant by a value or a key that the schema refuses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from kvmnet.core.base.problem import did_you_mean, printable

_NUMBER_OR_SWITCH = {"integer": re.compile(r"-?[0-9]{1,18}\Z"), "boolean": re.compile(r"(true|false)\Z")}
_MAC = re.compile(r"[0-9A-Fa-f]{12}\Z")
_SHORT = re.compile(r"[^\s\x00-\x20\x7f\[\]{},#&*!|>'\"%@`]{1,60}\Z")


def for_value(schema: Mapping[str, Any], value: Any) -> Optional[str]:
    """A hint about a value that its schema refuses, or None."""
    if not isinstance(value, str):
        return None
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if any(_NUMBER_OR_SWITCH[name].match(value) for name in types if name in _NUMBER_OR_SWITCH):
        return "write it without quotes"
    if "array" in types and _SHORT.match(value):
        return f"write [{value}]"
    if "enum" in schema:
        words = [str(word) for word in schema["enum"]]
        return next((f"did you mean {w}?" for w in words if w == value.lower()), _near(value.lower(), words))
    if "MAC" in schema.get("title", ""):
        digits = re.sub("[-.:]", "", value)
        return f"write {':'.join(re.findall('..', digits.lower()))}" if _MAC.match(digits) else None
    if schema.get("format") == "ip-subnet":
        if value == "default":
            return "the default route is to 0.0.0.0/0 or ::/0"
        if "/" not in value:
            return f"add its prefix length, as in {printable(value)}/24" if _SHORT.match(value) else None
    return None


def for_key(key: str, known: Iterable[str]) -> Optional[str]:
    """A hint about a key that is not known."""
    words = list(known)
    before = key.partition(":")[0]
    if before != key and before in words:
        return f"a blank is missing after {before}:"
    return did_you_mean(key, words)


def _near(wrong: str, known: list[str]) -> Optional[str]:
    """As did_you_mean, but not the list of all: the message has it."""
    hint = did_you_mean(wrong, known)
    return hint if hint is not None and hint.startswith("did you mean") else None
