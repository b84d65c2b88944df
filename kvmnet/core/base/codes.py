"""The register of problem codes: each has a title and the page that `kvmnet explain` prints."""

from __future__ import annotations

import inspect
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A problem code. Codes are stable: a number is never reused for another problem."""

    code: str
    title: str
    page: str


#: The first digits of the codes of refusals (reasons not to change a host) and of findings; all others are problems of
#: definitions.
_OF_HOSTS, _OF_DOCTOR = "KVN5", "KVN6"
_CODES: dict[str, Code] = {}


def register(code: str, title: str, page: str) -> None:
    """Add a code to the register. Raises ValueError if the code is already registered."""
    if code in _CODES:
        raise ValueError(f"{code} is already registered: {_CODES[code].title}")
    _CODES[code] = Code(code, title, inspect.cleandoc(page))


def definition_codes() -> list[Code]:
    """Return the registered codes of problems that a definition can have, in the order of their numbers."""
    return [_CODES[code] for code in sorted(_CODES) if not code.startswith((_OF_HOSTS, _OF_DOCTOR))]


def host_codes() -> list[Code]:
    """Return the registered codes of refusals, in the order of their numbers."""
    return [_CODES[code] for code in sorted(_CODES) if code.startswith(_OF_HOSTS)]


def doctor_codes() -> list[Code]:
    """Return the registered codes of findings of `kvmnet doctor`, in the order of their numbers."""
    return [_CODES[code] for code in sorted(_CODES) if code.startswith(_OF_DOCTOR)]


register(
    "KVN001",
    "file or folder cannot be read",
    """
    A definition is a regular file, or a folder with .yaml and .yml files. It must exist, be readable by you, and not
    exceed the size limit. kvmnet does not read devices, FIFOs and sockets. Without PATH, kvmnet reads cluster.yaml or
    the folder cluster.d in the current directory.
    """,
)
register(
    "KVN002",
    "not valid YAML",
    """
    The file is not UTF-8 text or not YAML, or it uses a YAML feature that definitions do not support. These are
    several documents in one file, tags such as !!python/object, and keys that are lists. The position shown is where
    the parser stopped. The error is at this position or shortly before it. Common causes are a tab, a colon without a
    space after it, an unclosed quote or bracket, and a list item with wrong indentation.
    """,
)
register(
    "KVN003",
    "duplicate key",
    """
    A mapping has the same key twice. Most YAML parsers silently ignore the first one; kvmnet reports an error. Remove
    one of the keys, or merge their contents.
    """,
)
register(
    "KVN004",
    "nesting, size or aliases exceed the limits",
    """
    The file is nested too deeply, has too many values, or its aliases expand to too many values. An alias must not be
    inside the value that it refers to. A typical definition has about seven levels and a few thousand values. The
    limits allow definitions with ten thousand hosts. Reduce the nesting, or use groups instead of copies.
    """,
)
register(
    "KVN005",
    "value defined in two files",
    """
    kvmnet merges the files of a folder: mappings are combined, so networks may be in one file and hosts in another. A
    value or list can be defined in one file only, because no file has precedence over another. Remove one of the two
    definitions.
    """,
)
register(
    "KVN010",
    "unknown key",
    """
    The schema does not allow this key here. Check the spelling and the indentation. Keys that begin with x- are
    ignored and can be used for notes and anchors.
    """,
)
register(
    "KVN011",
    "missing key",
    """
    The mapping at this position needs another key. A definition needs kvmnet: 1 (the version of the format), cluster,
    profile and hosts. A guest NIC needs network and mac.
    """,
)
register(
    "KVN012",
    "value of the wrong type",
    """
    The value does not have the type that the schema requires. It is, for example, a list instead of a string, a string
    instead of a number, or empty. Numbers are decimal digits and booleans are true or false, both without quotes. yes,
    no, on, off, 0x10 and 1_000 are strings.
    """,
)
register(
    "KVN013",
    "invalid value",
    """
    The value has the right type but not the required format. The message shows what is expected. A MAC address is six
    pairs of hexadecimal digits separated by colons, an IPv4 address has no leading zeros, and a subnet needs its prefix
    length.
    """,
)
register(
    "KVN190",
    "silence entry without a warning",
    """
    An entry in `silence` suppresses warnings about the part of the definition that contains it: a network, group,
    host, interface, guest or route, or the whole definition. This part has no warning with this code. Remove the
    entry, or it may hide a future warning. A warning about a setting that hosts inherit from a group is reported for
    the group: put the entry into the group.
    """,
)
register(
    "KVN191",
    "silence entry for something that is not a warning",
    """
    `silence` can suppress warnings only. An error must be fixed, because the definition would not work on some host.
    Fix the error and remove the entry. `kvmnet explain` lists all codes.
    """,
)
