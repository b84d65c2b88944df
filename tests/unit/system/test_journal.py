"""The journal can be read after a power loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet.system.journal import Journal, deadline


def test_an_incomplete_line_announces_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("do", step=0)
    journal.append("do", step=1)
    with journal.path.open("a") as file:
        file.write('{"at": 1, "event": "do", "st')
    assert journal.begun() == [0, 1]


CORRUPT = [
    '{"event": 5}',
    '{"event": null, "step": 1}',
    "[1]",
    "null",
    '"x"',
    "{",
    "[" * 100_000,
    "\x00\x00\x00",
    '{"event": "do", "step": "1"}',
    '{"event": "do", "step": -1, "until": "soon"}',
    '{"event": "do", "step": true, "up": NaN}',
    '{"event": "undo", "why": 5, "up": {}, "until": Infinity}',
    '{"event": "not-verified", "differences": "x"}',
]


@pytest.mark.guarantee("G95")
@pytest.mark.parametrize("line", CORRUPT)
def test_a_corrupt_line_does_no_harm(tmp_path: Path, line: str) -> None:
    journal = Journal(tmp_path)
    journal.append("begin", until=50.0)
    journal.append("do", step=0, until=60.0)
    journal.append("do", step=2, until=70.0)
    before = deadline(journal.events())
    journal.path.write_text(journal.path.read_text() + line + "\n")
    assert journal.count_corrupt() == 1
    assert deadline(journal.events()) == before
    assert journal.begun()[:3] == [0, 1, 2], "the steps before the last known one have begun"
    for event in journal.events():
        assert isinstance(event["event"], str) and isinstance(event.get("step", 0), int)


def test_a_corrupt_number_is_that_of_the_next_step(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("do", step=0)
    journal.append("do", step="x")
    assert journal.begun() == [0, 1]
