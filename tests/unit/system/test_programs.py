"""Programs are run, and their output is read, whatever bytes it contains."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet.system import links, programs
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from tests.unit.system.samples import install_program


@pytest.mark.guarantee("G12")
def test_bytes_that_are_not_utf8_are_preserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b'[{"ifname": "eth0", "ifalias": "B\xf6b\\\'s \x01 C:\\\\\'", "altnames": ["n\xff"]}]'
    install_program(tmp_path, monkeypatch, "ip", rows)
    link = links.read_links()["eth0"]
    assert link["altnames"] == ["n\udcff"]
    assert programs.run_json("ip")[0]["ifalias"] == "B\udcf6b's \x01 C:\\'"
    journal = Journal(tmp_path)
    journal.append("settling", links=link)
    assert journal.events()[0]["links"]["altnames"] == ["n\udcff"]
    assert programs.run("printf", "%s", "n\udcff") == "n\udcff"


@pytest.mark.parametrize("prints", [b"[", b"Object does not exist"])
def test_output_that_is_not_json_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prints: bytes) -> None:
    install_program(tmp_path, monkeypatch, "ip", prints)
    with pytest.raises(HostError, match=r"^ip -j: "):
        programs.run_json("ip", "-j")
    with pytest.raises(HostError, match="null byte"):
        programs.run("ip", "\0")
