"""Finds and reads the files of a definition, within size limits. A file that cannot be read is a problem."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Optional, Union

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.base.problem import Mark, Problem
from kvmnet.core.definition.document import Source, decode

#: Bytes of all files together. Ten thousand hosts without groups need about a quarter of it.
MAX_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000
SUFFIXES = (".yaml", ".yml")
_NO_LINK_HINT = "give the path that the link leads to, or replace the link by a copy"
DEFAULTS = ("cluster.yaml", "cluster.d")


class CannotRead(KvmnetError):
    """A file cannot be read. `problem` has the reason."""

    def __init__(self, name: Union[str, Path], message: str, hint: Optional[str] = None) -> None:
        super().__init__(f"{name}: {message}", hint)
        self.problem = Problem("KVN001", message, Mark(str(name), 1, 1), hint=hint)


def read_definition(path: Optional[str]) -> tuple[list[Source], list[Problem]]:
    """Return the files of a definition in the order of their names, and a problem for each that cannot be read.

    `path` is a file or a folder; None stands for cluster.yaml or, if that does not exist, cluster.d in the current
    directory.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    remaining = MAX_BYTES
    try:
        files = _list_files(_choose_path(path))
    except CannotRead as error:
        return [], [error.problem]
    for file in files:
        try:
            data = read_file(file, remaining)
        except CannotRead as error:
            problems.append(error.problem)
            continue
        remaining -= len(data)
        source = decode(str(file), data)
        if isinstance(source, Problem):
            problems.append(source)
        else:
            sources.append(source)
    return sources, problems


def _choose_path(path: Optional[str]) -> Path:
    """Return the path of the definition. Raises CannotRead if none is given and the current directory has none."""
    if path is not None:
        return Path(path)
    for name in DEFAULTS:
        if os.path.lexists(name):
            return Path(name)
    hint = "give the path of the definition, or change to the directory that has cluster.yaml or cluster.d"
    raise CannotRead(DEFAULTS[0], "no definition in the current directory", hint)


def _list_files(path: Path) -> list[Path]:
    """Return the file itself, or the files of a folder. Subfolders are not read, so links cannot form a loop."""
    try:
        if not path.is_dir():
            return [path]
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.name[0] != ".")
    except OSError as error:
        raise CannotRead(path, _reason(error)) from None
    except ValueError:
        raise CannotRead("?", "not a valid file name") from None
    if not files:
        raise CannotRead(path, "the folder has no .yaml or .yml file")
    if os.geteuid() == 0:  # root's errors would show lines of files that the author of the folder cannot read
        root = path.resolve()
        for file in files:
            if file.is_symlink() and root not in file.resolve().parents:
                raise CannotRead(file, "a symbolic link that leads out of the folder", _NO_LINK_HINT)
    if len(files) > MAX_FILES:
        raise CannotRead(path, f"the folder has more than {MAX_FILES} files")
    return files


def read_file(path: Path, limit: int = MAX_BYTES, *, follow: bool = True, folder: Optional[int] = None) -> bytes:
    """Return the bytes of a regular file, at most `limit`. Raises CannotRead; never waits for a FIFO or device.

    Without `follow` the file must not be a symbolic link. `folder` is the descriptor of the folder that `path` is in.
    """
    # Non-blocking: opening a FIFO without a writer would wait forever.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path if folder is None else path.name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise CannotRead(path, "a symbolic link, not a regular file", _NO_LINK_HINT) from None
        raise CannotRead(path, _reason(error)) from None
    except ValueError:
        raise CannotRead("?", "not a valid file name") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise CannotRead(path, f"{_kind(status.st_mode)}, not a regular file")
        # The size may be wrong (0 in /proc), so reading is limited too.
        data = b"" if status.st_size > limit else _read(handle, limit + 1)
    except OSError as error:
        raise CannotRead(path, _reason(error)) from None
    finally:
        os.close(handle)
    if status.st_size > limit or len(data) > limit:
        raise CannotRead(path, f"the definition is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return data


def read_folder(folder: Path, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Return the bytes of the files of a folder whose names are wanted. Raises CannotRead also when the folder or one
    of these files is a symbolic link: a link may lead to a file that only root may read."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:  # also for a link
        kind = "a symbolic link" if folder.is_symlink() else "not a folder"
        raise CannotRead(folder, kind, _NO_LINK_HINT if folder.is_symlink() else None) from None
    try:
        names = sorted(name for name in os.listdir(handle) if is_wanted(name))  # noqa: PTH208
        return {name: read_file(folder / name, follow=False, folder=handle) for name in names}
    finally:
        os.close(handle)


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
    return kinds.get(stat.S_IFMT(mode), "a special file")


def _reason(error: OSError) -> str:
    reasons = {
        errno.ENOENT: "no such file or folder",
        errno.EACCES: "permission denied",
        errno.ELOOP: "symbolic links form a loop",
        errno.ENXIO: "a socket, not a regular file",
    }
    return reasons.get(error.errno or 0, f"cannot be read: {os.strerror(error.errno or 0)}")
