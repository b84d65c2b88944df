"""Builds the rescue program as one file: a zip archive that the system's Python runs (`rescue.pyz`).

The archive has the sources of kvmnet/system and kvmnet/rescue, and their byte code for the Python that built it. When a
Python of another version runs it, zipimport uses the sources. The byte code is hash-based and unchecked (PEP 552):
zipimport compares the time stamps of other byte code in local time, so it would ignore it after a change of the time
zone.

Run as a program, this module prints the archive: `python3 -s -S kvmnet/rescue/archive.py`. With PYTHONHASHSEED=0 the
same sources and the same Python give the same bytes. Before 3.11, Python marshals sets in the order of their hashes.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    del sys.path[0]  # this folder: its modules must not shadow those of the standard library

import importlib.util
import io
import marshal
import subprocess
import zipfile
from pathlib import Path
from typing import Optional

if __name__ != "__main__":
    from kvmnet.system.errors import HostError

#: The folders whose modules are in the archive.
PACKAGES = ("kvmnet/system", "kvmnet/rescue")
MAIN = b'''"""kvmnet's rescue program: see kvmnet/rescue/__main__.py in this archive, or run it with --help."""

import sys

from kvmnet.rescue.__main__ import main

sys.exit(main())
'''
#: The first line of the archive. Python ignores what is before the zip data.
SHEBANG = b"#!/usr/bin/python3 -I\n"
#: The time stamp of every member: the earliest that a zip file can have.
_DATE = (1980, 1, 1, 0, 0, 0)
#: PEP 552: the byte code is hash-based, and Python does not check it against the source.
_UNCHECKED_HASH = 0b01


def read_sources(root: Optional[Path] = None) -> dict[str, bytes]:
    """Return the source files of the archive by their names in it, sorted. `root` is the folder that contains kvmnet/.
    Raises OSError."""
    root = root or Path(__file__).resolve().parent.parent.parent
    paths = [path for package in PACKAGES for path in (root / package).glob("*.py")]
    sources = {str(path.relative_to(root)): path.read_bytes() for path in [root / "kvmnet" / "__init__.py", *paths]}
    return dict(sorted({"__main__.py": MAIN, **sources}.items()))


def build(sources: dict[str, bytes]) -> bytes:
    """Return the archive of these sources, with byte code of the Python that runs this."""
    buffer = io.BytesIO(SHEBANG)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, source in sources.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), source)
            archive.writestr(zipfile.ZipInfo(name + "c", _DATE), _byte_code(name, source))
    return buffer.getvalue()


def _byte_code(name: str, source: bytes) -> bytes:
    code = compile(source, name, "exec", dont_inherit=True)
    # Marshalled twice: the bytes of a new code object depend on its reference counts, those of a loaded one do not.
    data = marshal.dumps(marshal.loads(marshal.dumps(code)))
    flags = _UNCHECKED_HASH.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + data


def build_by(python: str) -> bytes:
    """Return the archive with byte code of this Python, a path. Raises HostError when that Python fails."""
    try:
        done = subprocess.run(
            [python, "-s", "-S", __file__],
            capture_output=True,
            check=False,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError(f"{python}: {error}") from error
    if done.returncode != 0:
        raise HostError(f"{python}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def has_sources(program: bytes, sources: dict[str, bytes]) -> bool:
    """Return whether an archive is intact and has exactly these sources."""
    try:
        with zipfile.ZipFile(io.BytesIO(program)) as opened:
            names = {name for name in opened.namelist() if not name.endswith(".pyc")}
            if names != set(sources) or opened.testzip() is not None:
                return False
            return all(opened.read(name) == source for name, source in sources.items())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def extract_sources(archive: str, folder: Path) -> list[str]:
    """Write the source files of an archive to a folder and return their names. `python3 -I FOLDER` runs them. Raises
    OSError or zipfile.BadZipFile."""
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if name.endswith(".py")]
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(opened.read(name))
    return names


def main() -> None:
    """Print the archive."""
    sys.stdout.buffer.write(build(read_sources()))


if __name__ == "__main__":
    main()
