"""Small parts of the transaction that need no machine."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Optional

import pytest

from kvmnet.cli import follow as telling
from kvmnet.cli import rollback as rolling
from kvmnet.cli.host import Console
from kvmnet.core.base.errors import Refused
from kvmnet.core.effects.probe_choice import Probes
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.reporting.report import event_text, outcome_text
from kvmnet.rescue import snapshot
from kvmnet.system import programs
from kvmnet.system.errors import HostError
from kvmnet.transaction import launch, safeguards
from kvmnet.transaction.history import Open
from kvmnet.transaction.prepare import Prepared
from tests.unit.test_plan import before
from tests.unit.transaction.samples import BUNDLE, compile_sample


def test_the_words_of_the_end() -> None:
    assert outcome_text(0, 0.4, "10.1.1.1").endswith("(10.1.1.1 was out of reach for 0.4 s at most)")
    assert "rolled back" in outcome_text(3, None, None)
    assert event_text({"event": "done", "step": 0, "seconds": 1.25}, ["rename"]) == "ok   rename (1.2 s)"
    assert event_text({"event": "begin"}, []) is None


# ---- what fails before a transaction is open


#: The rescue program, which no test here runs.
PROGRAM = b"PK"


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """A change of a host on which the rescue program, the units and the snapshot come to be, so far."""
    monkeypatch.setattr(safeguards, "UNIT_DIR", tmp_path / "units")
    (tmp_path / "units" / "multi-user.target.wants").mkdir(parents=True)
    monkeypatch.setattr(programs, "run", lambda *words, **_: "")
    monkeypatch.setattr(snapshot, "take_snapshot", lambda *_: {"files": []})
    return Prepared(make_plan(BUNDLE, before()), before(), compile_sample(), "nmstatectl", Probes())


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


# ---- the boot's units


# ---- they go with the removal


# ---- guests' ports


def test_a_way_back_that_does_not_work_is_told_before_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared
) -> None:
    monkeypatch.setattr(telling, "state_path", lambda: tmp_path / "state")
    monkeypatch.setattr(telling, "tell_plan", lambda *_: pytest.fail("the plan was told"))
    monkeypatch.setattr(programs, "run", raising(HostError("python3: too old")))
    with pytest.raises(Refused, match="the rescue program does not run on this host") as refused:
        telling.carry_out(Console(False), lambda _: prepared, yes=True)
    assert refused.value.code == "KVN509"
    assert list((tmp_path / "state").iterdir()) == [tmp_path / "state" / "lock"]


@pytest.mark.guarantee("G09")
@pytest.mark.parametrize("first", [KeyboardInterrupt, None])
def test_the_change_is_undone_also_where_nobody_hears_of_it(
    opened_here: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, first: Optional[type[BaseException]]
) -> None:
    """`apply | tee log`: Ctrl-C ends tee too, and what is told then has no reader."""
    state, asked = opened_here
    ends = iter([first, 3])

    def follow(*_: Any) -> Optional[int]:
        end = next(ends)
        if end is KeyboardInterrupt:
            raise KeyboardInterrupt
        return end if isinstance(end, int) else None

    monkeypatch.setattr(launch, "follow", follow)
    assert telling.follow_to_end(Console(False), state, "T") == 3
    assert asked == ["cancel" if first else "rescue"]


@pytest.mark.guarantee("G09")
def test_a_rollback_is_asked_for_also_where_nobody_hears_of_it(
    opened_here: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, asked = opened_here
    monkeypatch.setattr(launch, "follow", lambda *_: 3)
    monkeypatch.setattr(rolling, "state_path", lambda: state)
    now = Open("T", "h", 0.0, "x", 12.4, True, False, ())
    assert rolling._undo_open(Console(False), now, dry_run=False) == 0
    assert asked == ["cancel"]


@pytest.fixture
def opened_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """The state directory, with an open transaction, and what is asked for its undo; no output can be written."""
    asked: list[str] = []
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "journal.jsonl").write_text("")
    monkeypatch.setattr(Console, "line", raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    monkeypatch.setattr(launch, "cancel", lambda _: asked.append("cancel"))
    monkeypatch.setattr(launch, "rescue_now", lambda _: asked.append("rescue"))
    monkeypatch.setattr(launch, "wait_closed", lambda *_: None)
    monkeypatch.setattr(telling.signal, "signal", lambda *_: None)
    return tmp_path, asked


@pytest.mark.guarantee("G09")
def test_a_key_that_comes_before_the_change_is_followed_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared
) -> None:
    """Ctrl-C while the way back is written: it is undone as soon as it is followed."""
    seen: list[Any] = []

    def start(state: Path, identity: str) -> None:
        seen.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    monkeypatch.setattr(telling, "state_path", lambda: tmp_path / "state")
    monkeypatch.setattr(telling, "tell_plan", lambda *_: None)
    monkeypatch.setattr(safeguards, "try_rescue_program", lambda _: PROGRAM)
    monkeypatch.setattr(launch, "open_transaction", lambda *_: "T")
    monkeypatch.setattr(launch, "start", start)
    monkeypatch.setattr(telling, "follow_to_end", lambda *_: 3)
    monkeypatch.setattr(telling.signal, "signal", lambda *_: None)
    try:
        assert telling.carry_out(Console(False), lambda _: prepared, yes=True) == 3
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert seen == [True]


@pytest.mark.guarantee("G09")
def test_a_key_that_another_thread_took_is_not_lost_either(
    opened_here: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, asked = opened_here
    monkeypatch.setattr(telling, "PRESSED", [signal.SIGINT])
    monkeypatch.setattr(launch, "follow", lambda *_: 3)
    assert telling.follow_to_end(Console(False), state, "T") == 3
    assert asked == ["cancel"]
