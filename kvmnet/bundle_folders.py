"""Bundle folders on disk: compares and writes them. Writes only files that changed, removes only files of kvmnet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.rendering.bundle_files import BUNDLE_FILE, is_bundle_file
from kvmnet.exporters import File, Files


@dataclass(frozen=True)
class Drift:
    """How the folders differ from what render writes: missing files, files with other content, and surplus files of
    kvmnet. Paths are relative to the output folder."""

    missing: tuple[str, ...]
    stale: tuple[str, ...]
    surplus: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether there is no difference."""
        return not (self.missing or self.stale or self.surplus)


def compare(root: Path, files: Files, whole_cluster: bool) -> Drift:
    """Return how the folders under `root` differ from `files` (HOST/NAME), without a change.

    With `whole_cluster` the files are those of every host, so the folders of other hosts are surplus.
    """
    missing, stale, surplus = [], [], []
    present = {host: _list_bundle_files(root / host) for host in _hosts_of(files)}
    for path, file in files.items():
        host, _, name = path.partition("/")
        content = _read(root / path) if name in present[host] else None
        if content is None:
            missing.append(path)
        elif content != file.text.encode():
            stale.append(path)
    if whole_cluster:
        present.update({host: _list_bundle_files(root / host) for host in _list_hosts(root) if host not in present})
    for host, names in present.items():
        surplus += [f"{host}/{name}" for name in names if f"{host}/{name}" not in files]
    return Drift(tuple(missing), tuple(stale), tuple(surplus))


def write(root: Path, files: Files, whole_cluster: bool) -> Drift:
    """Write what differs (see `compare`), remove what is surplus, and return what differed.

    Raises KvmnetError if a host's folder has files with names of a bundle but no bundle, or if a file cannot be
    written.
    """
    hosts = _hosts_of(files)
    refuse_linked_folders(root, hosts)
    drift = compare(root, files, whole_cluster)
    for host in hosts:
        folder = root / host
        names = _list_bundle_files(folder)
        if names and not _is_bundle(folder):
            message = f"{folder / names[0]} was not written by kvmnet render"
            raise KvmnetError(message, "move it to another place, or choose another output folder")
    differing = {*drift.missing, *drift.stale}
    try:
        for host in hosts:
            (root / host).mkdir(parents=True, exist_ok=True)
        # In each folder bundle.json first: an incomplete folder is known to be kvmnet's, and its digest does not match.
        for path in sorted(differing, key=lambda p: (p.partition("/")[0], not p.endswith("/" + BUNDLE_FILE))):
            _replace(root / path, files[path])
        _remove(root, drift.surplus)
    except OSError as error:
        raise KvmnetError(f"{error.filename or root}: {error.strerror}") from None
    return drift


def refuse_linked_folders(root: Path, folders: Iterable[str]) -> None:
    """Raise KvmnetError if one of these folders under `root`, or one on the way to it, is a symbolic link: files would
    be written to where it leads."""
    for folder in folders:
        for part in [Path(folder), *Path(folder).parents]:
            if (root / part).is_symlink() and part != Path():
                raise KvmnetError(f"{root / part} is a symbolic link", "remove it, or choose another output folder")


def _hosts_of(files: Files) -> list[str]:
    """Return the hosts whose folders the files are in."""
    return list(dict.fromkeys(path.partition("/")[0] for path in files))


def _remove(root: Path, surplus: Iterable[str]) -> None:
    # bundle.json last, for the same reason as above.
    for path in sorted(surplus, key=lambda p: p.endswith("/" + BUNDLE_FILE)):
        (root / path).unlink()
    for host in {path.split("/")[0] for path in surplus}:
        if not any((root / host).iterdir()):
            (root / host).rmdir()


def _replace(path: Path, file: File) -> None:
    """Write a file in one step."""
    # os, not pathlib or tempfile: a cluster has thousands of these files
    temporary = f"{path.parent}/.kvmnet-{os.getpid()}-{path.name}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(file.text.encode())
            os.fchmod(handle, file.mode)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise


def _read(path: Path) -> Optional[bytes]:
    try:
        return path.read_bytes() if path.is_file() and not path.is_symlink() else None
    except OSError as error:
        raise KvmnetError(f"{path}: {error.strerror}") from None


def _list_bundle_files(folder: Path) -> list[str]:
    """Return the files of a host's folder that have names of a bundle's files."""
    if not folder.is_dir() or folder.is_symlink():
        return []
    return sorted(p.name for p in folder.iterdir() if is_bundle_file(p.name))


def _list_hosts(root: Path) -> list[str]:
    """Return the hosts that have a folder that render wrote."""
    if not root.is_dir():
        return []
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not p.is_symlink() and _is_bundle(p))


def _is_bundle(folder: Path) -> bool:
    data = _read(folder / BUNDLE_FILE)
    try:
        index = json.loads(data or b"null")
    except ValueError:
        return False
    return isinstance(index, dict) and index.get("host") == folder.name and {"format", "digest"} <= index.keys()
