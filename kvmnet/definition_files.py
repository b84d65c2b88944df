"""The definition's files: found, read within limits, refused in one line when they cannot be."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Optional, Union

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.base.problem import Mark, Problem
from kvmnet.core.definition.document import Source, decode

#: Bytes of all files together. Ten thousand hosts written out in full are about a quarter of it.
MAX_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000
SUFFIXES = (".yaml", ".yml")
DEFAULTS = ("cluster.yaml", "cluster.d")


class CannotRead(KvmnetError):
    """A file cannot be read; `problem` says why."""

    def __init__(self, name: Union[str, Path], words: str, hint: Optional[str] = None) -> None:
        super().__init__(f"{name}: {words}", hint)
        self.problem = Problem("KVN001", words, Mark(str(name), 1, 1), hint=hint)


def read_definition(path: Optional[str]) -> tuple[list[Source], list[Problem]]:
    """The files of a definition, in the order of their names; what cannot be read as problems.

    `path` is a file or a folder; None looks for cluster.yaml, then cluster.d, in the working directory.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    left = MAX_BYTES
    try:
        files = _listed(_found(path))
    except CannotRead as error:
        return [], [error.problem]
    for file in files:
        try:
            data = read_file(file, left)
        except CannotRead as error:
            problems.append(error.problem)
            continue
        left -= len(data)
        source = decode(str(file), data)
        if isinstance(source, Problem):
            problems.append(source)
        else:
            sources.append(source)
    return sources, problems


def _found(path: Optional[str]) -> Path:
    if path is not None:
        return Path(path)
    for name in DEFAULTS:
        if os.path.lexists(name):
            return Path(name)
    hint = "name one, or go where cluster.yaml or cluster.d is"
    raise CannotRead(DEFAULTS[0], "there is no definition here", hint)


def _listed(path: Path) -> list[Path]:
    """The file itself, or a folder's files. Folders in it are not entered, so links cannot make a loop."""
    try:
        if not path.is_dir():
            return [path]
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.name[0] != ".")
    except OSError as error:
        raise CannotRead(path, _why(error)) from None
    except ValueError:
        raise CannotRead("?", "this is not a name that a file can have") from None
    if not files:
        raise CannotRead(path, "the folder holds no .yaml or .yml file")
    if len(files) > MAX_FILES:
        raise CannotRead(path, f"the folder holds more than {MAX_FILES} files")
    return files


def read_file(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file, at most `limit`. Raises CannotRead; never waits for a FIFO or device."""
    try:
        # Non-blocking: opening a FIFO that nobody writes to would wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise CannotRead(path, _why(error)) from None
    except ValueError:
        raise CannotRead("?", "this is not a name that a file can have") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise CannotRead(path, f"this is {_kind(found.st_mode)}, not a file")
        # The size may lie (/proc says 0), so the reading is bounded too.
        data = b"" if found.st_size > limit else _read(handle, limit + 1)
    except OSError as error:
        raise CannotRead(path, _why(error)) from None
    finally:
        os.close(handle)
    if found.st_size > limit or len(data) > limit:
        raise CannotRead(path, f"the definition is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return data


def _read(handle: int, limit: int) -> bytes:
    with os.fdopen(handle, "rb", closefd=False) as stream:
        return stream.read(limit)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def _why(error: OSError) -> str:
    words = {
        errno.ENOENT: "there is no such file or folder",
        errno.EACCES: "you may not read it",
        errno.ELOOP: "its symbolic links lead in a circle",
        errno.ENXIO: "this is a socket, not a file",
    }
    return words.get(error.errno or 0, f"it cannot be read: {os.strerror(error.errno or 0)}")
