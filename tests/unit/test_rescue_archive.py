"""The rescue program as one file: every Python runs it, and it is built the same each time."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.rescue import BYTE_CODE, SOURCES, archive
from kvmnet.system import programs
from kvmnet.system.errors import HostError
from kvmnet.transaction import safeguards

#: What the rescue program may import beside itself.
STANDARD_LIBRARY = {
    "__future__", "argparse", "base64", "collections", "contextlib", "errno", "fcntl", "importlib", "io", "json",
    "marshal", "os", "pathlib", "re", "shlex", "shutil", "signal", "stat", "subprocess", "sys", "time", "typing",
    "zipfile",
}  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rescue") / "rescue.pyz"
    path.write_bytes(archive.build_by(sys.executable))
    return path


def run(python: str, program: Path, *options: str) -> tuple[int, str, str]:
    command = [python, "-I", str(program), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    return done.returncode, done.stdout, done.stderr


def other_pythons() -> list[str]:
    """The Pythons here, of other versions than this one, that kvmnet supports."""
    names = [f"python3.{minor}" for minor in range(9, 14) if minor != sys.version_info.minor]
    found = [path for name in names if (path := shutil.which(name))]
    return [path for path in found if run(path, Path("/dev/null"))[0] == 0]  # a pyenv shim may have no Python behind it


@pytest.mark.guarantee("G08")
def test_it_needs_the_standard_library_and_itself_alone() -> None:
    for name, source in archive.read_sources().items():
        for node in ast.walk(ast.parse(source)):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                ours = module == "kvmnet" or module.startswith(("kvmnet.system", "kvmnet.rescue"))
                assert ours or module.split(".")[0] in STANDARD_LIBRARY, f"{name} imports {module}"


@pytest.mark.guarantee("G08")
def test_it_runs_where_kvmnet_is_gone_and_finds_nothing_open(program: Path, tmp_path: Path) -> None:
    assert run(sys.executable, program, "--state", str(tmp_path)) == (0, "kvmnet: no transaction is open\n", "")


def test_the_same_sources_and_python_give_the_same_bytes(program: Path) -> None:
    assert archive.build_by(sys.executable) == program.read_bytes()


def test_byte_code_is_used_by_its_own_python_and_the_sources_by_others(program: Path) -> None:
    assert run(sys.executable, program, "--self-test") == (0, f"{BYTE_CODE}\n", "")
    pythons = other_pythons()
    if not pythons:
        pytest.skip("no Python of another version on this machine")
    for python in pythons:
        assert run(python, program, "--self-test") == (0, f"{SOURCES}\n", ""), python


def test_byte_code_does_not_depend_on_the_time_zone(program: Path) -> None:
    with zipfile.ZipFile(program) as opened:
        flags = {opened.read(name)[4:8] for name in opened.namelist() if name.endswith(".pyc")}
    assert flags == {b"\x01\0\0\0"}, "hash-based and unchecked (PEP 552), all of them"


def test_its_sources_can_be_written_to_a_folder_and_run_there(program: Path, tmp_path: Path) -> None:
    code, out, _ = run(sys.executable, program, "--extract", str(tmp_path / "source"))
    assert code == 0 and str(tmp_path / "source") in out
    sources = archive.read_sources()
    assert {str(p.relative_to(tmp_path / "source")) for p in (tmp_path / "source").rglob("*.py")} == set(sources)
    assert all((tmp_path / "source" / name).read_bytes() == source for name, source in sources.items())
    assert run(sys.executable, tmp_path / "source", "--state", str(tmp_path))[:2] == (
        0,
        "kvmnet: no transaction is open\n",
    )


def test_what_cannot_be_extracted_is_an_error(program: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run(sys.executable, program, "--extract", str(tmp_path / "file" / "x"))
    assert code == 1 and f"{tmp_path}/file/x cannot be written" in err


@pytest.mark.parametrize("damage", ["other source", "one more file", "cut off", "a flipped byte", "empty"])
def test_an_archive_that_is_not_ours_is_noticed(program: Path, damage: str) -> None:
    data, sources = program.read_bytes(), archive.read_sources()
    assert archive.holds(data, sources)
    if damage == "other source":
        sources["kvmnet/rescue/undo.py"] += b"\n"
    elif damage == "one more file":
        del sources["kvmnet/rescue/undo.py"]
    elif damage == "cut off":
        data = data[:-1000]
    elif damage == "a flipped byte":
        place = data.index(b"def roll_back")
        data = data[:place] + b"D" + data[place + 1 :]
    else:
        data = b""
    assert not archive.holds(data, sources)


def test_a_program_that_is_current_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building it takes as long as several starts."""
    builds: list[str] = []
    build = archive.build_by
    monkeypatch.setattr(archive, "build_by", lambda python: builds.append(python) or build(python))
    monkeypatch.setattr(safeguards, "SYSTEM_PYTHON", sys.executable)
    first = safeguards.try_rescue_program(tmp_path)
    assert len(builds) == 1 and not list(tmp_path.iterdir()), "nothing is written before the plan is accepted"
    (tmp_path / "rescue.pyz").write_bytes(first)
    assert safeguards.try_rescue_program(tmp_path) == first
    assert len(builds) == 1
    (tmp_path / "rescue.pyz").write_bytes(first[:-10])
    assert safeguards.try_rescue_program(tmp_path) == first
    assert len(builds) == 2


def test_byte_code_of_another_python_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of the system's Python."""
    data = archive.build_by(sys.executable)
    with zipfile.ZipFile(tmp_path / "rescue.pyz", "w") as target:
        for name, source in archive.read_sources().items():
            target.writestr(name, source)
    monkeypatch.setattr(safeguards, "SYSTEM_PYTHON", sys.executable)
    assert safeguards.try_rescue_program(tmp_path) == data


@pytest.mark.parametrize("python", ["/nonexistent/python3", "/bin/false"])
def test_a_python_that_does_not_build_it_is_an_error(python: str) -> None:
    with pytest.raises(HostError, match=python):
        archive.build_by(python)


def test_a_program_that_does_not_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise HostError("python3: too old")

    monkeypatch.setattr(programs, "run", fail)
    with pytest.raises(Refused, match="the rescue program does not run on this host: python3: too old"):
        safeguards.try_rescue_program(tmp_path)
