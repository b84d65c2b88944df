"""The commands of docs/tutorial that need no host, run as they are written; tests/lab/test_tutorial.py runs all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvmnet.core.live.running_guests import Running
from kvmnet.from_host.result import define_host
from tests.tutorial_commands import commands
from tests.unit.core.samples import before

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorial"
#: Commands that need a host.
NEEDS_HOST = re.compile(r"kvmnet (doctor|plan|apply|status|remove|init|history)\b|ip |nmcli |firewall-cmd ")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like /root of the lab's host, and a program kvmnet on the path."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "kvmnet"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m kvmnet "$@"\n')
    program.chmod(0o755)
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def run(folder: Path, line: str) -> str:
    path = f"{folder.parent / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def run_page(folder: Path, name: str) -> str:
    """Run the commands of a page on its host, but those that need one, and return their output."""
    page = (TUTORIALS / name).read_text(encoding="utf-8")
    lines = [c.line for c in commands(page) if c.on_host and not NEEDS_HOST.match(c.line)]
    assert lines
    return "".join(run(folder, line) for line in lines)


def test_a_rocks_cluster(folder: Path) -> None:
    for table in (TUTORIALS / "tables").iterdir():
        shutil.copy(table, folder)
    output = run_page(folder, "rocks.md")
    assert re.findall(r"^exit code (\d+)$", output, re.M) == ["1", "0"]
    assert "interfaces.txt:9: '10.5.0.999' is not an IP address" in output
    assert "no problem in 3 hosts" in output and "<source bridge='eth0'/>" in output


def test_a_host_that_runs_already(folder: Path) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "cluster.yaml").write_text(define_host(before(), Running(), "plain", None).text)
    output = run_page(folder, "first-host.md")
    text = (folder / "site" / "cluster.yaml").read_text()
    assert output.count("no problem in 1 host") == 2
    assert "  servers: {" in text and "eth0.5: {network: storage, addresses: [10.5.0.10]}" in text
