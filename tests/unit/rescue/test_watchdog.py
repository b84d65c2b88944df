"""When the watchdog rolls a transaction back, and when it does not."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.rescue import archive, rollback, watchdog
from kvmnet.system import clock, files, lock, programs, units
from kvmnet.system.journal import Journal


@pytest.fixture
def watched(opened: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the watchdog does to the open transaction T, whose unit is alive, at uptime 100.

    T is closed while the watchdog sleeps for the third time.
    """
    done: list[str] = []

    def sleep(seconds: float) -> None:
        done.append("sleep")
        if done.count("sleep") == 3:
            (opened / "open").rename(opened / "closed")

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(signal, "signal", lambda number, how: None)
    transaction = {"id": "T", "unit": "T.service", "steps": [{"title": "x", "limit": 30, "undo": []}]}
    files.write_file(str(opened / "open" / "transaction.json"), json.dumps(transaction).encode())
    monkeypatch.setattr(programs, "run", lambda *argv, **_: done.append(" ".join(argv)) or "")
    monkeypatch.setattr(rollback, "roll_back", lambda state, why, **_: done.append(why) or 3)
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: True)
    monkeypatch.setattr(units, "stop_watchdog", lambda identity: done.append(f"stop watchdog {identity}"))
    monkeypatch.setattr(clock, "uptime", lambda: 100.0)
    return done


def test_the_watchdog_does_nothing_while_the_worker_is_alive(opened: Path, watched: list[str]) -> None:
    Journal(opened / "open").append("do", step=0, until=110.0)
    assert (watchdog.watch_over(opened, "T"), watched) == (0, [*["sleep"] * 3, "stop watchdog T"])


def test_the_watchdog_runs_no_program_while_the_lock_is_held(
    opened: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal(opened / "open").append("do", step=0, until=110.0)
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: pytest.fail("this starts a process"))
    with lock.hold_lock(opened):
        assert (watchdog.watch_over(opened, "T"), watched) == (0, [*["sleep"] * 3, "stop watchdog T"])


@pytest.mark.guarantee("G20")
def test_the_watchdog_kills_a_worker_if_a_step_exceeds_its_time_limit(opened: Path, watched: list[str]) -> None:
    journal = Journal(opened / "open")
    journal.append("begin", until=90.0)
    journal.append("do", step=0, until=99.0)
    assert watchdog.watch_over(opened, "T") == 3
    assert watched == [
        "systemctl kill --kill-who=all --signal=KILL T.service",
        'watchdog: the step "x" did not finish within 30 s',
    ]


HINTS = [{"kind": "firewall rule"}]


@pytest.mark.parametrize(
    ("op", "why", "has_hints"),
    [
        ("apply", "nmstate did not finish within 30 s", False),
        ("probe", 'the step "x" did not finish within 30 s', True),
        ("of a later version", 'the step "x" did not finish within 30 s', False),
    ],
)
def test_a_rollback_of_a_step_that_hangs_has_its_likely_reasons(
    opened: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch, op: str, why: str, has_hints: bool
) -> None:
    """Those of missing replies. The watchdog does not read the host: they were recorded before the change."""
    step = {"title": "x", "op": op, "limit": 30, "undo": []}
    transaction = {"id": "T", "unit": "T.service", "steps": [step], "hints": HINTS}
    files.write_file(str(opened / "open" / "transaction.json"), json.dumps(transaction).encode())
    calls: list[Any] = []
    monkeypatch.setattr(rollback, "roll_back", lambda state, why, likely=(): calls.append((why, likely)) or 3)
    Journal(opened / "open").append("do", step=0, until=99.0)
    assert watchdog.watch_over(opened, "T") == 3
    assert calls == [(f"watchdog: {why}", HINTS if has_hints else [])]


def test_the_watchdog_sets_a_rollback_no_step_limit(opened: Path, watched: list[str]) -> None:
    journal = Journal(opened / "open")
    journal.append("do", step=0, until=50.0)
    journal.append("undo", why="failed")
    assert (watchdog.watch_over(opened, "T"), watched) == (0, [*["sleep"] * 3, "stop watchdog T"])


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize(("now", "killed"), [(330.0, False), (370.0, True)])
def test_the_watchdog_kills_a_stalled_rollback(
    opened: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch, now: float, killed: bool
) -> None:
    """A stopped process holds the lock for ever."""
    journal = Journal(opened / "open")
    journal.append("do", step=0, until=50.0)
    journal.append("undo", why="failed", up=20.0)
    journal.append("undoing", step=0, op="files", up=60.0)
    holder = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(60)"
    )
    monkeypatch.setattr(clock, "uptime", lambda: now)
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(opened / "lock")], stdout=subprocess.PIPE, text=True
    ) as stopped:
        try:
            assert stopped.stdout is not None
            stopped.stdout.readline()
            stopped.send_signal(signal.SIGSTOP)
            monkeypatch.setattr(time, "sleep", lambda _: select.select([], [], [], 0.2))
            if killed:
                assert watchdog.watch_over(opened, "T") == 3
                assert watched[-1] == "watchdog: the rollback was stalled"
                assert stopped.wait() == -signal.SIGKILL
            else:
                assert not watchdog.is_stalled(journal.events(), opened / "open")
        finally:
            stopped.kill()


def test_a_rollback_that_ended_or_has_much_to_do_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "uptime", lambda: 9000.0)
    begun = [{"event": "undo", "up": 20.0}]
    assert watchdog.is_stalled(begun, tmp_path)
    assert not watchdog.is_stalled([{"event": "do", "up": 1.0}], tmp_path)
    assert not watchdog.is_stalled([*begun, {"event": "not-verified"}], tmp_path)
    assert not watchdog.is_stalled([*begun, {"event": "settling", "up": 8800.0}], tmp_path)
    many = {"steps": [{"undo": [{"op": "profiles", "profiles": dict.fromkeys(map(str, range(9000)), "x")}]}]}
    (tmp_path / "transaction.json").write_text(json.dumps(many))
    assert not watchdog.is_stalled(begun, tmp_path), "deleting them may take long"
    (tmp_path / "transaction.json").unlink()
    (tmp_path / "snapshot.json").write_text(json.dumps({"profiles": [{}] * 300}))
    assert not watchdog.is_stalled(begun, tmp_path), "activating them may take long"


@pytest.mark.guarantee("G20")
def test_the_watchdog_rolls_back_when_no_process_works_on_the_transaction(
    opened: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(opened / "open")
    journal.append("do", step=0, until=110.0)
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: False)
    assert (watchdog.watch_over(opened, "T"), watched) == (3, ["watchdog: no process was working on the transaction"])
    for _ in range(watchdog.MAX_TRIES):
        journal.append("not-verified", differences=["x"])
    watched.clear()
    assert (watchdog.watch_over(opened, "T"), watched) == (4, ["stop watchdog T"]), "manual action is required"


def test_the_watchdog_of_a_closed_transaction_stops_its_timer(opened: Path, watched: list[str]) -> None:
    assert (watchdog.watch_over(opened, "an older one"), watched) == (0, ["stop watchdog an older one"])


def test_a_rollback_that_ended_in_an_error_does_not_count_as_a_try(
    opened: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host must be rolled back once it answers again, however often it did not."""
    journal = Journal(opened / "open")
    journal.append("do", step=0, until=110.0)
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: False)
    for number in range(20):
        journal.append("undo", up=float(number))
        journal.append("undo-broke", error="x")
    assert (watchdog.watch_over(opened, "T"), watched) == (0, [*["sleep"] * 3, "stop watchdog T"]), "81 s ago: not yet"
    (opened / "closed").rename(opened / "open")
    monkeypatch.setattr(clock, "uptime", lambda: 700.0)
    watched.clear()
    assert (watchdog.watch_over(opened, "T"), watched) == (3, ["watchdog: no process was working on the transaction"])


@pytest.mark.guarantee("G12")
@pytest.mark.parametrize(
    ("undos", "now", "time_for_it"),
    [([], 0, True), ([100], 103, False), ([100], 105, True), ([50, 100], 105, False), ([50, 100], 109, True),
     ([100] * 5000, 699, False), ([100] * 5000, 701, True), ([100], 20, True)],
)  # fmt: skip
def test_a_rollback_that_ends_in_errors_is_tried_again_at_growing_intervals(
    monkeypatch: pytest.MonkeyPatch, undos: list[float], now: float, time_for_it: bool
) -> None:
    monkeypatch.setattr(clock, "uptime", lambda: now)
    events: list[dict[str, Any]] = [{"event": "do"}, {"event": "undo", "up": 1}, {"event": "not-verified"}]
    assert watchdog.is_retry_due([*events, *({"event": "undo", "up": up} for up in undos)]) is time_for_it


#: Runs the watchdog of the archive argv[1] as root would, on a host whose programs answer that nothing is there. The
#: worker's unit is not active. It prints a line once it runs.
WATCHDOG = """
import os, sys
program, state = sys.argv[1:]
sys.path.insert(0, program)
from kvmnet.rescue import __main__ as rescue
from kvmnet.system import programs

def run(*argv, timeout=30.0):
    if argv[0] == "busctl":
        return '{"data": []}' if "--json=short" in argv else "ao 0"
    return "inactive" if argv[0] == "systemctl" else ""

programs.run = run
os.geteuid = lambda: 0
sys.argv[1:] = ["--state", state, "--watchdog", "T"]
print("started", flush=True)
sys.exit(rescue.main())
"""


@pytest.mark.guarantee("G20")
@pytest.mark.parametrize("replacement", [None, b"not an archive"], ids=["deleted", "replaced"])
def test_the_watchdog_rolls_back_after_its_program_was_deleted_or_replaced(
    tmp_path: Path, replacement: Optional[bytes]
) -> None:
    """It imports all modules when it starts. kvmnet may be upgraded while it runs."""
    state, file, program = tmp_path / "state", tmp_path / "x.link", tmp_path / "rescue.pyz"
    program.write_bytes(archive.build_by(sys.executable))
    file.write_text("before")
    empty: dict[str, Any] = {part: [] for part in ("names", "macs", "uuids", "routes", "profiles")}
    empty |= {part: {} for part in ("links", "addresses", "dns", "global dns", "guests")}
    snapshot = {**empty, "zones": None, "files": [files.record_file(str(file))]}
    step = {"title": "write", "undo": [{"op": "files", "paths": [str(file)]}]}
    transaction = {"id": "T", "unit": "kvmnet-apply-T.service", "boot": clock.boot_id(), "steps": [step]}
    files.write_file(str(state / "open" / "snapshot.json"), json.dumps(snapshot).encode())
    files.write_file(str(state / "open" / "transaction.json"), json.dumps(transaction).encode())
    Journal(state / "open").append("do", step=0, until=clock.uptime() + 600)
    file.write_text("after")
    command = [sys.executable, "-I", "-c", WATCHDOG, str(program), str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            with lock.hold_lock(state):
                assert process.stdout.readline() == "started\n"
                if replacement is None:
                    program.unlink()
                else:
                    files.write_file(str(program), replacement)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, errors) == (3, "")
    assert file.read_text() == "before"
    assert Journal(state / "history" / "T").events()[-1]["outcome"] == "rolled back"


@pytest.mark.guarantee("G95")
@pytest.mark.parametrize(
    "line",
    [
        '{"event": 5}',
        '{"event": "do", "step": "x", "until": "soon"}',
        '{"event": "do", "step": 10000, "until": []}',
        '{"event": "undoing", "up": "never"}',
        "[[[",
    ],
)
def test_a_corrupt_journal_does_not_stop_the_watchdog(opened: Path, watched: list[str], line: str) -> None:
    journal = Journal(opened / "open")
    journal.append("do", step=0, until=99.0)
    with journal.path.open("a") as file:
        file.write(f"{line}\n")
    assert watchdog.watch_over(opened, "T") == 3
    assert watched[-1].startswith("watchdog: ")


@pytest.mark.parametrize("content", ['{"id": "T"}', '{"id": "T", "unit": 5, "steps": [1, {"undo": [2]}]}'])
def test_a_corrupt_transaction_does_not_stop_the_watchdog(opened: Path, watched: list[str], content: str) -> None:
    (opened / "open" / "transaction.json").write_text(content)
    Journal(opened / "open").append("do", step=0, until=99.0)
    assert watchdog.watch_over(opened, "T") == 3
