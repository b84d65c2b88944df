"""A git repository made by `kvmnet init`, with the real git and pre-commit."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.samples import ROOT

NEEDS_PROGRAMS = pytest.mark.skipif(
    shutil.which("git") is None or importlib.util.find_spec("pre_commit") is None,
    reason="git or pre-commit is missing: only the development environment has pre-commit",
)


class Repository:
    """A git repository made by `kvmnet init`, with commands that find this kvmnet and a home of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder.parent / "bin"
        programs.mkdir()
        program = programs / "kvmnet"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m kvmnet "$@"\n')
        program.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder.parent),
            "PRE_COMMIT_HOME": str(folder.parent / "pre-commit"),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
        }  # fmt: skip
        self.run("git", "init", "-q")
        self.run("git", "add", "-A")

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command in the repository and return its output; it must end with this exit code."""
        result = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    def edit(self, old: str, new: str) -> None:
        """Change the definition and stage it."""
        path = self.folder / "cluster.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        self.run("git", "add", "-A")
