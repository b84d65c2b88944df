"""Tests of `kvmnet export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kvmnet.exporters import EXPORTERS
from tests.unit.cli.samples import EXAMPLE, run
from tests.unit.exporters.samples import TEXT


def test_all_formats_are_listed(capfdbinary: Any) -> None:
    assert run("export", "list") == 0
    lines = capfdbinary.readouterr()[0].decode().splitlines()
    assert [line.split()[0] for line in lines] == EXPORTERS.names()


def test_files_are_written_with_their_modes(tmp_path: Path, capfdbinary: Any) -> None:
    source = tmp_path / "cluster.yaml"
    source.write_text(TEXT)
    out = tmp_path / "new" / "out"
    assert run("export", "nmstate-service", str(source), "-o", str(out)) == 0
    assert capfdbinary.readouterr()[0].decode() == f"2 files for 2 hosts written to {out}\n"
    assert {str(p.relative_to(out)): p.stat().st_mode & 0o777 for p in out.rglob("*") if p.is_file()} == {
        "hv1/50-kvmnet.yml": 0o600,
        "HV_2/50-kvmnet.yml": 0o600,
    }
    assert run("export", "ansible-inventory", str(source), "-o", str(out), "--host", "hv1") == 0
    text = (out / "inventory.yml").read_text()
    assert "kvm:\n          hosts:\n            hv1: {}\n" in text and "HV_2" not in text


def test_what_a_format_cannot_express_writes_nothing(tmp_path: Path, capfdbinary: Any) -> None:
    assert run("export", "nncp", EXAMPLE, "-o", str(tmp_path / "out")) == 1
    assert b"nmstate cannot rename NICs (eth0 to peth0)" in capfdbinary.readouterr()[1]
    assert not (tmp_path / "out").exists()


def test_a_format_that_does_not_exist_and_a_missing_folder_are_usage_errors(tmp_path: Path, capfdbinary: Any) -> None:
    assert run("export", "nnpc", EXAMPLE, "-o", str(tmp_path)) == 2
    assert b"did you mean nncp?" in capfdbinary.readouterr()[1]
    assert run("export", "nncp", EXAMPLE) == 2
    assert b"name it with -o" in capfdbinary.readouterr()[1]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, capfdbinary: Any) -> None:
    (tmp_path / "file").write_text("")
    assert run("export", "bundle-folder", EXAMPLE, "-o", str(tmp_path / "file")) == 1
    assert b"cannot be written" in capfdbinary.readouterr()[1]
