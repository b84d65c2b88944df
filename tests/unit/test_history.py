"""For how long a host's addresses were away, told from the journal: never a figure that was not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.core.reporting.report import outcome_text
from kvmnet.system import clock
from kvmnet.system.journal import Journal
from kvmnet.transaction.history import PROVING, TAKING, away_at_most
from kvmnet.transaction.step_actions import DO

Event = dict[str, Any]
DATE = 1_700_000_000.0
CHANGE = {"boot": "one", "host": "h"}


def event(up: float, word: str, boot_date: float = DATE, **fields: Any) -> Event:
    return {"at": boot_date + up, "up": up, "event": word, **fields}


def step(up: float, number: int, op: str) -> list[Event]:
    return [event(up, "do", step=number, op=op), event(up + 1, "done", step=number)]


def change(*ops: str) -> list[Event]:
    """From 100 s of uptime on, a step in two seconds."""
    found = [event(99, "begin")]
    for number, op in enumerate(ops):
        found += step(100 + 2 * number, number, op)
    return found


KEPT = change("write files", "rename", "apply", "read back", "probe", "commit", "save")
KILLED = [*change("write files", "rename"), event(104, "do", step=2, op="apply")]


def test_the_steps_that_count_are_there() -> None:
    assert {*TAKING, *PROVING} <= set(DO)


def test_what_was_kept_was_away_until_it_was_read_back() -> None:
    assert away_at_most(CHANGE, [*KEPT, event(200, "kept"), event(200, "end")]) == 5.0


def test_without_a_reading_it_was_away_until_it_was_kept() -> None:
    assert away_at_most(CHANGE, [*change("apply", "commit"), event(110.04, "kept")]) == 10.1, "rounded up"


def undone(up: float, boot: str = "one", boot_date: float = DATE) -> list[Event]:
    return [event(up, "undo", boot_date, boot=boot), event(up + 1, "undone", boot_date)]


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ([*KILLED, *undone(120), event(123.5, "verified")], 21.5),
        ([*change("write files"), *undone(120), event(123.5, "verified")], 22.5),  # since the last word before it
        ([*KILLED, *undone(120), event(150, "not-verified"), *undone(160), event(170, "verified")], 68.0),
        ([*KILLED, *undone(120), event(150, "not-verified")], None),
        ([*KILLED, *undone(120), event(150, "end", verified=False, accepted=True)], None),
        (KILLED, None),
        (KEPT, None),
        ([], None),
    ],
)
def test_what_was_undone_was_away_until_it_was_compared(events: list[Event], seconds: Optional[float]) -> None:
    assert away_at_most(CHANGE, events) == seconds


def test_a_date_that_jumps_within_a_boot_counts_for_nothing() -> None:
    late = [event(120, "undo", DATE + 3600, boot="one"), event(123, "verified", DATE + 3600)]
    assert away_at_most(CHANGE, [*KILLED, *late]) == 21.0


def test_over_a_boot_it_is_told_by_the_date() -> None:
    """The machine started again at 130 s of the first boot's uptime."""
    again = [*undone(9, "two", DATE + 130), event(10, "restored", DATE + 130), *undone(15, "two", DATE + 130)]
    assert away_at_most(CHANGE, [*KILLED, *again, event(20, "verified", DATE + 130)]) == 48.0


@pytest.mark.parametrize("date", [DATE + 3600, DATE - 3600])
def test_a_date_that_jumped_tells_nothing_over_a_boot(date: float) -> None:
    """As of a machine that had it from a clock that was wrong, and then from a server."""
    again = [*undone(9, "two", DATE + 130), event(20, "verified", date)]
    assert away_at_most(CHANGE, [*KILLED, *again]) is None


def test_a_boot_before_the_change_began_by_the_date_tells_nothing() -> None:
    assert away_at_most(CHANGE, [*KILLED, *undone(9, "two", DATE - 130), event(20, "verified", DATE - 130)]) is None


def test_a_journal_without_the_stamps_tells_nothing() -> None:
    """Of a version that did not write them."""
    bare = [{k: v for k, v in e.items() if k not in ("up", "boot")} for e in [*undone(120), event(123, "verified")]]
    assert away_at_most(CHANGE, [*KILLED, *bare]) is None
    no_up = [{k: v for k, v in e.items() if k != "up"} for e in [*undone(120), event(123, "verified")]]
    assert away_at_most(CHANGE, [*KILLED, *no_up]) is None
    assert away_at_most({}, [*KILLED, *undone(120), event(123, "verified")]) is None


def test_every_word_of_a_journal_has_both_times(tmp_path: Path) -> None:
    Journal(tmp_path).append("verified", differences=[])
    written = json.loads((tmp_path / "journal.jsonl").read_text())
    assert abs(written["up"] - clock.uptime()) < 5
    Journal(tmp_path).append("do", up=7.0)
    assert Journal(tmp_path).events()[-1]["up"] == 7.0


def test_the_last_line_tells_it_too() -> None:
    assert outcome_text(3, None, None, at_most=9.1).endswith("(the host's addresses were missing for at most 9.1 s)")
    both = "(10.1.1.1 did not reply for 0.4 s before the rollback; the host's addresses were missing for at most 9.1 s)"
    assert outcome_text(3, 0.4, "10.1.1.1", at_most=9.1).endswith(both)
    assert outcome_text(0, 0.4, "10.1.1.1", at_most=9.1).endswith("(10.1.1.1 did not reply for at most 0.4 s)")
