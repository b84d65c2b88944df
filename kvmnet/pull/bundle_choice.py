"""Finds the bundle of this host in a commit, and writes its files to a private folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kvmnet.core.base.errors import KvmnetError, Refused
from kvmnet.core.base.problem import printable
from kvmnet.core.rendering.bundle_files import BUNDLE_FILE, is_bundle_file
from kvmnet.git_files import Blob, Repository

#: The bytes that bundle.json of one host, and all files of this host, may have.
MAX_INDEX, MAX_BUNDLE = 1 << 20, 8 << 20

Folders = dict[str, dict[str, Blob]]
"""The files of each host's folder: name -> blob."""


def write_own_bundles(
    mirror: Path, commit: str, path: str, macs: Mapping[str, str], hostname: str, target: Path
) -> list[Path]:
    """Write the bundles of a commit that may be this host's to folders below `target`, which is replaced, and return
    them: those with one of its permanent MAC addresses (MAC -> name), and that of its name.

    Raises Refused if there is none, or if a file of it is not acceptable."""
    repository = Repository(mirror)
    folders = _list_folders(repository, commit, path)
    indexes = {
        f"{host}/{BUNDLE_FILE}": files[BUNDLE_FILE]
        for host, files in folders.items()
        if BUNDLE_FILE in files and files[BUNDLE_FILE].size <= MAX_INDEX and not files[BUNDLE_FILE].is_link
    }
    texts = repository.read(commit, indexes) if indexes else {}
    own = [name.rpartition("/")[0] for name, text in texts.items() if _may_be_own(name, text, macs, hostname)]
    if not own:
        where = "the repository" if path == "." else f"folder {path} of the repository"
        listed = ", ".join(f"{name} {mac}" for mac, name in sorted(macs.items())) or "none"
        message = f"{where} has no bundle for this host in commit {commit[:12]} ({len(texts)} hosts)"
        raise Refused(message, f"NICs of this host: {listed}; its name: {hostname}", "KVN572")
    shutil.rmtree(target, ignore_errors=True)
    return [_write_folder(repository, commit, host, folders[host], target) for host in own]


def _list_folders(repository: Repository, commit: str, path: str) -> Folders:
    folders: Folders = {}
    for name, blob in repository.list_files(commit, path).items():
        file = PurePosixPath(name) if path == "." else PurePosixPath(name).relative_to(path)
        if len(file.parts) == 2 and is_bundle_file(file.name):
            folders.setdefault(file.parts[0], {})[file.name] = blob
    return folders


def _may_be_own(name: str, text: bytes, macs: Mapping[str, str], hostname: str) -> bool:
    """Whether the bundle of an index may be this host's. The whole bundle is checked when it is read."""
    try:
        index = json.loads(text)
        nics: list[dict[str, Any]] = index["nics"]
        if any(str(nic["mac"]).lower() in macs for nic in nics):
            return True
        host = str(index["host"]).lower()
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return host in (hostname.lower(), hostname.lower().split(".")[0])


def _write_folder(repository: Repository, commit: str, host: str, files: dict[str, Blob], target: Path) -> Path:
    for name, blob in files.items():
        if blob.is_link:
            raise KvmnetError(f"{printable(host)}/{printable(name)} of commit {commit[:12]} is a symbolic link")
    if sum(blob.size for blob in files.values()) > MAX_BUNDLE:
        raise KvmnetError(f"the bundle {printable(host)} of commit {commit[:12]} is larger than {MAX_BUNDLE} bytes")
    folder = target / host
    folder.mkdir(mode=0o700, parents=True)
    target.chmod(0o700)
    for name, data in repository.read(commit, files).items():
        (folder / name).write_bytes(data)
    return folder
