"""The journal can be read after a power loss."""

from __future__ import annotations

from pathlib import Path

from kvmnet.system.journal import Journal


def test_an_incomplete_line_announces_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("do", step=0)
    journal.append("do", step=1)
    with journal.path.open("a") as file:
        file.write('{"at": 1, "event": "do", "st')
    assert journal.begun() == [0, 1]
