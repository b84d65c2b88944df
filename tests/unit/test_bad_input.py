"""The whole program on what is no definition: one clear line, exit 1, soon, in little memory.

A file without read permission is simulated in test_definition_files.py, since root may read everything.
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

#: Megabytes and seconds: a start takes 30 MB and 0.3 s, the rest is for a machine that is busy.
MEMORY, SECONDS = 400, 30


def binary(path: Path) -> None:
    path.write_bytes(Path(sys.executable).resolve().read_bytes()[:4_000_000])


def large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.write(b"kvmnet: 1\n")
        stream.truncate(200 * 1024 * 1024)


def one_long_text(path: Path) -> None:
    path.write_text("cluster: '" + "x" * 8_000_000 + "'\n", encoding="utf-8")


def bomb(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines), encoding="utf-8")


def nested(path: Path) -> None:
    path.write_text("[" * 8_000_000, encoding="utf-8")


def loop(path: Path) -> None:
    path.symlink_to(path)


def folder_in_itself(path: Path) -> None:
    path.mkdir()
    (path / "again.yaml").symlink_to(path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def empty(path: Path) -> None:
    path.touch()


def nothing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (binary, "KVN002"),
        (large, "KVN001"),
        (one_long_text, ""),
        (bomb, "KVN004"),
        (nested, "KVN00"),
        (loop, "KVN001"),
        (folder_in_itself, "KVN001"),
        (fifo, "KVN001"),
        (empty, "KVN002"),
        (nothing, "KVN001"),
    ],
)
def test_one_clear_line(tmp_path: Path, make: Callable[[Path], None], code: str) -> None:
    make(tmp_path / "f.yaml")
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        command = [sys.executable, "-m", "kvmnet", "validate", "f.yaml"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=err, env=environment())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said, also = out.read().decode(), err.read().decode()
    assert process.returncode == 1, also
    lines = [line for line in said.splitlines() if line.startswith("f.yaml")]
    if code:
        assert len(lines) == 1 and f" {code}" in lines[0], said[:2000]
    assert "Traceback" not in also and "a bug" not in also, also
    assert max(len(line) for line in said.splitlines()) < 200
    assert usage.ru_maxrss / 1024 < MEMORY
    assert time.monotonic() - begin < SECONDS


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
