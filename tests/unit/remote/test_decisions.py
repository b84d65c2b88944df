"""Tests of what is done next in a change of a remote host."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from kvmnet.cli import confirm, exit_codes
from kvmnet.remote import decisions
from kvmnet.remote.decisions import Next, Progress, Verdict

BEGIN = {"event": "begin", "id": "T", "steps": []}
WAIT = {"event": "do", "op": "confirm", "step": 4}
SAVE = {"event": "do", "op": "save", "step": 5}
KEPT = {"event": "result", "exit": 0, "away": 0.1}
ROLLED_BACK = {"event": "result", "exit": 3, "away": None}
NOTHING = {"event": "result", "exit": 0, "outcome": "nothing to do"}
REFUSED = {"event": "failed", "code": "KVN510", "exit": 5}
STEP_FAILED = {"event": "failed", "error": "no reply", "step": 3}


@pytest.mark.parametrize(
    ("events", "lost", "expected"),
    [
        ([], False, Next.FOLLOW),
        ([], True, Next.NOT_BEGUN),
        ([BEGIN], False, Next.FOLLOW),
        ([BEGIN], True, Next.CONFIRM),
        ([BEGIN, WAIT], False, Next.CONFIRM),
        ([BEGIN, WAIT, SAVE], False, Next.FOLLOW),
        ([BEGIN, STEP_FAILED], False, Next.FOLLOW),
        ([BEGIN, KEPT], True, Next.CHECK),
        ([BEGIN, ROLLED_BACK], True, Next.END),
        ([NOTHING], True, Next.END),
        ([REFUSED], True, Next.END),
    ],
)
def test_the_next_step_by_the_events(events: list[dict[str, Any]], lost: bool, expected: Next) -> None:
    progress = Progress()
    for event in events:
        progress = decisions.after_event(progress, event)
    assert decisions.next_step(progress, lost) is expected


@pytest.mark.parametrize(
    ("code", "events", "expected"),
    [
        (0, [BEGIN, WAIT, KEPT], (Verdict.ENDED, 0)),
        (3, [BEGIN, ROLLED_BACK], (Verdict.ENDED, 3)),
        (255, [], (Verdict.UNREACHABLE, 255)),
        (255, [BEGIN, WAIT], (Verdict.UNREACHABLE, 255)),
        (127, [], (Verdict.UNREACHABLE, 127)),
        (5, [{"event": "failed", "code": "KVN560", "exit": 5}], (Verdict.LOOK, 5)),
        (5, [{"event": "failed", "code": "KVN561", "exit": 5}], (Verdict.REFUSED, 5)),
        (1, [BEGIN], (Verdict.LOOK, 1)),
    ],
)
def test_what_a_try_to_confirm_shows(code: int, events: list[dict[str, Any]], expected: tuple[Verdict, int]) -> None:
    assert decisions.judge_try(code, events) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "T", "outcome": "kept", "verified": None}, 0),
        ({"id": "T", "outcome": "rolled back", "verified": True}, 3),
        ({"id": "T", "outcome": "rolled back", "verified": False}, 4),
        ({"id": "T", "outcome": "unknown", "verified": None}, 4),
        ({"id": "T", "outcome": "nothing was begun", "verified": None}, 1),
        ({"id": "S", "outcome": "kept", "verified": None}, None),
    ],
)
def test_how_a_transaction_ended_by_the_history(row: dict[str, Any], expected: Optional[int]) -> None:
    assert decisions.find_outcome([row], "T") == expected


def test_a_transaction_is_stuck_when_nothing_works_on_it() -> None:
    assert decisions.is_stuck({"open": {"id": "T", "works": False}}, "T")
    assert not decisions.is_stuck({"open": {"id": "T", "works": True}}, "T")
    assert not decisions.is_stuck({"open": {"id": "S", "works": False}}, "T")
    assert not decisions.is_stuck({"open": None}, "T")


def test_the_old_address_is_tried_first() -> None:
    assert decisions.order_addresses(None, ["10.1.0.9", "10.2.0.9", "10.1.0.9"]) == [None, "10.1.0.9", "10.2.0.9"]
    assert decisions.order_addresses("10.1.0.9", ["10.1.0.9", "10.2.0.9"]) == ["10.1.0.9", "10.2.0.9"]


def test_the_codes_are_those_of_the_program() -> None:
    assert (decisions.DONE, decisions.PROBLEMS) == (exit_codes.DONE, exit_codes.PROBLEMS)
    assert (decisions.ROLLED_BACK, decisions.NOT_VERIFIED) == (exit_codes.ROLLED_BACK, exit_codes.NOT_VERIFIED)
    assert (decisions.NOT_WAITING, decisions.CANNOT_CONFIRM) == (confirm.NOT_WAITING, confirm.CANNOT_CONFIRM)
