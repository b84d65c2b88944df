"""For how long a host's addresses were away, from the journal: never a figure that was not measured."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.system import clock, units
from kvmnet.system.journal import Journal
from kvmnet.transaction.history import (
    away_at_most,
    find_adopted_macs,
    find_confirmation_start,
    read_history,
    read_open_transaction,
    read_previous_bundle,
)

Event = dict[str, Any]


DATE = 1_700_000_000.0


CHANGE = {"boot": "one", "host": "h"}


def event(up: float, word: str, boot_date: float = DATE, **fields: Any) -> Event:
    return {"at": boot_date + up, "up": up, "event": word, **fields}


def step(up: float, number: int, op: str) -> list[Event]:
    return [event(up, "do", step=number, op=op), event(up + 1, "done", step=number)]


def change(*ops: str) -> list[Event]:
    """From 100 s of uptime on, a step in two seconds."""
    events = [event(99, "begin")]
    for number, op in enumerate(ops):
        events += step(100 + 2 * number, number, op)
    return events


KEPT = change("write files", "rename", "apply", "read back", "probe", "commit", "save")


KILLED = [*change("write files", "rename"), event(104, "do", step=2, op="apply")]


def test_a_kept_change_was_away_until_the_read_back() -> None:
    assert away_at_most(CHANGE, [*KEPT, event(200, "kept"), event(200, "end")]) == 5.0


def test_a_kept_change_without_a_read_back_was_away_until_its_end() -> None:
    assert away_at_most(CHANGE, [*change("apply", "commit"), event(110.04, "kept")]) == 10.1, "rounded up"


def undone(up: float, boot: str = "one", boot_date: float = DATE) -> list[Event]:
    return [event(up, "undo", boot_date, boot=boot), event(up + 1, "undone", boot_date)]


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ([*KILLED, *undone(120), event(123.5, "verified")], 21.5),
        ([*change("write files"), *undone(120), event(123.5, "verified")], 22.5),  # since the last event before it
        ([*KILLED, *undone(120), event(150, "not-verified"), *undone(160), event(170, "verified")], 68.0),
        ([*KILLED, *undone(120), event(150, "not-verified")], None),
        ([*KILLED, *undone(120), event(150, "end", verified=False, accepted=True)], None),
        (KILLED, None),
        (KEPT, None),
        ([], None),
    ],
)
def test_a_change_that_was_rolled_back_was_away_until_the_verification(
    events: list[Event], seconds: Optional[float]
) -> None:
    assert away_at_most(CHANGE, events) == seconds


def test_a_date_that_jumps_within_a_boot_does_not_count() -> None:
    late = [event(120, "undo", DATE + 3600, boot="one"), event(123, "verified", DATE + 3600)]
    assert away_at_most(CHANGE, [*KILLED, *late]) == 21.0


def test_over_a_boot_the_time_is_measured_by_the_date() -> None:
    """The host was rebooted at 130 s of the first boot's uptime."""
    again = [*undone(9, "two", DATE + 130), event(10, "restored", DATE + 130), *undone(15, "two", DATE + 130)]
    assert away_at_most(CHANGE, [*KILLED, *again, event(20, "verified", DATE + 130)]) == 48.0


@pytest.mark.parametrize("date", [DATE + 3600, DATE - 3600])
def test_over_a_boot_a_date_that_jumped_gives_no_figure(date: float) -> None:
    """As on a host whose clock was wrong until it was set by a server."""
    again = [*undone(9, "two", DATE + 130), event(20, "verified", date)]
    assert away_at_most(CHANGE, [*KILLED, *again]) is None


def test_a_boot_that_is_earlier_than_the_change_by_its_date_gives_no_figure() -> None:
    assert away_at_most(CHANGE, [*KILLED, *undone(9, "two", DATE - 130), event(20, "verified", DATE - 130)]) is None


def test_a_journal_without_time_stamps_gives_no_figure() -> None:
    """A version that did not write them."""
    bare = [{k: v for k, v in e.items() if k not in ("up", "boot")} for e in [*undone(120), event(123, "verified")]]
    assert away_at_most(CHANGE, [*KILLED, *bare]) is None
    no_up = [{k: v for k, v in e.items() if k != "up"} for e in [*undone(120), event(123, "verified")]]
    assert away_at_most(CHANGE, [*KILLED, *no_up]) is None
    assert away_at_most({}, [*KILLED, *undone(120), event(123, "verified")]) is None


def test_every_event_of_a_journal_has_both_times(tmp_path: Path) -> None:
    Journal(tmp_path).append("verified", differences=[])
    written = json.loads((tmp_path / "journal.jsonl").read_text())
    assert abs(written["up"] - clock.uptime()) < 5
    Journal(tmp_path).append("do", up=7.0)
    assert Journal(tmp_path).events()[-1]["up"] == 7.0


def test_the_open_transaction_contains_how_long_a_confirmation_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is shorter than the watchdog's time limit."""
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: True)
    monkeypatch.setattr(clock, "uptime", lambda: 150.0)
    begun = event(100, "do", step=0, op="confirm", title="wait", seconds=120, until=250)
    lines = [event(90, "begin", steps=["wait"]), begun]
    (tmp_path / "open" / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    transaction = read_open_transaction(tmp_path)
    assert transaction is not None
    assert (transaction.step, transaction.confirm_left, transaction.left) == ("wait", 70.0, 100.0)
    assert find_confirmation_start(tmp_path) == 100.0
    Journal(tmp_path / "open").append("done", step=0)
    transaction = read_open_transaction(tmp_path)
    assert transaction is not None and transaction.confirm_left is None
    assert find_confirmation_start(tmp_path) is None


def test_while_the_watchdog_tries_again_the_commands_of_its_last_try_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: True)
    events = [event(90, "begin", steps=[]), event(100, "undo", why="x")]
    events += [event(110, "not-verified", differences=["a", "b"], mends=["run this"])]
    events += [event(120, "undo", why="x"), event(125, "settling", differences=["a"])]
    (tmp_path / "open" / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in events))
    transaction = read_open_transaction(tmp_path)
    assert transaction is not None
    assert (transaction.differences, transaction.mends) == (("a",), ("run this",))


def test_the_history_is_read_from_the_journals(tmp_path: Path) -> None:
    def past(name: str, events: list[dict[str, Any]], transaction: dict[str, Any], files: dict[str, str]) -> None:
        folder = tmp_path / "history" / name
        folder.mkdir(parents=True)
        journal = Journal(folder)
        for event in events:
            journal.append(str(event["event"]), **{k: v for k, v in event.items() if k != "event"})
        (folder / "transaction.json").write_text(json.dumps({"host": "h", "changes": [{"what": "add"}], **transaction}))
        records = [
            {"path": str(tmp_path / "applied" / n), "data": base64.b64encode(t.encode()).decode()}
            for n, t in files.items()
        ]
        (folder / "snapshot.json").write_text(json.dumps({"files": records}))

    kept: list[dict[str, Any]] = [
        {"event": "begin"},
        {"event": "kept"},
        {"event": "end", "outcome": "kept", "away": 0.3},
    ]
    past("1", kept, {"adopts": ["m1"]}, {})
    past("2", kept, {"adopts": ["m2"]}, {"nmstate.yml": "the first"})
    undone: list[dict[str, Any]] = [
        {"event": "begin"},
        {"event": "failed", "error": "no reply", "likely": [{"text": "eth0 has no carrier"}, {}]},
        {"event": "undo", "why": "no reply"},
        {"event": "end", "outcome": "rolled back", "verified": True},
    ]
    past("3", undone, {"adopts": ["m3"]}, {"nmstate.yml": "the second"})
    assert [one.likely for one in read_history(tmp_path)] == [(), (), ("eth0 has no carrier",)]
    ended_changes = [(one.id, one.outcome, one.verified, one.why, one.away, one.kept) for one in read_history(tmp_path)]
    assert ended_changes == [
        ("1", "kept", None, None, 0.3, True),
        ("2", "kept", None, None, 0.3, True),
        ("3", "rolled back", True, "no reply", None, False),
    ]
    assert find_adopted_macs(tmp_path) == {"m1", "m2"}
    assert read_previous_bundle(tmp_path) == {"nmstate.yml": "the first"}
    past("4", kept, {"removes": True}, {})
    assert find_adopted_macs(tmp_path) == set()


def found_again(since: float, result: str = "x") -> list[Event]:
    events = [dict(e) for e in KEPT]
    done = [e for e in events if e["event"] == "done"]
    done[1]["result"] = result  # of the rename
    done[3]["addresses_since"] = since
    return [*events, event(200, "kept"), event(200, "end")]


@pytest.mark.parametrize(
    ("since", "seconds"),
    [(90.0, 0.0), (104.25, 2.3), (300.0, 5.0)],
)
def test_a_change_was_away_until_its_last_address_was_created(since: float, seconds: float) -> None:
    """An address that is older than the change was never removed. The kernel's time never lengthens the bound."""
    assert away_at_most(CHANGE, found_again(since)) == seconds


def test_a_nic_that_was_down_was_away_although_it_kept_its_address() -> None:
    assert away_at_most(CHANGE, found_again(90.0, "down-up")) == 5.0


def test_a_rollback_whose_addresses_were_never_removed_was_not_away() -> None:
    """nmstate hangs while it creates another interface: the host's address stays where it is."""
    events = [*KILLED, event(240, "undo", boot="one"), event(244, "verified", addresses_since=3.0), event(244, "end")]
    assert away_at_most(CHANGE, events) == 0.0
    undo = event(5, "undo", DATE + 240, boot="two")
    assert away_at_most(CHANGE, [*KILLED, undo, event(9, "verified", DATE + 240, addresses_since=3)]) == 147.0, (
        "measured by the date"
    )
