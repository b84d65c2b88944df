"""What `make release` checks before and after it builds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kvmnet
from tools import release
from tools.release import Entry, ReleaseError

CHANGELOG = """\
# Changelog
Text with [a link](https://example.org).

## [0.2.0] - 2026-12-01
### Added
- Something.

## [0.1.0] - 2026-11-01
"""
HEADING = "change the heading to `## [0.1.0] - YYYY-MM-DD`"
OTHER = f"but kvmnet/__init__.py has version 0.1.0; {HEADING}, or the version"


def test_the_version_is_that_of_the_package() -> None:
    assert release.version_in((release.ROOT / "kvmnet/__init__.py").read_text()) == kvmnet.__version__


def test_a_package_without_a_version_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"kvmnet/__init__\.py has no line `__version__ = "):
        release.version_in('"""A docstring that mentions __version__ = "1"."""\n')


def test_entries_are_the_headings_of_versions() -> None:
    assert list(release.entries(CHANGELOG)) == [Entry(4, "0.2.0", "2026-12-01"), Entry(8, "0.1.0", "2026-11-01")]
    assert list(release.entries("## [Unreleased]\n## Text\n### [0.1.0]\n")) == [Entry(1, "Unreleased", "")]


def test_the_newest_entry_is_that_of_the_version() -> None:
    release.check_changelog("0.2.0", CHANGELOG)


@pytest.mark.parametrize(
    ("version", "changelog", "message"),
    [
        ("0.1.0", "# Changelog\n", "CHANGELOG.md has no entry; add one with the heading `## [0.1.0] - YYYY-MM-DD`"),
        ("0.1.0", "## [Unreleased]\n" + CHANGELOG, f"CHANGELOG.md:1: the newest entry is [Unreleased], {OTHER}"),
        ("0.1.0", CHANGELOG, f"CHANGELOG.md:4: the newest entry is [0.2.0], {OTHER}"),
        ("0.1.0", "## [0.1.0] - soon\n", f"CHANGELOG.md:1: entry [0.1.0] has no date; {HEADING}"),
    ],
)
def test_a_changelog_that_disagrees_is_refused(version: str, changelog: str, message: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        release.check_changelog(version, changelog)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "answer"),
    [("2026-02-28", True), ("2026-02-29", False), ("20260228", False), ("2026-2-28", False), ("", False)],
)
def test_a_date_is_one_of_the_calendar(text: str, answer: bool) -> None:
    assert release.is_date(text) is answer


def test_uncommitted_changes_are_refused_and_listed() -> None:
    release.check_committed("")
    with pytest.raises(ReleaseError, match=r"commit or delete them:\n M README\.md\n\?\? notes$"):
        release.check_committed(" M README.md\n?? notes\n")


def test_checksums_can_be_checked_by_sha256sum(tmp_path: Path) -> None:
    files = [tmp_path / "a.tar.gz", tmp_path / "b.whl"]
    for file in files:
        file.write_text(file.name)
    text = "\n".join(release.checksums(files))
    printed = subprocess.check_output(["sha256sum", "--check"], cwd=tmp_path, input=text, text=True)
    assert printed == "a.tar.gz: OK\nb.whl: OK\n"


def test_a_command_that_fails_is_named_with_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('one'); sys.exit('two')"]
    with pytest.raises(ReleaseError) as caught:
        release.call(command, folder=tmp_path)
    assert str(caught.value) == f"`{' '.join(command)}` failed with exit code 1:\none\ntwo"
    with pytest.raises(ReleaseError, match="cannot run /nowhere/git: No such file or directory; install it"):
        release.call(["/nowhere/git"])


def test_the_installed_kvmnet_is_tried_not_that_of_the_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(release.ROOT))
    code = "import os; print(os.environ.get('PYTHONPATH'), os.environ['A'], os.getcwd())"
    assert release.call([sys.executable, "-c", code], {"A": "b"}, tmp_path) == f"None b {tmp_path}\n"


def test_a_build_with_unexpected_files_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(release, "call", lambda *_, **__: "")
    (tmp_path / "kvmnet-0.1.0.tar.gz").touch()
    with pytest.raises(ReleaseError, match=r"the build did not write kvmnet-0\.1\.0-py3-none-any\.whl; see"):
        release.build("0.1.0", tmp_path)


def test_two_builds_that_differ_are_refused(tmp_path: Path) -> None:
    first, second = ([tmp_path / folder / name for name in ("a.whl", "b.tar.gz")] for folder in ("1", "2"))
    for path in (*first, *second):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"the same")
    release.check_same_bytes(first, second)
    second[1].write_bytes(b"another")
    with pytest.raises(release.ReleaseError, match=r"differ: b\.tar\.gz;"):
        release.check_same_bytes(first, second)


def test_a_wheel_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("venv.create", lambda *_, **__: None)
    monkeypatch.setattr(release, "call", lambda *_, **__: "kvmnet 0.0.9\n")
    with pytest.raises(
        ReleaseError, match=r"`kvmnet --version` of the wheel prints 'kvmnet 0\.0\.9' instead of 0\.1\.0"
    ):
        release.try_wheel("0.1.0", tmp_path / "a.whl", tmp_path)


def test_an_error_is_printed_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(trial: bool) -> None:
        raise ReleaseError(f"no release (trial: {trial})")

    monkeypatch.setattr(release, "release", refuse)
    monkeypatch.setattr("sys.argv", ["release", "--trial"])
    assert (release.main(), capsys.readouterr().err) == (1, "release: no release (trial: True)\n")
