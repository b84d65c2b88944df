"""Every code a problem can have: its title, and the page that `kvmnet explain` prints."""

from __future__ import annotations

import inspect
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A stable code; a number is never given to another problem."""

    code: str
    title: str
    page: str


_CODES: dict[str, Code] = {}


def register(code: str, title: str, page: str) -> None:
    """Make a code known. Raises ValueError when it is taken."""
    if code in _CODES:
        raise ValueError(f"{code} is taken by: {_CODES[code].title}")
    _CODES[code] = Code(code, title, inspect.cleandoc(page))


def definition_codes() -> list[Code]:
    """The registered codes of problems that a definition can have, in order."""
    return [_CODES[code] for code in sorted(_CODES) if not _is_of_host(code)]


def host_codes() -> list[Code]:
    """The registered codes of reasons to refuse a host, in order."""
    return [_CODES[code] for code in sorted(_CODES) if _is_of_host(code)]


def _is_of_host(code: str) -> bool:
    return code.startswith("KVN5")


register(
    "KVN001",
    "a file or folder cannot be read",
    """
    The definition is a regular file, or a folder of .yaml and .yml files. It must be there, be readable by
    you, and be of a size that a person could have written. Devices, FIFOs and sockets are not read.
    Without a PATH the verbs look for cluster.yaml, then for the folder cluster.d, where you are.
    """,
)
register(
    "KVN002",
    "the file is not YAML text",
    """
    The file is not UTF-8 text, or not YAML, or uses a part of YAML that a definition does not need: several
    documents in a file, tags such as !!python/object, keys that are lists. The place shown is where the
    parser gave up; the mistake is there or a little before. Most often: a tab, a colon without a blank, a
    quote or bracket that is not closed, a list item at the wrong depth.
    """,
)
register(
    "KVN003",
    "a key is given twice",
    """
    YAML readers keep the last of two equal keys and drop the first without a word. Here it is a problem:
    take one of them out, or merge what is under them.
    """,
)
register(
    "KVN004",
    "nested too deep, too many values, or aliases without end",
    """
    A definition is about seven levels deep and some thousand values long (that of ten thousand hosts, each written
    out, some hundred thousand). An alias inside what it names, a chain of aliases that unfolds to millions of
    values, a list of millions, or nesting beyond any use ends here.
    """,
)
register(
    "KVN005",
    "given in two files",
    """
    The files of a folder are laid together: mappings merge, so networks may be in one file and hosts in
    another. A value or list that two files give is a problem, since neither is nearer than the other.
    """,
)
register(
    "KVN010",
    "unknown key",
    """
    The definition's form is closed: a key that is not known is a typing error more often than not. Keys
    that begin with x- are free, for notes and for anchors.
    """,
)
register(
    "KVN011",
    "a key is missing",
    """
    The place shown is what lacks the key. A definition needs kvmnet: 1 (the version of its form), cluster,
    profile and hosts; a guest's NIC needs its network and its mac.
    """,
)
register(
    "KVN012",
    "a value of the wrong kind",
    """
    A list where text belongs, text where a number belongs, or nothing at all. Numbers are decimal digits,
    switches are true or false, both without quotes; yes, no, on, off, 0x10 and 1_000 are text.
    """,
)
register(
    "KVN013",
    "a value that is not in its form",
    """
    The message says what is wanted: a MAC is six pairs of hexadecimal digits with colons, an address has no
    leading zeros, a subnet has its prefix length.
    """,
)
register(
    "KVN190",
    "a silence that silences nothing",
    """
    A `silence` accepts a warning whose place is inside the part that it is written in: network, group, host,
    interface, guest, route, or the whole definition. There is no such warning here (any more),
    so take it out: left in, it would hide the next one. A warning about what a group gives its hosts has its
    place in the group.
    """,
)
register(
    "KVN191",
    "a silence of something that is not a warning",
    """
    Only warnings can be silenced. What is an error would not work, or not as written, on some host: it has to
    be mended. `kvmnet explain` lists all codes.
    """,
)
