"""Files: written by rename and synced, recorded with mode, owner and label, restored."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import stat
from pathlib import Path
from typing import Optional

from kvmnet.system.types import Json

SELINUX_LABEL = "security.selinux"

#: The folder beside the journal for what an undo takes away without knowing whose it is.
ASIDE_FOLDER = "aside"


def sync_folder(path: Path) -> None:
    """Make a change of names in a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files(paths: list[str]) -> None:
    """Make files that another program wrote survive a power cut, with their names and with what the program
    did to their neighbours' names."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    for folder in sorted({Path(path).parent for path in paths}):
        sync_folder(folder)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, for good."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def write_file(
    path: str,
    data: bytes,
    mode: int = 0o644,
    owner: Optional[tuple[int, int]] = None,
    label: Optional[bytes] = None,
) -> None:
    """Replace a file whole: a temporary file in the same folder (so that its SELinux label is the
    folder's, not /tmp's), fsync, rename, fsync of the folder."""
    target = Path(path)
    make_folder(target.parent)
    temporary = target.with_name(f".{target.name}.kvmnet")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            if label is not None:
                with contextlib.suppress(OSError):  # a kernel without SELinux refuses the attribute
                    os.setxattr(temporary, SELINUX_LABEL, label)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def overwrite_in_place(path: str, data: bytes, mode: int, owner: tuple[int, int], label: Optional[bytes]) -> None:
    """Write a file anew in its own place: the last resort of a full disk, where no new one can be made beside it. When
    there is no room for this either nothing is altered."""
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "wb") as file:
        held = os.fstat(handle).st_size
        try:
            os.posix_fallocate(handle, 0, max(len(data), 1))
        except OSError:
            os.ftruncate(handle, held)
            raise
        file.write(data)
        file.flush()
        os.ftruncate(handle, len(data))
        os.fchown(handle, *owner)
        os.fchmod(handle, mode)
        if label is not None:
            with contextlib.suppress(OSError):  # a kernel without SELinux refuses the attribute
                os.setxattr(path, SELINUX_LABEL, label)
        os.fsync(handle)


def remove_file(path: str) -> None:
    """Remove a file, if it is there, for good."""
    target = Path(path)
    if target.exists() or target.is_symlink():
        target.unlink()
        sync_folder(target.parent)


def move_aside(path: str, folder: Path) -> str:
    """Move a file, which may be a person's, into this folder (under its whole path, which may be taken); says where it
    is now. That may be another file system, and full: then it stays where it is under a name that NetworkManager does
    not read, since what it would do there must be undone all the same."""
    record = record_file(path)
    try:
        target = _free_place(folder / path.lstrip("/"), record)
        restore_file({**record, "path": str(target)})
        remove_file(path)
    except OSError:
        target = _free_place(Path(path).with_name(f".{Path(path).name}.kvmnet-{ASIDE_FOLDER}"), record)
        Path(path).replace(target)
        sync_folder(target.parent)
    return str(target)


def _free_place(wanted: Path, record: Json) -> Path:
    """`wanted`, or with a number behind it: where nothing is, or what an undo before this one has put there."""

    def taken(place: Path) -> bool:
        there = record_file(str(place))
        return not there.get("absent") and any(there.get(key) != record.get(key) for key in ("data", "link"))

    place, number = wanted, 0
    while taken(place):
        number += 1
        place = wanted.with_name(f"{wanted.name}.{number}")
    return place


def record_file(path: str) -> Json:
    """All of a file that `restore_file` needs to give it back: bytes, mode, owner, label; or its absence."""
    target = Path(path)
    try:
        about = target.lstat()
    except FileNotFoundError:
        return {"path": path, "absent": True}
    if stat.S_ISLNK(about.st_mode):
        return {"path": path, "link": str(target.readlink())}
    label = None
    with contextlib.suppress(OSError):
        label = base64.b64encode(os.getxattr(path, SELINUX_LABEL)).decode()
    return {
        "path": path,
        "data": base64.b64encode(target.read_bytes()).decode(),
        "mode": stat.S_IMODE(about.st_mode),
        "owner": [about.st_uid, about.st_gid],
        "label": label,
    }


def restore_file(record: Json) -> bool:
    """Give a recorded file back; True when something had to change."""
    path = str(record["path"])
    now = record_file(path)
    if now == record:
        return False
    if record.get("absent"):
        remove_file(path)
    elif "link" in record:
        remove_file(path)
        Path(path).symlink_to(record["link"])
    else:
        label = base64.b64decode(record["label"]) if record["label"] else None
        owner = (int(record["owner"][0]), int(record["owner"][1]))
        data = base64.b64decode(record["data"])
        try:
            write_file(path, data, record["mode"], owner, label)
        except OSError as error:
            if "data" not in now or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            overwrite_in_place(path, data, record["mode"], owner, label)
    return True


def is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def read_json(path: Path) -> Json:
    """The object in a file; empty when the file is absent or torn."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
