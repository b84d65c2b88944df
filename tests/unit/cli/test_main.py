"""Tests of the program: exit codes, --help, what it imports at its start, what happens with a bug."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvmnet import __version__
from kvmnet.cli import exit_codes
from kvmnet.cli import main as program
from tests.unit.cli.samples import BAD, EXAMPLE, ROOT, run


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 2),
        (["validate", "--nonsense"], 2),
        (["validate", EXAMPLE, "--format", "xml"], 2),
        (["render", EXAMPLE, "--check"], 2),
        (["render", EXAMPLE, "--host", "vm-container-0-9"], 2),
        (["render", BAD], 1),
        (["validate", "/nonexistent"], 1),
        (["--version"], 0),
        (["--help"], 0),
    ],
)
def test_exit_codes(arguments: list[str], code: int, capfdbinary: Any) -> None:
    assert run(*arguments) == code
    assert b"Traceback" not in b"".join(capfdbinary.readouterr())


def test_help_lists_every_exit_code(capfdbinary: Any) -> None:
    run("--help")
    output = capfdbinary.readouterr()[0].decode()
    for code, meaning in exit_codes.MEANINGS.items():
        assert f"    {code}  {meaning}\n" in output
    assert list(exit_codes.MEANINGS) == list(range(7))


@pytest.mark.parametrize("name", program.COMMANDS)
def test_a_command_imports_only_its_own_module(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    real = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda module: imported.append(module) or real(module))
    program.register_commands([name, "--help"])
    assert imported == [program.COMMANDS[name]]
    program.register_commands()
    assert imported[1:] == list(program.COMMANDS.values())


def test_a_bug_is_one_message_and_a_log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    from kvmnet import pipeline

    def broken(*_: Any) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(pipeline, "load", broken)
    assert run("validate", EXAMPLE) == 1
    err = capfdbinary.readouterr()[1].decode()
    assert "Traceback" not in err and "RuntimeError: oh" in err
    (log,) = tmp_path.glob("kvmnet-*.log")
    assert str(log) in err and "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_the_start_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = "{'yaml', 'jsonschema', 'rich', 'jeepney', 'kvmnet.pipeline'}"
    script = (
        f"import sys; from kvmnet.cli.main import main; main({arguments}); print(sorted({heavy} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert process.stdout.endswith("[]\n"), process.stdout


def test_it_runs_as_a_module_and_in_a_closed_pipe() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "kvmnet", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert process.stdout == f"kvmnet {__version__}\n"
    script = f"{sys.executable} -m kvmnet explain | true; {sys.executable} -m kvmnet render {EXAMPLE} | head -n 1"
    process = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert process.stderr == ""


@pytest.mark.guarantee("G48")
def test_the_bytes_are_the_same_in_the_c_locale() -> None:
    env = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PATH": "/usr/bin:/bin"}
    process = subprocess.run(
        [sys.executable, "-m", "kvmnet", "render", EXAMPLE], capture_output=True, check=True, cwd=ROOT, env=env
    )
    golden = ROOT / "tests/golden/good/example-rocks/expected/vm-container-0-0/nmstate.yml"
    assert process.stdout == golden.read_bytes()
