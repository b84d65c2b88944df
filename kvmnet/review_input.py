"""Reads the two sides of a review: definitions or folders of rendered states, from the disk or a git revision."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kvmnet import definition_files, pipeline
from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.base.problem import printable
from kvmnet.core.definition.document import Source, decode
from kvmnet.core.rendering import bundle_files, render
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.review.review import Follow, Review, Version, review_versions
from kvmnet.git_files import Blob, Repository
from kvmnet.pipeline import Definition

Folder = Mapping[str, bytes]
"""The files of one host's rendered states by name."""
_BUNDLE_SUFFIX = f"/{bundle_files.BUNDLE_FILE}"


@dataclass(frozen=True)
class Side:
    """One side of a review. label: what it is; definition: the checked definition, or states: the folder of each
    host."""

    label: str
    definition: Optional[Definition] = None
    states: Optional[Mapping[str, Folder]] = None


def read_path(path: Optional[str], follow: pipeline.Follow = pipeline.follow_nothing) -> Side:
    """Return the definition or the rendered states at a path; None: the definition in the current folder. Raises
    KvmnetError if rendered states cannot be read; problems of a definition are in it."""
    states = _read_states(Path(path)) if path is not None and Path(path).is_dir() else {}
    if states:
        return Side(str(path), states=states)
    return Side(path or "the definition in the current folder", pipeline.load(path, follow))


def _read_states(folder: Path) -> dict[str, Folder]:
    """Return the rendered states in a folder: of the host that it belongs to, or of each host with a subfolder."""
    try:
        folders = [folder, *sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink())]
        found = [p for p in folders if (p / bundle_files.BUNDLE_FILE).is_file()]
        return {p.name: definition_files.read_folder(p, bundle_files.is_bundle_file) for p in found}
    except OSError as error:
        raise KvmnetError(f"{error.filename or folder}: {error.strerror}") from None


def read_revision(revision: str, path: Optional[str], merge_base_with: Optional[str] = None) -> Side:
    """Return the definition or the rendered states at a path of a git revision; None: the definition in the current
    folder. `merge_base_with`: take the last commit that the revision has in common with this one. Raises KvmnetError
    if there is no such revision, or if it has no such path."""
    repository, name = _find_repository(path)
    commit = repository.find_commit(revision)
    if merge_base_with is not None:
        commit = repository.find_merge_base(commit, repository.find_commit(merge_base_with))
        revision = commit[:12]
    for candidate in (name,) if name is not None else definition_files.DEFAULTS:
        files = repository.list_files(commit, candidate)
        if files:
            return _read_from_commit(repository, commit, f"{revision}:{path or candidate}", candidate, files)
    wanted = path or " and no ".join(definition_files.DEFAULTS)
    hint = "give the path of the definition or of the rendered states as it was in that revision"
    raise KvmnetError(f"revision {revision} has no {wanted}", hint)


def _find_repository(path: Optional[str]) -> tuple[Repository, Optional[str]]:
    """Return the repository that a path is in, and the path in it. The path need not exist any more."""
    if path is None:
        return Repository(Path()), None
    folder = Path(path).absolute().parent
    while not folder.is_dir():
        folder = folder.parent
    return Repository(folder), os.path.relpath(Path(path).absolute(), folder)


def _read_from_commit(repository: Repository, commit: str, label: str, path: str, files: Mapping[str, Blob]) -> Side:
    prefix = "" if path == "." else f"{path}/"
    states: dict[str, dict[str, Blob]] = {}
    for name, blob in files.items():
        folder, _, file = name[len(prefix) :].rpartition("/")
        if name.startswith(prefix) and "/" not in folder and bundle_files.is_bundle_file(file):
            states.setdefault(folder or Path(path).name, {})[name] = blob
    rendered = {host: blobs for host, blobs in states.items() if any(n.endswith(_BUNDLE_SUFFIX) for n in blobs)}
    if rendered:
        contents = repository.read(commit, {name: blob for blobs in rendered.values() for name, blob in blobs.items()})
        hosts = {host: {n.rpartition("/")[2]: contents[n] for n in blobs} for host, blobs in rendered.items()}
        return Side(label, states=hosts)
    wanted = {
        name: blob
        for name, blob in files.items()
        if name == path or (name.startswith(prefix) and _is_definition_file(name[len(prefix) :]))
    }
    if not wanted:
        raise KvmnetError(f"{label}: the folder has no .yaml or .yml file")
    if len(wanted) > definition_files.MAX_FILES or sum(b.size for b in wanted.values()) > definition_files.MAX_BYTES:
        raise KvmnetError(f"{label}: the definition is larger than {definition_files.MAX_BYTES // 2**20} MiB")
    revision = label.partition(":")[0]
    decoded = [decode(f"{revision}:{name}", data) for name, data in repository.read(commit, wanted).items()]
    sources = [one for one in decoded if isinstance(one, Source)]
    return Side(label, pipeline.check(sources, [one for one in decoded if not isinstance(one, Source)], label))


def _is_definition_file(name: str) -> bool:
    return "/" not in name and name.endswith(definition_files.SUFFIXES) and not name.startswith(".")


def compare_sides(old: Side, new: Side, follow: Follow) -> Review:
    """Return what differs between two sides. `follow` sees the progress. Raises KvmnetError if rendered states are
    corrupt."""
    unchanged = 0
    if old.states is not None and new.states is not None:
        same = {host for host, files in old.states.items() if new.states.get(host) == files}
        unchanged = len(same)
        old, new = (
            Side(side.label, states={host: files for host, files in (side.states or {}).items() if host not in same})
            for side in (old, new)
        )
    review = review_versions(version_of(old), version_of(new), follow)
    return Review(review.hosts, review.total + unchanged, review.guests)


def version_of(side: Side) -> Version:
    """Return what is rendered from a side. Raises KvmnetError if its rendered states are corrupt."""
    definition = side.definition
    if definition is not None:
        nics = {host: render.list_nics(view) for host, view in definition.views.items()}
        ports = {host: view.guest_ports for host, view in definition.views.items() if view.guest_ports}
        guests = definition.cluster.guests if definition.cluster is not None else {}
        return Version(_RenderedOnDemand(definition), nics, ports, guests)
    states = [_read_bundle(side.label, folder, files) for folder, files in (side.states or {}).items()]
    return Version({bundle.host: bundle for bundle in states}, {bundle.host: bundle.nics for bundle in states})


@dataclass(frozen=True)
class _RenderedOnDemand(Mapping[str, Bundle]):
    """The bundles of a definition, each rendered when it is needed: 10,000 at once take a quarter of a gigabyte."""

    definition: Definition

    def __getitem__(self, host: str) -> Bundle:
        return self.definition.bundle(host)

    def __iter__(self) -> Iterator[str]:
        return iter(self.definition.views)

    def __len__(self) -> int:
        return len(self.definition.views)


def _read_bundle(label: str, folder: str, files: Folder) -> Bundle:
    try:
        texts = {name: data.decode("utf-8") for name, data in files.items()}
        return bundle_files.read_bundle(texts, pipeline.load_bundle_schemas())
    except (bundle_files.BundleError, UnicodeDecodeError) as error:
        reason = error if isinstance(error, bundle_files.BundleError) else "not UTF-8 text"
        hint = "render the states again: kvmnet render -o DIR"
        raise KvmnetError(f"{label}: the states in {printable(folder)} cannot be compared: {reason}", hint) from None
