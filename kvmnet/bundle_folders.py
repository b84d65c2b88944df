"""Bundles on disk: a folder for each host. Only what changed is written, only what render made is removed."""

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
"""Host to relative file name to text."""


@dataclass(frozen=True)
class Drift:
    """How a folder differs from what render would write, as paths relative to it."""

    missing: tuple[str, ...]
    stale: tuple[str, ...]
    surplus: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.missing or self.stale or self.surplus)


def compare(root: Path, folders: Folders, everything: bool) -> Drift:
    """Compare without writing. `everything`: the folders are all there are, so others are surplus."""
    missing, stale, surplus = [], [], []
    for host, files in folders.items():
        there = _ours_in(root / host)
        for name, text in files.items():
            have = _read(root / host / name) if name in there else None
            if have is None:
                missing.append(f"{host}/{name}")
            elif have != text.encode():
                stale.append(f"{host}/{name}")
        surplus += [f"{host}/{name}" for name in there if name not in files]
    if everything:
        for host in _hosts_in(root):
            if host not in folders:
                surplus += [f"{host}/{name}" for name in _ours_in(root / host)]
    return Drift(tuple(missing), tuple(stale), tuple(surplus))


def write(root: Path, folders: Folders, everything: bool) -> Drift:
    """Make the folders what they should be. Returns what was missing, stale and surplus before.

    Raises KvmnetError when a host's folder holds files of these names that render did not make, or when
    something cannot be written.
    """
    drift = compare(root, folders, everything)
    for host in folders:
        folder = root / host
        names = _ours_in(folder)
        if names and not _is_bundle(folder):
            words = f"{folder / names[0]} is not of render's making"
            raise KvmnetError(words, "move it away, or choose another folder")
    wanted = {*drift.missing, *drift.stale}
    try:
        for host, files in folders.items():
            (root / host).mkdir(parents=True, exist_ok=True)
            # bundle.json first: a folder that was cut short is known as ours, and its digest does not fit.
            for name in sorted(files, key=lambda n: n != BUNDLE_FILE):
                if f"{host}/{name}" in wanted:
                    _replace(root / host / name, files[name])
        _remove(root, drift.surplus)
    except OSError as error:
        raise KvmnetError(f"{error.filename or root}: {error.strerror}") from None
    return drift


def _remove(root: Path, surplus: Iterable[str]) -> None:
    # bundle.json last, for the same reason.
    for path in sorted(surplus, key=lambda p: p.endswith("/" + BUNDLE_FILE)):
        (root / path).unlink()
    for host in {path.split("/")[0] for path in surplus}:
        if not any((root / host).iterdir()):
            (root / host).rmdir()


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
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


def _ours_in(folder: Path) -> list[str]:
    """The files of a host's folder that have names of ours."""
    if not folder.is_dir() or folder.is_symlink():
        return []
    names = (STATE_FILE, GUESTS_FILE, BUNDLE_FILE)
    return sorted(p.name for p in folder.iterdir() if p.name in names or LINK_FILE.match(p.name))


def _hosts_in(root: Path) -> list[str]:
    """The folders that render made."""
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
