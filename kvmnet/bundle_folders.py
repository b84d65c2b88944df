"""Bundles on disk: a folder for each host. Only changed files are written, only files of bundles are deleted."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.rendering.bundle_files import BUNDLE_FILE, GUESTS_FILE, LINK_FILE, STATE_FILE

Folders = Mapping[str, Mapping[str, str]]
"""The files of each host: host to file name to text."""


@dataclass(frozen=True)
class Drift:
    """The differences between a folder and what render would write, as relative paths."""

    missing: tuple[str, ...]
    stale: tuple[str, ...]
    surplus: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether there are no differences."""
        return not (self.missing or self.stale or self.surplus)


def compare(root: Path, folders: Folders, everything: bool) -> Drift:
    """Return the differences without writing. `everything`: folders of bundles of other hosts are surplus."""
    missing, stale, surplus = [], [], []
    for host, files in folders.items():
        present = _bundle_files_in(root / host)
        for name, text in files.items():
            data = _read(root / host / name) if name in present else None
            if data is None:
                missing.append(f"{host}/{name}")
            elif data != text.encode():
                stale.append(f"{host}/{name}")
        surplus += [f"{host}/{name}" for name in present if name not in files]
    if everything:
        for host in _hosts_in(root):
            if host not in folders:
                surplus += [f"{host}/{name}" for name in _bundle_files_in(root / host)]
    return Drift(tuple(missing), tuple(stale), tuple(surplus))


def write(root: Path, folders: Folders, everything: bool) -> Drift:
    """Write and delete files so that there are no differences. Return the differences from before.

    Raises KvmnetError if the folder of a host contains such files but is not a bundle, or if a file cannot be written.
    """
    drift = compare(root, folders, everything)
    for host in folders:
        folder = root / host
        names = _bundle_files_in(folder)
        if names and not _is_bundle(folder):
            message = f"{folder / names[0]} was not written by kvmnet render"
            raise KvmnetError(message, "move it away, or choose another folder")
    to_write = {*drift.missing, *drift.stale}
    try:
        for host, files in folders.items():
            (root / host).mkdir(parents=True, exist_ok=True)
            # bundle.json first: an incomplete folder is still recognized as a bundle, but its digest does not match.
            for name in sorted(files, key=lambda n: n != BUNDLE_FILE):
                if f"{host}/{name}" in to_write:
                    _replace(root / host / name, files[name])
        _remove(root, drift.surplus)
    except OSError as error:
        raise KvmnetError(f"{error.filename or root}: {error.strerror}") from None
    return drift


def _remove(root: Path, surplus: Iterable[str]) -> None:
    # bundle.json last, for the same reason
    for path in sorted(surplus, key=lambda p: p.endswith("/" + BUNDLE_FILE)):
        (root / path).unlink()
    for host in {path.split("/")[0] for path in surplus}:
        if not any((root / host).iterdir()):
            (root / host).rmdir()


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically."""
    # os, not pathlib: a cluster has thousands of these files
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".kvmnet-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
        os.chmod(temporary, 0o644)  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise


def _read(path: Path) -> Optional[bytes]:
    try:
        return path.read_bytes() if path.is_file() and not path.is_symlink() else None
    except OSError as error:
        raise KvmnetError(f"{path}: {error.strerror}") from None


def _bundle_files_in(folder: Path) -> list[str]:
    """Return the names of files in a host's folder that belong to bundles."""
    if not folder.is_dir() or folder.is_symlink():
        return []
    names = (STATE_FILE, GUESTS_FILE, BUNDLE_FILE)
    return sorted(p.name for p in folder.iterdir() if p.name in names or LINK_FILE.match(p.name))


def _hosts_in(root: Path) -> list[str]:
    """Return the names of the folders that are bundles."""
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
