"""Suggestions for values and keys that the schema rejects: what the user probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from kvmnet.core.base.problem import did_you_mean, printable

_NUMBER_OR_BOOLEAN = {"integer": re.compile(r"-?[0-9]{1,18}\Z"), "boolean": re.compile(r"(true|false)\Z")}
_MAC = re.compile(r"[0-9A-Fa-f]{12}\Z")
_SHORT = re.compile(r"[^\s\x00-\x20\x7f\[\]{},#&*!|>'\"%@`]{1,60}\Z")


def for_value(schema: Mapping[str, Any], value: Any) -> Optional[str]:
    """Return a hint for a value that its schema rejects, or None."""
    if not isinstance(value, str):
        return None
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if any(_NUMBER_OR_BOOLEAN[name].match(value) for name in types if name in _NUMBER_OR_BOOLEAN):
        return "remove the quotes"
    if "array" in types and _SHORT.match(value):
        return f"write [{value}]"
    if "enum" in schema:
        allowed = [str(item) for item in schema["enum"]]
        lower = value.lower()
        return f"did you mean {lower}?" if lower in allowed else _nearest(lower, allowed)
    if "MAC" in schema.get("title", ""):
        digits = re.sub("[-.:]", "", value)
        return f"write {':'.join(re.findall('..', digits.lower()))}" if _MAC.match(digits) else None
    if schema.get("format") == "ip-subnet":
        if value == "default":
            return "write 0.0.0.0/0 or ::/0 for the default route"
        if "/" not in value:
            return f"add the prefix length, as in {printable(value)}/24" if _SHORT.match(value) else None
    return None


def for_key(key: str, known: Iterable[str]) -> Optional[str]:
    """Return a hint for an unknown key, or None. `known` are the keys that the schema allows."""
    allowed = list(known)
    before_colon = key.partition(":")[0]
    if before_colon != key and before_colon in allowed:
        return f"add a space after {before_colon}:"
    return did_you_mean(key, allowed)


def _nearest(wrong: str, known: list[str]) -> Optional[str]:
    """Return the hint of `did_you_mean` if it names one value, not if it lists all of them: the message lists them."""
    hint = did_you_mean(wrong, known)
    return hint if hint is not None and hint.startswith("did you mean") else None
