"""`kvmnet validate` with files that are not definitions: one line, exit code 1, limited time and memory.

Unreadable files are tested in test_definition_files.py, because root can read every file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

import pytest

#: Limits in megabytes and seconds. A start needs 30 MB and 0.3 s; the rest is for a busy machine.
MEMORY, SECONDS = 400, 30


def binary(path: Path) -> None:
    path.write_bytes(Path(sys.executable).resolve().read_bytes()[:4_000_000])


def large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.write(b"kvmnet: 1\n")
        stream.truncate(200 * 1024 * 1024)


def long_string(path: Path) -> None:
    path.write_text("cluster: '" + "x" * 8_000_000 + "'\n", encoding="utf-8")


def nested_aliases(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines), encoding="utf-8")


def nested(path: Path) -> None:
    path.write_text("[" * 8_000_000, encoding="utf-8")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def folder_that_contains_itself(path: Path) -> None:
    path.mkdir()
    (path / "again.yaml").symlink_to(path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def empty(path: Path) -> None:
    path.touch()


def missing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (binary, "KVN002"),
        (large, "KVN001"),
        (long_string, ""),
        (nested_aliases, "KVN004"),
        (nested, "KVN00"),
        (link_to_itself, "KVN001"),
        (folder_that_contains_itself, "KVN001"),
        (fifo, "KVN001"),
        (empty, "KVN002"),
        (missing, "KVN001"),
    ],
)
def test_an_invalid_file_is_reported_in_one_line(tmp_path: Path, make: Callable[[Path], None], code: str) -> None:
    make(tmp_path / "f.yaml")
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        command = [sys.executable, "-m", "kvmnet", "validate", "f.yaml"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=err, env=environment())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, errors = out.read().decode(), err.read().decode()
    assert process.returncode == 1, errors
    lines = [line for line in output.splitlines() if line.startswith("f.yaml")]
    if code:
        assert len(lines) == 1 and f" {code}" in lines[0], output[:2000]
    assert "Traceback" not in errors and "a bug" not in errors, errors
    assert max(len(line) for line in output.splitlines()) < 200
    assert usage.ru_maxrss / 1024 < MEMORY
    assert time.monotonic() - begin < SECONDS


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
