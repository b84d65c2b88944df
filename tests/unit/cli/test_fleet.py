"""Tests of `kvmnet fleet`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.samples import run

OK = {"host": "hv1", "reachable": True, "wanted": "sha256:a", "status": {"applied": {"digest": "sha256:a"}}}
GONE = {"host": "hv2", "reachable": False, "error": "no route", "status": {}}


@pytest.mark.parametrize(("rows", "code"), [([OK], 0), ([OK, GONE], 6)])
@pytest.mark.parametrize("command", ["status", "plan"])
def test_the_exit_code_is_6_when_a_host_differs(
    rows: list[dict[str, Any]], code: int, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fleet.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("fleet", command, str(file)) == code
    assert ("unreachable: no route" in capsys.readouterr().out) == (code == 6)
    assert run("fleet", command, str(file), "--format", "json") == code
    assert json.loads(capsys.readouterr().out)["total"] == len(rows)
    assert run("fleet", command, str(file), "--format", "markdown") == code
    assert "| --- |" in capsys.readouterr().out


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fleet", "status", str(tmp_path / "none")) == 1
    (tmp_path / "bad").write_text("x\n")
    assert run("fleet", "status", str(tmp_path / "bad")) == 1
    assert capsys.readouterr().err.count("KVN582") == 4
