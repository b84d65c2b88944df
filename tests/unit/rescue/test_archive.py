"""The rescue program as one file: each supported Python runs it, and each build gives the same bytes."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kvmnet.rescue import BYTE_CODE, SOURCES, archive
from kvmnet.system import files
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal

#: The modules that the rescue program may import besides its own.
STANDARD_LIBRARY = {
    "__future__", "argparse", "base64", "binascii", "collections", "contextlib", "errno", "fcntl", "importlib", "io",
    "ipaddress", "json", "marshal", "os", "pathlib", "re", "shlex", "shutil", "signal", "socket", "stat", "struct",
    "subprocess", "sys", "time", "typing", "zipfile",
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


def supported_pythons() -> dict[str, str]:
    """The Pythons of this machine that kvmnet supports, on PATH and of pyenv: version -> path."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += sorted(Path.home().glob(".pyenv/versions/*/bin"))
    pythons: dict[str, str] = {}
    for name in (f"python3.{minor}" for minor in range(9, 14)):
        for path in (folder / name for folder in folders):
            # a shim of pyenv may have no Python behind it
            if name not in pythons and path.exists() and run(str(path), Path("/dev/null"))[0] == 0:
                pythons[name] = str(path)
    return pythons


PYTHONS = supported_pythons()
OTHER_PYTHONS = {name: path for name, path in PYTHONS.items() if name != f"python3.{sys.version_info.minor}"}


@pytest.mark.guarantee("G08")
def test_it_imports_only_the_standard_library_and_itself() -> None:
    for name, source in archive.read_sources().items():
        for node in ast.walk(ast.parse(source)):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                is_own = module == "kvmnet" or module.startswith(("kvmnet.system", "kvmnet.rescue"))
                assert is_own or module.split(".")[0] in STANDARD_LIBRARY, f"{name} imports {module}"


@pytest.mark.guarantee("G08")
def test_it_runs_without_kvmnet(program: Path, tmp_path: Path) -> None:
    assert run(sys.executable, program, "--state", str(tmp_path)) == (0, "kvmnet: no transaction is open\n", "")


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_the_same_sources_and_python_give_the_same_bytes(tmp_path: Path, python: str) -> None:
    program = archive.build_by(python)
    assert archive.build_by(python) == program
    assert archive.has_sources(program, archive.read_sources())
    (tmp_path / "rescue.pyz").write_bytes(program)
    assert run(python, tmp_path / "rescue.pyz", "--self-test") == (0, f"{BYTE_CODE}\n", "")


def test_byte_code_is_used_by_its_own_python_and_the_sources_by_others(program: Path) -> None:
    assert run(sys.executable, program, "--self-test") == (0, f"{BYTE_CODE}\n", "")
    if not OTHER_PYTHONS:
        pytest.skip("no Python of another version on this machine")
    for name, python in OTHER_PYTHONS.items():
        assert run(python, program, "--self-test") == (0, f"{SOURCES}\n", ""), name


#: Runs a program as root would, with these options.
AS_ROOT = (
    "import os, runpy, sys; os.geteuid = lambda: 0; del sys.argv[0]; runpy.run_path(sys.argv[0], None, '__main__')"
)


@pytest.mark.guarantee("G08")
@pytest.mark.parametrize("extracted", [False, True])
@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_status_and_accept_work_from_the_archive_and_from_the_extracted_folder(
    program: Path, tmp_path: Path, python: str, extracted: bool
) -> None:
    state, started = tmp_path / "state", program
    if extracted:
        started = tmp_path / "source"
        assert run(python, program, "--extract", str(started))[0] == 0
    transaction = {"id": "T", "steps": []}
    files.write_file(str(state / "open" / "transaction.json"), json.dumps(transaction).encode())
    journal = Journal(state / "open")
    journal.append("begin")

    def run_as_root(*options: str) -> tuple[int, str, str]:
        command = [python, "-I", "-c", AS_ROOT, str(started), "--state", str(state), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        return done.returncode, done.stdout, done.stderr

    code, out, err = run(python, started, "--state", str(state), "--status")
    assert (code, [json.loads(line)["event"] for line in out.splitlines()], err) == (0, ["begin"], "")
    message = "kvmnet: the transaction is not rolled back yet: run this command without --accept first\n"
    assert run_as_root("--accept") == (1, "", message)
    journal.append("not-verified", differences=["x"])
    assert run_as_root("--accept") == (0, "kvmnet: transaction closed; the host is left as it is\n", "")
    assert not (state / "open").exists()
    end = Journal(state / "history" / "T").events()[-1]
    assert (end["event"], end["verified"], end["accepted"]) == ("end", False, True)


def test_byte_code_does_not_depend_on_the_time_zone(program: Path) -> None:
    with zipfile.ZipFile(program) as opened:
        flags = {opened.read(name)[4:8] for name in opened.namelist() if name.endswith(".pyc")}
    assert flags == {b"\x01\0\0\0"}, "hash-based and unchecked (PEP 552), all of them"


def test_the_archive_does_not_depend_on_the_time_of_its_build(program: Path) -> None:
    with zipfile.ZipFile(program) as opened:
        assert {member.date_time for member in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}


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


def test_a_folder_that_cannot_be_written_is_an_error(program: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run(sys.executable, program, "--extract", str(tmp_path / "file" / "x"))
    assert code == 1 and f"{tmp_path}/file/x cannot be written" in err


@pytest.mark.parametrize("damage", ["other source", "one more file", "cut off", "a flipped byte", "empty"])
def test_another_or_corrupt_archive_is_recognized(program: Path, damage: str) -> None:
    data, sources = program.read_bytes(), archive.read_sources()
    assert archive.has_sources(data, sources)
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
    assert not archive.has_sources(data, sources)


@pytest.mark.parametrize("python", ["/nonexistent/python3", "/bin/false"])
def test_a_python_that_cannot_build_it_is_an_error(python: str) -> None:
    with pytest.raises(HostError, match=python):
        archive.build_by(python)


def test_modules_beside_it_do_not_shadow_the_standard_library_when_it_is_run(tmp_path: Path) -> None:
    """As a program it has its own folder first on the path."""
    for name, source in archive.read_sources().items():
        files.write_file(str(tmp_path / name), source)
    (tmp_path / "kvmnet/rescue/zipfile.py").write_text("raise RuntimeError('shadowed')\n")
    command = [sys.executable, "-s", "-S", str(tmp_path / "kvmnet/rescue/archive.py")]
    done = subprocess.run(command, capture_output=True, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (0, b"")
    assert archive.has_sources(done.stdout, archive.read_sources(tmp_path))


def test_the_import_of_the_module_leaves_the_path_as_it_is() -> None:
    script = "import sys; before = list(sys.path); import kvmnet.rescue.archive; print(sys.path == before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
