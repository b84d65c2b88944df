"""Reads the configuration of kvmnet on this host: /etc/kvmnet/kvmnet.conf, which only root can write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

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
    values: dict[str, bool] = {}
    for number, line in enumerate(text.splitlines(), 1):
        key, separator, value = (part.strip() for part in line.partition("#")[0].partition("="))
        if not key and not separator:
            continue
        if key != ALLOW_COMMANDS or value not in _VALUES:
            return HostConfiguration(problem=f"{path}, line {number}: expected {ALLOW_COMMANDS} = yes (or no)")
        if key in values:
            return HostConfiguration(problem=f"{path}, line {number}: {key} is set twice")
        values[key] = _VALUES[value]
    return HostConfiguration(allows_commands=values.get(ALLOW_COMMANDS, False))
