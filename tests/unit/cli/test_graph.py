"""Tests of `kvmnet graph`."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.graph_samples import large_cluster
from tests.unit.cli.samples import BAD, ROOT, run
from tests.unit.core.review.samples import CLUSTER
from tests.unit.test_git_files import git


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a definition, and a change of it that is not committed."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.svg", "<?xml"),
        ("a.SVG", "<?xml"),
        ("a.html", "<!DOCTYPE html>"),
        ("a.htm", "<!DOCTYPE html>"),
        ("a.mmd", "flowchart LR"),
        ("a.mermaid", "flowchart LR"),
    ],
)
def test_the_ending_selects_the_format(site: Path, capfd: Any, name: str, start: str) -> None:
    assert run("graph", "-o", name) == 0
    assert (site / name).read_text(encoding="utf-8").startswith(start)
    assert capfd.readouterr().out == (
        f"{name} written: 2 hosts, 1 guest. "
        "Hosts of the same shape share a picture: only addresses and guests differ.\n"
    )


def test_stdout_is_svg_or_the_format_that_is_given(site: Path, capfdbinary: Any) -> None:
    assert run("graph", "-o", "-") == 0
    root = ET.fromstring(capfdbinary.readouterr()[0])
    assert root.tag.endswith("svg")
    assert run("graph", "-o", "-", "--format", "mermaid") == 0
    assert capfdbinary.readouterr()[0].startswith(b"flowchart LR\n")
    assert run("graph", "--format", "html", "-o", "picture.txt") == 0
    assert (site / "picture.txt").read_bytes().startswith(b"<!DOCTYPE html>")


def test_one_host(site: Path, capfdbinary: Any) -> None:
    assert run("graph", "--host", "b", "-o", "-", "--format", "mermaid") == 0
    output = capfdbinary.readouterr()[0].decode()
    assert "10.1.0.11/16" in output and "10.1.0.10/16" not in output
    assert run("graph", "--host", "bb", "-o", "-") == 2
    assert "the definition has no host 'bb'" in capfdbinary.readouterr()[1].decode()


def test_a_change(site: Path, capfdbinary: Any) -> None:
    assert run("graph", "--diff", "HEAD", "-o", "-", "--format", "mermaid") == 0
    assert "No host changes." in capfdbinary.readouterr()[0].decode()
    (site / "cluster.yaml").write_text(
        CLUSTER.replace("storage: {", "storage: {mtu: 9000, ").replace("vlan: 100", "vlan: 101")
    )
    (site / "old.yaml").write_text(CLUSTER)
    outputs = []
    for arguments in (("--diff", "HEAD"), ("--diff", "old.yaml"), ("cluster.yaml", "--diff", "HEAD")):
        assert run("graph", *arguments, "-o", "-", "--format", "mermaid") == 0
        outputs.append(capfdbinary.readouterr()[0].decode())
    assert len(set(outputs)) == 1 and "peth0.101<br/>VLAN (added)" in outputs[0]


def test_rendered_states_are_drawn_too(site: Path, capfdbinary: Any) -> None:
    assert run("render", "-o", "states") == 0
    assert run("graph", "states", "-o", "-", "--format", "mermaid") == 0
    assert "10.1.0.11/16" in capfdbinary.readouterr()[0].decode()
    assert run("graph", "--diff", "states", "-o", "states.svg") == 0
    output = capfdbinary.readouterr()[0].decode()
    assert "No host changes. Rendered states do not name networks and guests." in output


def test_mistakes(site: Path, capfd: Any) -> None:
    assert run("graph") == 2
    assert "-o cluster.html" in capfd.readouterr().err
    assert run("graph", "-o", "picture.png") == 2
    assert "use .svg, .html or .mmd" in capfd.readouterr().err
    assert run("graph", "-o", "absent/picture.svg") == 1
    assert "absent/picture.svg cannot be written: No such file or directory" in capfd.readouterr().err
    assert run("graph", BAD, "-o", "bad.svg") == 1 and not (site / "bad.svg").exists()
    assert run("graph", "--diff", "nowhere", "-o", "a.svg") == 1
    assert "nowhere is no file or folder" in capfd.readouterr().err


def test_the_examples(tmp_path: Path) -> None:
    for path in ROOT.glob("examples/*/cluster.yaml"):
        assert run("graph", str(path), "-o", str(tmp_path / "one.html")) == 0


def test_the_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    for name, is_changed in (("old.yaml", False), ("new.yaml", True)):
        (tmp_path / name).write_text(large_cluster(60, changed=is_changed))
    outputs = set()
    for seed in ("1", "2"):
        command = [
            sys.executable,
            "-m",
            "kvmnet",
            "graph",
            "--diff",
            "old.yaml",
            "new.yaml",
            "--format",
            "html",
            "-o",
            "-",
        ]
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        outputs.add(subprocess.run(command, cwd=tmp_path, env=environment, stdout=-1, check=True).stdout)
    assert len(outputs) == 1


def test_the_commands_of_the_howto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of kvmnet in docs/howto/graph.md, in a repository made by `kvmnet init`."""
    assert run("init", str(tmp_path)) == 0
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "cluster.yaml").write_text((tmp_path / "cluster.yaml").read_text())
    page = (ROOT / "docs/howto/graph.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall("^```sh\n(.*?)^```", page, re.M | re.S) for line in block.splitlines()]
    calls = [shlex.split(line)[1:] for line in lines if line.startswith("kvmnet ")]
    assert len(calls) == 5
    for call in calls:
        assert run(*call) == 0, call
        assert (tmp_path / call[-1]).stat().st_size > 500
