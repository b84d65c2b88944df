"""Reads files of a git revision, without touching the working tree: by calling git.

Only blobs are read: no filter, hook or checkout of the repository runs.
"""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kvmnet.core.base.errors import KvmnetError, Usage
from kvmnet.core.base.problem import quoted

_FETCH_HINT = "fetch it first: `git fetch`; in a pipeline, check out the whole history (fetch-depth: 0, GIT_DEPTH: 0)"
_FILE_MODES, _LINK_MODE = ("100644", "100755"), "120000"
#: How many symbolic links are followed to a file.
_MAX_LINKS = 8


@dataclass(frozen=True)
class Blob:
    """A file of a revision: its object ID, its size in bytes, and whether it is a symbolic link."""

    id: str
    size: int
    is_link: bool = False


def split_range(text: str) -> tuple[str, Optional[str], bool]:
    """Return the two revisions of `A..B` or `A...B`, and whether the first is to be replaced by their merge base; of a
    single revision, the second is None. Raises Usage for a name that git could take for an option or an expression."""
    old, dots, new = text.partition("...") if "..." in text else text.partition("..")
    for name in (old, new) if dots else (old,):
        _require_name(name, text)
    return old, new if dots else None, dots == "..."


def _require_name(name: str, text: str) -> None:
    is_odd = name.startswith(("-", "^")) or ".." in name or not name.isprintable() or set(name) & set(": *?[\\")
    if not name or is_odd:
        hint = "give a branch, tag or commit, such as main or HEAD~1, or two of them: main..HEAD"
        raise Usage(f"{quoted(text)} is not a git revision", hint)


class Repository:
    """The git repository that a folder is in; paths are relative to the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_commit(self, revision: str) -> str:
        """Return the ID of a commit. Raises NoSuchRevision if there is no such commit, GitError if there is no
        repository."""
        _require_name(revision, revision)
        try:
            return self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
        except GitError as error:
            if error.text:
                raise
            raise NoSuchRevision(f"the git repository has no revision {quoted(revision)}", _FETCH_HINT) from None

    def find_merge_base(self, one: str, other: str) -> str:
        """Return the ID of the last commit that both commits have. Raises KvmnetError if there is none."""
        try:
            return self._run("merge-base", one, other).split()[0]
        except GitError as error:
            if error.text:
                raise
            raise KvmnetError(f"{one[:12]} and {other[:12]} have no commit in common", _FETCH_HINT) from None

    def list_files(self, commit: str, path: str) -> dict[str, Blob]:
        """Return the files at a path of a commit, in a folder with its subfolders, by their paths."""
        listed = self._run("ls-tree", "-r", "-l", "-z", commit, "--", path)
        blobs = {}
        for row in filter(None, listed.split("\0")):
            attributes, _, name = row.partition("\t")
            mode, _, object_id, size = attributes.split()
            if mode in _FILE_MODES or mode == _LINK_MODE:
                blobs[name] = Blob(object_id, int(size), mode == _LINK_MODE)
        return blobs

    def read(self, commit: str, files: dict[str, Blob]) -> dict[str, bytes]:
        """Return the content of files by their paths; symbolic links are followed inside the repository."""
        wanted = {name: self._follow(commit, name, blob) if blob.is_link else blob for name, blob in files.items()}
        contents = self._read_blobs([blob.id for blob in wanted.values()])
        return {name: contents[blob.id] for name, blob in wanted.items()}

    def _follow(self, commit: str, name: str, blob: Blob) -> Blob:
        path = name
        for _ in range(_MAX_LINKS):
            target = os.fsdecode(self._read_blobs([blob.id])[blob.id])
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            found = {} if posixpath.isabs(target) else self.list_files(commit, path)
            if path not in found:
                break
            blob = found[path]
            if not blob.is_link:
                return blob
        raise KvmnetError(f"{name} is a symbolic link that leads to no file of the revision", "replace it by a copy")

    def _read_blobs(self, ids: Sequence[str]) -> dict[str, bytes]:
        unique = list(dict.fromkeys(ids))
        output = self._call("cat-file", "--batch", text="".join(f"{i}\n" for i in unique).encode())
        contents, position = {}, 0
        for object_id in unique:
            end = output.index(b"\n", position)
            size = int(output[position:end].split()[2])
            contents[object_id] = output[end + 1 : end + 1 + size]
            position = end + size + 2
        return contents

    def _run(self, *arguments: str) -> str:
        return os.fsdecode(self._call(*arguments))

    def _call(self, *arguments: str, text: bytes = b"") -> bytes:
        environment = {**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
        command = ["git", "-C", str(self.folder), *arguments]
        try:
            done = subprocess.run(command, input=text, capture_output=True, check=False, env=environment)
        except OSError as error:
            raise KvmnetError(f"git cannot be run: {error.strerror}", "install git, or give two folders") from None
        if done.returncode != 0:
            raise GitError(os.fsdecode(done.stderr).strip())
        return done.stdout


class NoSuchRevision(KvmnetError):
    """The repository has no such commit."""


class GitError(KvmnetError):
    """git failed; `text` is what it printed."""

    def __init__(self, text: str) -> None:
        super().__init__(f"git: {text.splitlines()[0] if text else 'it failed without a message'}")
        self.text = text
