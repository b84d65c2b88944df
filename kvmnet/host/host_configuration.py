"""Reads the configuration of kvmnet on this host: /etc/kvmnet/kvmnet.conf, which only root can write."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvmnet.core.live.pull_settings import PULL_KEYS, make_pull_settings
from kvmnet.core.live.surroundings import HostConfiguration
from kvmnet.host import trusted_files

CONFIGURATION_FILE = Path("/etc/kvmnet/kvmnet.conf")
ALLOW_COMMANDS = "allow-commands"

_VALUES = {"yes": True, "no": False}
#: The bytes that a configuration may have.
_MAX_BYTES = 64 * 1024


def read_host_configuration(path: Path = CONFIGURATION_FILE) -> HostConfiguration:
    """Return the configuration of this host; the defaults when there is no file, and with the problem when it cannot be
    used: it is not a regular file, someone else than root could have written it, or it has an unknown line."""
    try:
        text = _read(path)
    except FileNotFoundError:
        return HostConfiguration()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return HostConfiguration(problem=f"{path}: {reason}")
    return _parse(text, path)


def _read(path: Path) -> str:
    """Return the text of the file. Raises OSError, and ValueError with the reason if it must not be used."""
    if path.is_symlink():
        raise ValueError("a symbolic link, not a regular file")
    handle = trusted_files.open_without_links(path)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("not a regular file")
        if writer := trusted_files.find_other_writer(path, _owners()):
            raise ValueError(f"only root may be able to write it, but {writer}")
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES // 1024} KiB")
    return data.decode("utf-8")


def _owners() -> frozenset[int]:
    return frozenset({0})


def _parse(text: str, path: Path) -> HostConfiguration:
    values: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        key, separator, value = (part.strip() for part in line.partition("#")[0].partition("="))
        if not key and not separator:
            continue
        place = f"{path}, line {number}"
        if key not in _READERS:
            return HostConfiguration(problem=f"{place}: expected one of {', '.join(_READERS)}, then = and a value")
        if key in values:
            return HostConfiguration(problem=f"{place}: {key} is set twice")
        try:
            values[key] = _READERS[key](value)
        except ValueError as error:
            return HostConfiguration(problem=f"{place}: {key}: {error}")
    pull = make_pull_settings(values)
    if conflict := pull.find_conflict():
        return HostConfiguration(problem=f"{path}: {conflict}")
    return HostConfiguration(allows_commands=values.get(ALLOW_COMMANDS, False), pull=pull)


def _read_yes(text: str) -> bool:
    if text not in _VALUES:
        raise ValueError("expected yes or no")
    return _VALUES[text]


_READERS: dict[str, Callable[[str], Any]] = {
    ALLOW_COMMANDS: _read_yes,
    **{key: read for key, (_, read) in PULL_KEYS.items()},
}
