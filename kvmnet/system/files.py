"""Writes files by rename and fsync; records files with mode, owner and SELinux label, and restores them."""

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

#: The folder beside the journal for files that a rollback moves away because another tool may have created them.
ASIDE_FOLDER = "aside"
#: The folder of udev's rules that are not a package's.
RULES_FOLDER = "/etc/udev/rules.d/"


def sync_folder(path: Path) -> None:
    """Sync a folder, so that created, renamed and removed files survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files(paths: list[str]) -> None:
    """Sync files that another program wrote, and their folders, so that its changes survive a power cut."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    for folder in sorted({Path(path).parent for path in paths}):
        sync_folder(folder)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, and sync each parent."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o755, exist_ok=True)
        sync_folder(path.parent)


def write_file(
    path: str,
    data: bytes,
    mode: int = 0o644,
    owner: Optional[tuple[int, int]] = None,
    label: Optional[bytes] = None,
) -> None:
    """Replace a file as a whole: write a temporary file, fsync, rename, fsync the folder.

    The temporary file is in the same folder, so that it gets the SELinux label of this folder. Its name is always the
    same, so that a power cut leaves at most one. It is removed and created again: a link of its name is not followed.
    Raises OSError; the old file is unchanged then.
    """
    target = Path(path)
    make_folder(target.parent)
    temporary = target.with_name(f".{target.name}.kvmnet")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
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
    """Write new content into an existing file, for a full disk where no temporary file can be created.

    Raises OSError when there is not enough space for this either; the content is unchanged then.
    """
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "wb") as file:
        size_before = os.fstat(handle).st_size
        try:
            os.posix_fallocate(handle, 0, max(len(data), 1))
        except OSError:
            os.ftruncate(handle, size_before)
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
    """Remove a file, if it exists, and sync its folder."""
    target = Path(path)
    if target.exists() or target.is_symlink():
        target.unlink()
        sync_folder(target.parent)


def move_aside(path: str, folder: Path) -> str:
    """Move a file that another tool may have created into this folder, under its whole path; return its new path.

    When the folder cannot take it (it may be on another file system, which may be full), the file is renamed in place
    to a name that NetworkManager does not read: it must stop having an effect in any case.
    """
    record = record_file(path)
    try:
        target = _find_free_path(folder / path.lstrip("/"), record)
        restore_file({**record, "path": str(target)})
        remove_file(path)
    except OSError:
        target = _find_free_path(Path(path).with_name(f".{Path(path).name}.kvmnet-{ASIDE_FOLDER}"), record)
        Path(path).replace(target)
        sync_folder(target.parent)
    return str(target)


def _find_free_path(wanted: Path, record: Json) -> Path:
    """Return `wanted`, with a number appended where that is in use by a file with other content.

    A file with the same content was put there by an earlier rollback that was interrupted.
    """

    def is_in_use(path: Path) -> bool:
        existing = record_file(str(path))
        return not existing.get("absent") and any(existing.get(key) != record.get(key) for key in ("data", "link"))

    path, number = wanted, 0
    while is_in_use(path):
        number += 1
        path = wanted.with_name(f"{wanted.name}.{number}")
    return path


def record_file(path: str) -> Json:
    """Return what `restore_file` needs to restore a file: bytes, mode, owner and label, or that it does not exist."""
    target = Path(path)
    try:
        status = target.lstat()
    except FileNotFoundError:
        return {"path": path, "absent": True}
    if stat.S_ISLNK(status.st_mode):
        return {"path": path, "link": str(target.readlink())}
    label = None
    with contextlib.suppress(OSError):
        label = base64.b64encode(os.getxattr(path, SELINUX_LABEL)).decode()
    return {
        "path": path,
        "data": base64.b64encode(target.read_bytes()).decode(),
        "mode": stat.S_IMODE(status.st_mode),
        "owner": [status.st_uid, status.st_gid],
        "label": label,
    }


def restore_file(record: Json) -> bool:
    """Restore a recorded file; return whether it had to be changed. Raises OSError."""
    path = str(record["path"])
    current = record_file(path)
    if current == record:
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
            if "data" not in current or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            overwrite_in_place(path, data, record["mode"], owner, label)
    return True


def is_read_only(folder: Path) -> bool:
    """Return whether the file system of this folder is mounted read-only."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def read_json(path: Path) -> Json:
    """Return the JSON object in a file; an empty one when the file is missing or incomplete."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
