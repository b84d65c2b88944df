"""Parses files in GLib's key file format, as NetworkManager reads them: connection profiles and its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Optional

Groups = Mapping[str, Mapping[str, str]]
"""The raw values by group and key."""

_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


class KeyfileError(ValueError):
    """The text is not a key file: NetworkManager does not load it."""


def parse_keyfile(text: str) -> dict[str, dict[str, str]]:
    """Return the raw values by group and key, in the order of the file. Groups of the same name are merged, and the
    last of several values of a key counts (GKeyFile, gkeyfile.c). Raises KeyfileError."""
    groups: dict[str, dict[str, str]] = {}
    for row in _read_rows(text):
        keys = groups.setdefault(row.group, {})
        if row.key:
            keys[row.key] = row.value
    return groups


def find_key_lines(text: str) -> dict[tuple[str, str], int]:
    """Return the line of each key by group and key, and that of each group by group and an empty key. Lines start at 1.
    Raises KeyfileError."""
    return {(row.group, row.key): row.line for row in _read_rows(text)}


class _Row(NamedTuple):
    """A line with a group (then `key` is empty) or a key."""

    line: int
    group: str
    key: str = ""
    value: str = ""


def _read_rows(text: str) -> Iterator[_Row]:
    group: Optional[str] = None
    for number, line in enumerate(text.split("\n"), 1):
        row = line.rstrip("\r").lstrip(" \t\f\v\r")
        if not row or row.startswith("#"):
            continue
        if row.startswith("["):
            end = row.rfind("]")
            if end < 0:
                raise KeyfileError(f"line {number}: a group without ]")
            group = row[1:end]
            yield _Row(number, group)
            continue
        key, separator, value = row.partition("=")
        if not separator or not key.strip():
            raise KeyfileError(f"line {number} is neither a group nor a key with a value")
        if group is None:
            raise KeyfileError(f"line {number}: a key before the first group")
        yield _Row(number, group, key.rstrip(), value.lstrip())


def unescape(value: str) -> str:
    """Return a raw value as text, with its escape sequences replaced."""
    return "".join(_unescaped(value))


def _unescaped(value: str) -> Iterator[str]:
    characters = iter(value)
    for character in characters:
        if character != "\\":
            yield character
            continue
        following = next(characters, "")
        yield _ESCAPES.get(following, f"\\{following}")


def split_list(value: str) -> list[str]:
    """Return the entries of a raw list (`a;b;`). `\\;` is a semicolon in an entry."""
    entries, current = [], ""
    characters = iter(value)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            current += ";" if following == ";" else _ESCAPES.get(following, f"\\{following}")
        elif character == ";":
            entries.append(current)
            current = ""
        else:
            current += character
    if current:
        entries.append(current)
    return entries


def parse_boolean(value: str, default: bool) -> bool:
    """Return a raw boolean; the default for any value but true, false, 1 and 0: NetworkManager ignores it."""
    return {"true": True, "1": True, "false": False, "0": False}.get(value.rstrip(), default)


def parse_number(value: str, default: int) -> int:
    """Return a raw decimal number; the default for any other value, which NetworkManager ignores."""
    try:
        return int(value.strip(), 10)
    except ValueError:
        return default
