"""The archive that goes to the host: the bundle, and kvmnet itself where it is brought along."""

from __future__ import annotations

import importlib.metadata
import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import kvmnet
from kvmnet import resources

#: Compiled for this machine's Python, so of no use on the host. PyYAML has the same in Python; jsonschema's is needed
#: only to explain why a file is wrong, and the bundle was just rendered.
_COMPILED = (".so", ".pyd", ".pyc", ".pth")


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a compressed archive of these files: the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6, format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def bundle_files(texts: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of a bundle by their names in the archive."""
    return {f"bundle/{name.rpartition('/')[2]}": text.encode() for name, text in texts.items()}


#: The distributions that kvmnet needs, as pyproject.toml lists them: kvmnet has no metadata when it runs from a source
#: tree.
DEPENDENCIES = ("pyyaml", "jsonschema", "typer", "jeepney")


def program_files() -> dict[str, bytes]:
    """Return the files of kvmnet and of what it needs, as they are installed here, by their names in the archive."""
    package = Path(kvmnet.__file__).parent
    files = {f"packages/kvmnet/{path.relative_to(package)}": path.read_bytes() for path in _sources(package)}
    files.update({f"packages/kvmnet/{name}": data for name, data in resources.read_data_files().items()})
    for distribution in _needed_distributions():
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file)))
            if file.suffix not in _COMPILED and ".." not in file.parts and path.is_file():
                files[f"packages/{file}"] = path.read_bytes()
    return files


def _sources(package: Path) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix not in _COMPILED:
            yield path


def _needed_distributions() -> Iterator[importlib.metadata.Distribution]:
    """Yield the installed distributions that kvmnet needs, directly or not."""
    seen, waiting = {"kvmnet"}, list(DEPENDENCIES)
    while waiting:
        requirement = waiting.pop()
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if re.search(r"\bextra\s*==", requirement) or name.lower() in seen:
            continue
        seen.add(name.lower())
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # for another Python or system
            continue
        waiting += distribution.requires or ()
        yield distribution
