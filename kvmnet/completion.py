"""`kvmnet complete KIND [PATH]`: names of the definition for the completion of a shell.

A shell asks at every Tab, so this imports PyYAML and little else: no typer, no schema. It reads no values, only the
keys of three mappings, and accepts a definition that is just being edited: the names before a mistake count.
"""

from __future__ import annotations

import os
import re
import stat
import sys

KINDS = ("hosts", "guests", "networks")
"""The mappings of the definition whose keys are completed."""

_DEFAULTS = ("cluster.yaml", "cluster.d")
_MAX_BYTES = 4 * 1024 * 1024
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a shell would have to quote any other name


def main(arguments: list[str]) -> int:
    """Print the names of a kind, one per line. Return 0 also when there is no definition: a shell shows no errors."""
    if len(arguments) not in (1, 2) or arguments[0] not in KINDS:
        print(f"usage: kvmnet complete {'|'.join(KINDS)} [PATH]", file=sys.stderr)
        return 2
    path = arguments[1] if arguments[1:] else next(filter(os.path.lexists, _DEFAULTS), None)
    names = {name: None for file in _list_files(path) for name in keys_of(arguments[0], _read_file(file))}
    sys.stdout.write("".join(f"{name}\n" for name in names))
    return 0


def keys_of(section: str, text: bytes) -> list[str]:
    """Return the keys of a mapping at the top of a YAML document, up to the first mistake in the document.

    Only events are read, so aliases are not expanded.
    """
    import yaml

    names: list[str] = []
    is_wanted = False
    open_nodes: list[bool | None] = []  # of each mapping that has begun: whether a key comes next; None for a sequence
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.CollectionEndEvent):
                open_nodes.pop()
            elif isinstance(event, yaml.NodeEvent):
                if open_nodes and open_nodes[-1] is not None:
                    if open_nodes[-1] and isinstance(event, yaml.ScalarEvent):
                        if len(open_nodes) == 1:
                            is_wanted = event.value == section
                        elif len(open_nodes) == 2 and is_wanted and _PLAIN.fullmatch(event.value):
                            names.append(event.value)
                    open_nodes[-1] = not open_nodes[-1]
                if isinstance(event, yaml.CollectionStartEvent):
                    open_nodes.append(True if isinstance(event, yaml.MappingStartEvent) else None)
    except yaml.YAMLError:
        pass
    return names


def _list_files(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        members = os.listdir(path)  # noqa: PTH208
    except NotADirectoryError:
        return [path]
    except (OSError, ValueError):
        return []
    return [f"{path}/{name}" for name in sorted(members) if name.endswith((".yaml", ".yml")) and name[0] != "."]


def _read_file(path: str) -> bytes:
    """Return the bytes of a regular file of a moderate size, otherwise nothing. Never waits for a FIFO."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError):
        return b""
    with os.fdopen(handle, "rb") as stream:
        return stream.read(_MAX_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
