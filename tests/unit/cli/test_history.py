"""Tests of `kvmnet history`: the line about a transaction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.cli.history import format_ended
from kvmnet.transaction.history import read_history
from tests.unit.cli.samples import DATE, Event, event

CHANGE = {"boot": "one", "host": "h", "changes": [{}]}
END: dict[str, Any] = {"outcome": "rolled back", "verified": True}


def steps(*ops: str) -> list[Event]:
    """The events of steps that begin at 100 s of uptime, every two seconds."""
    events = [event(99, "begin")]
    for number, op in enumerate(ops):
        start = 100 + 2 * number
        events += [event(start, "do", step=number, op=op), event(start + 1, "done", step=number)]
    return events


def undo(up: float, boot: str = "one", boot_date: float = DATE) -> list[Event]:
    return [event(up, "undo", boot_date, boot=boot), event(up + 1, "undone", boot_date)]


#: The worker was killed during the step "apply", or the change was kept.
KILLED = [*steps("write files", "rename"), event(104, "do", step=2, op="apply")]
KEPT = steps("write files", "rename", "apply", "read back", "probe", "commit", "save")


def line_of(tmp_path: Path, events: list[Event], **transaction: Any) -> str:
    folder = tmp_path / "history" / "1"
    folder.mkdir(parents=True)
    (folder / "transaction.json").write_text(json.dumps({**CHANGE, **transaction}))
    (folder / "journal.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    return format_ended(read_history(tmp_path)[0])


def test_a_killed_worker_leaves_the_upper_bound_of_the_outage(tmp_path: Path) -> None:
    line = line_of(tmp_path, [*KILLED, *undo(120), event(123.5, "verified"), event(123.6, "end", **END)])
    assert line.endswith("- 1 change - addresses missing for at most 21.5 s")


def test_a_failed_change_has_both_measurements(tmp_path: Path) -> None:
    failed = event(110, "failed", error="no reply", away=5.2)
    line = line_of(tmp_path, [*KILLED, failed, *undo(111), event(123.5, "verified"), event(124, "end", **END)])
    outage = "gateway unreachable for 5.2 s before the rollback; addresses missing for at most 21.5 s"
    assert line.endswith(f"(no reply) - 1 change - {outage}")


def test_a_reboot_during_the_outage_is_shown(tmp_path: Path) -> None:
    later = [*undo(9, "two", DATE + 130), event(20, "verified", DATE + 130), event(21, "end", DATE + 130, **END)]
    assert line_of(tmp_path, [*KILLED, *later]).endswith("addresses missing for at most 48.0 s, with a reboot")


@pytest.mark.parametrize(
    ("transaction", "operation"),
    [
        ({"operation": "apply", "removes": False}, ""),
        ({}, ""),
        ({"operation": "remove", "removes": True}, "removal of kvmnet's configuration: "),
        ({"removes": True}, "removal of kvmnet's configuration: "),
        ({"operation": "rollback"}, "return to the previous configuration: "),
    ],
)
def test_a_line_names_the_operation(tmp_path: Path, transaction: dict[str, Any], operation: str) -> None:
    """Also of a removal by an earlier kvmnet."""
    line = line_of(tmp_path, [*KEPT, event(200, "kept"), event(200, "end", outcome="kept")], **transaction)
    assert f" h: {operation}kept - 1 change" in line
    expected = transaction.get("operation", "remove" if transaction.get("removes") else "apply")
    assert read_history(tmp_path)[0].operation == expected


@pytest.mark.parametrize(
    ("away", "outage"), [(0.4, "gateway unreachable for 0.4 s"), (None, "addresses missing for at most 5.0 s")]
)
def test_a_kept_change_has_the_more_exact_measurement(tmp_path: Path, away: Optional[float], outage: str) -> None:
    end = event(200, "end", outcome="kept", away=away)
    assert line_of(tmp_path, [*KEPT, event(200, "kept"), end]).endswith(f"- 1 change - {outage}")
