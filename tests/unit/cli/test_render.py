"""Tests of `kvmnet render`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.cli.samples import EXAMPLE, ROOT, run


def test_states_go_to_stdout_or_with_all_files_to_a_folder(tmp_path: Path, capfdbinary: Any) -> None:
    golden = ROOT / "tests/golden/good/example-rocks/expected/vm-container-0-0"
    assert run("render", EXAMPLE) == 0
    assert capfdbinary.readouterr()[0] == (golden / "nmstate.yml").read_bytes()
    assert run("render", EXAMPLE, "-o", str(tmp_path / "new" / "out")) == 0
    written = tmp_path / "new" / "out" / "vm-container-0-0"
    assert {p.name: p.read_bytes() for p in written.iterdir()} == {p.name: p.read_bytes() for p in golden.iterdir()}
    capfdbinary.readouterr()
    assert run("render", EXAMPLE, "-o", str(tmp_path / "new" / "out"), "--check") == 0
    (written / "nmstate.yml").unlink()
    (written / "guests.yml").write_text("")
    (written / "00-kvmnet-x.link").write_text("")
    assert run("render", EXAMPLE, "-o", str(tmp_path / "new" / "out"), "--check") == 6
    lines = capfdbinary.readouterr()[0].decode().splitlines()
    assert lines == [f"{label}: 1 file of 1 host (vm-container-0-0)" for label in ("missing", "stale", "surplus")]
    assert run("render", EXAMPLE, "-o", str(tmp_path / "new" / "out"), "--check", "-v") == 6
    lines = capfdbinary.readouterr()[0].decode().splitlines()
    assert lines == [
        f"missing: {written / 'nmstate.yml'}",
        f"stale: {written / 'guests.yml'}",
        f"surplus: {written / '00-kvmnet-x.link'}",
    ]
    assert not (written / "nmstate.yml").exists()
