"""Tests of `kvmnet import`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.samples import run

FOLDER = Path("tests/golden/import/rocks")
COMPLETE = FOLDER / "json"
INCOMPLETE = FOLDER / "tables"


def test_the_definition_goes_to_stdout_and_the_report_to_stderr(capfdbinary: Any) -> None:
    assert run("import", "rocks", str(INCOMPLETE / "tables.txt")) == 1
    out, err = capfdbinary.readouterr()
    expected = (INCOMPLETE / "cluster.yaml").read_text().replace("# tables.txt", f"# {INCOMPLETE}/tables.txt")
    assert out.decode() == expected
    assert err.decode() == (
        f"{INCOMPLETE}/tables.txt:5: 10.7.0.0/16 of network again overlaps 10.7.0.0/16 of network 10g: again has no "
        "subnet here\n"
        f"{INCOMPLETE}/tables.txt:13: note: eth0:1 of kvm-0-0 is one more address of eth0\n"
        f"{INCOMPLETE}/tables.txt:22: note: eth2 of kvm-0-1 has noreport: kvmnet does not manage it\n"
        "1 network setting not in the definition, 2 notes, 4 lines not about the network (-v lists them)\n"
    )


def test_what_is_not_about_the_network_does_not_fail_the_import(capfdbinary: Any) -> None:
    files = [str(COMPLETE / name) for name in ("interfaces.json", "networks.json")]
    assert run("import", "rocks", *files) == 0
    assert capfdbinary.readouterr()[1] == b"1 line not about the network (-v lists them)\n"
    assert run("import", "rocks", *files, "-v") == 0
    err = capfdbinary.readouterr()[1].decode()
    assert "networks.json:1: skipped: DNSZONE and SERVEDNS of network private" in err
    assert err.endswith("\n1 line not about the network\n")


def test_the_report_as_json(capfdbinary: Any) -> None:
    assert run("import", "rocks", str(INCOMPLETE / "tables.txt"), "--json") == 1
    document = json.loads(capfdbinary.readouterr()[1])
    first = document["report"][0]
    assert set(first) == {"severity", "message", "file", "line"} and document["problems"] == []
    assert [row["severity"] for row in document["report"]].count("error") == 1


def test_output_to_a_new_file(tmp_path: Path, capfdbinary: Any) -> None:
    target = tmp_path / "cluster.yaml"
    assert run("import", "rocks", str(COMPLETE / "interfaces.json"), "-o", str(target)) == 0
    assert capfdbinary.readouterr()[0] == b"" and run("validate", str(target)) == 0
    before = target.read_bytes()
    capfdbinary.readouterr()
    assert run("import", "rocks", str(INCOMPLETE / "tables.txt"), "-o", str(target)) == 2
    assert b"exists already" in capfdbinary.readouterr()[1] and target.read_bytes() == before


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    data = io.TextIOWrapper(io.BytesIO((COMPLETE / "interfaces.json").read_bytes()))
    monkeypatch.setattr(sys, "stdin", data)
    assert run("import", "rocks", "-") == 0
    assert b"# standard input:1" in capfdbinary.readouterr()[0]


def test_a_file_that_cannot_be_read_is_named(capfdbinary: Any) -> None:
    assert run("import", "rocks", "/nowhere/dump.txt") == 2
    assert b"/nowhere/dump.txt cannot be read: No such file or directory" in capfdbinary.readouterr()[1]


def test_a_file_without_anything_of_rocks_gives_no_definition(capfdbinary: Any) -> None:
    assert run("import", "rocks", str(FOLDER / "nothing" / "letter.txt")) == 1
    out, err = capfdbinary.readouterr()
    assert out == b"" and b"contains no table, command or JSON of Rocks" in err


def test_the_files_of_a_folder_are_imported_together(tmp_path: Path, capfdbinary: Any) -> None:
    folder = Path("tests/golden/import/ifcfg/rocks-kvm-host")
    for path in folder.iterdir():
        if path.suffix not in (".yaml", ".txt"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "functions").write_text("not about an interface")
    assert run("import", "ifcfg", str(tmp_path)) == 0
    out, err = capfdbinary.readouterr()
    assert b"bridge: eth0}" in out and err == b"2 lines not about the network (-v lists them)\n"
    assert run("import", "ifcfg", str(tmp_path / "nowhere")) == 2
    assert b"nowhere cannot be read: No such file or directory" in capfdbinary.readouterr()[1]


def test_connection_profiles_of_a_folder_are_imported_together(tmp_path: Path, capfdbinary: Any) -> None:
    folder = Path("tests/golden/import/keyfiles/bond-and-vlan-bridge")
    for path in folder.glob("*.nmconnection"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert run("import", "keyfiles", str(tmp_path)) == 1  # eno1 has a group that the definition has no key for
    out, err = capfdbinary.readouterr()
    assert b"ports: [eno1, nic-80de02]" in out and b"eno1.nmconnection:" in err
    (tmp_path / "empty").mkdir()
    assert run("import", "keyfiles", str(tmp_path / "empty")) == 2
    assert b"contains no file" in capfdbinary.readouterr()[1]
