"""Build a release and try it: `make release`, or `python -m tools.release [--trial]`.

Checks that the version of kvmnet/__init__.py has an entry in CHANGELOG.md and that everything is committed, builds the
sdist and, from the sdist, the wheel, installs the wheel in an empty virtual environment, runs the installed kvmnet,
moves both files to dist/ and prints their checksums. Tags and uploads nothing.

It builds twice and compares: of two builds of one commit the files have the same bytes, because their time stamps are
the commit's.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"


class ReleaseError(Exception):
    """The release cannot be made; the message contains the cause and the resolution."""


class Entry(NamedTuple):
    """The heading of an entry of the changelog: `## [0.1.0] - 2026-01-31`."""

    line: int
    name: str
    date: str


def main() -> int:
    """Make a release; returns 0, or 1 after printing what is wrong."""
    parser = argparse.ArgumentParser(prog="release", description="Build a release and try it.")
    parser.add_argument(
        "--trial", action="store_true", help="build and try without checking the changelog and uncommitted changes"
    )
    trial = parser.parse_args().trial
    try:
        release(trial)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def release(trial: bool) -> None:
    """Build, try and move to dist/; a trial leaves dist/ alone and accepts an unfinished changelog."""
    version = version_in((ROOT / "kvmnet/__init__.py").read_text(encoding="utf-8"))
    if not trial:
        check_changelog(version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
        check_committed(git("status", "--porcelain"))
    with tempfile.TemporaryDirectory(prefix="kvmnet-release-") as folder:
        built = build(version, Path(folder) / "dist")
        check_same_bytes(built, build(version, Path(folder) / "again"))
        try_wheel(version, built[-1], Path(folder))
        if not trial:
            DIST.mkdir(exist_ok=True)
            built = [Path(shutil.move(str(path), str(DIST / path.name))) for path in built]
        print("\n".join(checksums(built)))
    print(f"release: kvmnet {version} works" + ("; trial: nothing was kept" if trial else "; see dist/"))


def version_in(source: str) -> str:
    """The version in the text of kvmnet/__init__.py."""
    match = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if not match:
        raise ReleaseError('kvmnet/__init__.py has no line `__version__ = "…"`; add it')
    return match[1]


def entries(changelog: str) -> Iterator[Entry]:
    """The headings of the changelog's entries, newest first."""
    for number, line in enumerate(changelog.splitlines(), 1):
        match = re.fullmatch(r"## \[([^]]+)](?: - (.*))?", line.rstrip())
        if match:
            yield Entry(number, match[1], match[2] or "")


def check_changelog(version: str, changelog: str) -> None:
    """Raise ReleaseError unless the newest entry of the changelog is that of the version and has a date."""
    newest = next(entries(changelog), None)
    heading = f"## [{version}] - YYYY-MM-DD"
    if newest is None:
        raise ReleaseError(f"CHANGELOG.md has no entry; add one with the heading `{heading}`")
    where = f"CHANGELOG.md:{newest.line}"
    if newest.name != version:
        raise ReleaseError(
            f"{where}: the newest entry is [{newest.name}], but kvmnet/__init__.py has version {version}; "
            f"change the heading to `{heading}`, or the version"
        )
    if not is_date(newest.date):
        raise ReleaseError(f"{where}: entry [{version}] has no date; change the heading to `{heading}`")


def is_date(text: str) -> bool:
    """Whether the text is a date of the calendar, as in 2026-01-31."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def check_committed(status: str) -> None:
    """Raise ReleaseError if `git status --porcelain` printed anything."""
    if status:
        raise ReleaseError(f"changes that are not committed; commit or delete them:\n{status.rstrip()}")


def build(version: str, folder: Path) -> list[Path]:
    """The sdist and the wheel, in this order, built in the folder."""
    print("release: building sdist and wheel (about 20 s)", flush=True)
    stamp = git("log", "-1", "--format=%ct").strip()
    call([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], {"SOURCE_DATE_EPOCH": stamp})
    built = [folder / f"kvmnet-{version}.tar.gz", folder / f"kvmnet-{version}-py3-none-any.whl"]
    missing = [path.name for path in built if not path.exists()]
    if missing:
        raise ReleaseError(f"the build did not write {' and '.join(missing)}; see the output of `python -m build`")
    return built


def check_same_bytes(first: Iterable[Path], second: Iterable[Path]) -> None:
    """Raise ReleaseError unless each file of the first build has the same bytes in the second."""
    different = [a.name for a, b in zip(first, second) if a.read_bytes() != b.read_bytes()]
    if different:
        raise ReleaseError(
            f"two builds of one commit differ: {' and '.join(different)}; compare their members with "
            "`python -m zipfile -l` and `tar tvf`, and remove what depends on the time or the machine"
        )


def try_wheel(version: str, wheel: Path, folder: Path) -> None:
    """Install the wheel in an empty virtual environment in the folder, and run kvmnet from there."""
    print("release: installing the wheel in an empty virtual environment (about 20 s)", flush=True)
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv/bin"
    call([str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)])
    kvmnet = str(programs / "kvmnet")
    printed = call([kvmnet, "--version"], folder=folder).split()
    if version not in printed:
        raise ReleaseError(f"`kvmnet --version` of the wheel prints {' '.join(printed)!r} instead of {version}")
    for arguments in (["validate", str(ROOT / "examples/rocks")], ["explain"]):
        print(f"release: kvmnet {' '.join(arguments)}", flush=True)
        call([kvmnet, *arguments], folder=folder)


def checksums(files: Iterable[Path]) -> list[str]:
    """SHA-256 of each file, in the form that `sha256sum --check` reads."""
    return [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]


def git(*arguments: str) -> str:
    """What git prints about this tree."""
    return call(["git", "-C", str(ROOT), *arguments])


def call(command: list[str], variables: Optional[Mapping[str, str]] = None, folder: Path = ROOT) -> str:
    """Run a command in the folder, with additional environment variables, and return its output.

    Raises ReleaseError if it fails.

    PYTHONPATH is left out of the environment: the installed kvmnet is to be tried, not that of the tree.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, cwd=folder, env={**environment, **(variables or {})}, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise ReleaseError(f"cannot run {command[0]}: {error.strerror}; install it") from error
    if done.returncode:
        raise ReleaseError(
            f"`{' '.join(command)}` failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}".rstrip()
        )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
