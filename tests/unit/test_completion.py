"""kvmnet/completion.py: names of a definition, also of one that is being edited."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kvmnet import completion


def names(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert completion.main([*arguments]) == 0
    return capsys.readouterr().out.split()


def test_only_the_keys_of_the_mapping_at_the_top_are_names() -> None:
    text = b"""
groups: {g: {hosts: {inner: 1}}}
hosts:
  a: {interfaces: {eth0: {addresses: [x, {y: z}]}}}
  b: &b
    group: g
  c: *b
  "d e": {}
  "$(reboot)": {}
networks: {n: {}}
x-hosts: {other: {}}
"""
    assert completion.keys_of("hosts", text) == ["a", "b", "c"]
    assert completion.keys_of("networks", text) == ["n"]
    assert completion.keys_of("guests", text) == []


@pytest.mark.parametrize("text", [b"hosts: [a, b]", b"hosts: a", b"- hosts: {a: 1}", b"", b"\xff\xfe\xff", b"{{{: 1}"])
def test_what_is_no_mapping_has_no_names(text: bytes) -> None:
    assert completion.keys_of("hosts", text) == []


def test_names_before_a_mistake_count() -> None:
    assert completion.keys_of("hosts", b"hosts:\n  a: {}\n  b: {x: [\n  c: }\n") == ["a", "b"]


def test_the_definition_in_the_current_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert names(capsys, "hosts") == []
    folder = tmp_path / "cluster.d"
    folder.mkdir()
    (folder / "b.yml").write_text("hosts: {b: {}}\n")
    (folder / "a.yaml").write_text("hosts: {a: {}}\n")
    (folder / "c.txt").write_text("hosts: {c: {}}\n")
    assert names(capsys, "hosts") == ["a", "b"]
    (tmp_path / "cluster.yaml").write_text("hosts: {first: {}}\n")
    assert names(capsys, "hosts") == ["first"]
    assert names(capsys, "hosts", "cluster.d") == ["a", "b"]


def test_a_fifo_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "cluster.yaml")
    assert names(capsys, "hosts", str(tmp_path / "cluster.yaml")) == []
    assert names(capsys, "hosts", str(tmp_path / "missing")) == []


def test_an_unknown_kind_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main(["volumes"]) == 2
    assert "hosts|guests|networks" in capsys.readouterr().err


def test_a_hundred_hosts_are_completed_in_little_time_without_heavy_modules(tmp_path: Path) -> None:
    """The goal is 120 ms of processor time beside what Python itself needs; the fastest of five runs counts."""
    hosts = "".join(
        f"  node-{n}:\n    interfaces:\n      eth0: {{mac: 00:14:4f:80:de:{n:02x}, addresses: [10.1.0.{n + 1}]}}\n"
        for n in range(100)
    )
    (tmp_path / "cluster.yaml").write_text(f"kvmnet: 1\nhosts:\n{hosts}")
    code = "import sys; sys.argv = ['kvmnet', 'complete', 'hosts']; import kvmnet.program as p\ntry: p.run()\n"
    code += "finally: print(*sorted({'typer', 'rich', 'jsonschema', 'click'} & {*sys.modules}), file=sys.stderr)"
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        assert done.stdout.split() == [f"node-{n}" for n in range(100)]
        assert not done.stderr.strip()
    assert min(spent) < 0.120 + _seconds_of_bare_python()


def _seconds_of_bare_python() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
