"""Opens files without following links, and finds out whether someone else could have written them."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Optional

#: Programs by which a user becomes root set one of these: that user may be trusted, because he can run kvmnet as root.
_CALLER_VARIABLES = ("SUDO_UID", "PKEXEC_UID")


def open_without_links(path: Path) -> int:
    """Open a file for reading and return its descriptor. Its folders may be links, the file itself must not. Opening
    never waits for a FIFO. Raises OSError, with ELOOP for a link."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


def trusted_owners() -> frozenset[int]:
    """Return the user IDs whose files root may act upon: root, the user of this process, and the user who became root
    by sudo or pkexec."""
    callers = {int(text) for name in _CALLER_VARIABLES if (text := os.environ.get(name, "")).isdigit()}
    return frozenset({0, os.geteuid(), *callers})


def find_other_writer(path: Path, owners: Collection[int]) -> Optional[str]:
    """Return who else could have written a file or the entries of a folder, and by which path; None if only `owners`
    could. Every folder above it counts, because who can write there can replace what is in it. Raises OSError."""
    for part in _parts_of(path):
        status = part.lstat()
        if status.st_uid not in owners:
            return f"{part} belongs to {_user_name(status.st_uid)}"
        if stat.S_ISLNK(status.st_mode):
            continue  # a link has no mode of its own; where it leads is among the parts
        is_shared = stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX) and part != path
        if not is_shared and (writers := _other_writers(status, owners)):
            return f"{part} can be written by {writers} (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def _parts_of(path: Path) -> Iterator[Path]:
    """Yield the path and the folders above it as it is written, and where it leads when links are followed."""
    written = path.absolute()  # not resolve(), which would follow links
    real = written.resolve()
    yield from dict.fromkeys([written, *written.parents, real, *real.parents])


def _other_writers(status: os.stat_result, owners: Collection[int]) -> str:
    if status.st_mode & stat.S_IWOTH:
        return "every user"
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid, owners):
        return f"group {_group_name(status.st_gid)}"
    return ""


def _is_private_group(number: int, owners: Collection[int]) -> bool:
    """Whether a group is the one that a user has alone: it has his name and no further members."""
    try:
        group = grp.getgrgid(number)
        names = {pwd.getpwuid(owner).pw_name for owner in owners}
    except KeyError:
        return False
    return group.gr_name in names and names.issuperset(group.gr_mem)


def _user_name(number: int) -> str:
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user ID {number}"


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
