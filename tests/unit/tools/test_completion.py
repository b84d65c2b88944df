"""The completion files in real shells: each line is completed by the shell's own machinery."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvmnet.core import catalogue
from tools import completion, reference

DEFINITION = reference.ROOT / "examples/rocks/cluster.yaml"
SHELLS = ("bash", "zsh", "fish")
CASES = [
    ("explain KVN1", {code.code for code in catalogue.all_codes() if code.code.startswith("KVN1")}),
    ("guest xml ", {"compute-0-0-0", "hosted-vm-0-0-0"}),
    ("apply --host ", {"vm-container-0-0"}),
    ("apply --yes --timeout 60 --host vm", {"vm-container-0-0"}),
    ("guest can-move compute-0-0-0 ", {"vm-container-0-0"}),
    ("allocate ip ", {"private", "tenant-a"}),
    ("plan --format ", {"text", "json", "markdown"}),
    ("guest ", {"xml", "list", "can-move"}),
    ("re", {"render", "remote", "remove"}),
    ("status --e", {"--exit-code"}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the completion files, a definition, and a program kvmnet of this tree in bin/."""
    folder = tmp_path_factory.mktemp("completion")
    assert completion.main([str(folder)]) == 0
    shutil.copy(DEFINITION, folder / "cluster.yaml")
    program = folder / "bin/kvmnet"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={reference.ROOT} exec {sys.executable} -m kvmnet "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(("line", "expected"), CASES)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes(shell: str, line: str, expected: set[str], folder: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert complete(shell, f"kvmnet {line}", folder) == expected


def complete(shell: str, line: str, folder: Path) -> set[str]:
    """Return what the shell offers for the line."""
    if shell == "fish":
        script = f"source fish/kvmnet.fish; complete -C '{line}'"
        printed = subprocess.run(
            ["fish", "--no-config", "-c", script], cwd=folder, env=_variables(folder), capture_output=True, check=True
        )
        assert not printed.stderr
        return {row.split("\t")[0] for row in printed.stdout.decode().splitlines()}
    typed_before = len(line.split()) - (0 if line.endswith(" ") else 1)
    return set(_insert_all(shell, line, folder)[typed_before:])


def _variables(folder: Path) -> dict[str, str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8"}


_SETUP = {
    "bash": "source bash/kvmnet; bind '\"\\C-xa\": insert-completions'",
    "zsh": "fpath=($PWD/zsh $fpath); autoload -Uz compinit; compinit -u -D; zle -C all complete-word _generic; "
    "bindkey -e; bindkey '^Xa' all; zstyle ':completion:all::::' completer _all_matches _complete; "
    "zstyle ':completion:all:*' insert true",
}
_START = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


def _insert_all(shell: str, line: str, folder: Path) -> list[str]:
    """Return the words of the line after an interactive shell has inserted all completions at its end.

    The line is then made the arguments of a command that writes them to a file, so nothing is read from the screen.
    """
    ready, result = folder / "ready", folder / "result"
    for file in (ready, result):
        file.unlink(missing_ok=True)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(_START[shell][0], _START[shell], _variables(folder))
    try:
        os.write(terminal, f"{_SETUP[shell]}; : > ready\n".encode())
        _wait_for(ready, terminal)
        os.write(terminal, f"{line}\x18a".encode())
        os.write(terminal, b"\x05 > new; mv new result\x01printf '%s\\n' \r")
        _wait_for(result, terminal)
        return result.read_text().split()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def _wait_for(file: Path, terminal: int) -> None:
    """Read what the shell prints until the file exists; fail with it after 60 seconds."""
    printed, end = b"", time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < end, printed.decode(errors="replace")
        if select.select([terminal], [], [], 0.05)[0]:
            printed += os.read(terminal, 4096)
