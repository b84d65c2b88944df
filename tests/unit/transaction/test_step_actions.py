"""Each operation has its action."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kvmnet.system import operations
from kvmnet.transaction.action_context import Context
from kvmnet.transaction.step import step
from kvmnet.transaction.step_actions import ACTIONS, run_step

CONTEXT: Any = object()


def test_every_operation_has_an_action() -> None:
    assert set(ACTIONS) == set(operations.OPERATIONS.values())


def test_no_two_operations_have_one_action() -> None:
    assert len(set(ACTIONS.values())) == len(ACTIONS)


def test_a_step_is_carried_out_by_the_action_of_its_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def record(name: str, *given: Any) -> str:
        calls.append((name, *given))
        return name

    for operation in ACTIONS:
        monkeypatch.setitem(ACTIONS, operation, partial(record, operation.name))
    for operation in (operations.WRITE_FILES, operations.AS_BEFORE):
        made = step(operation, "title")
        assert run_step(CONTEXT, made) == operation.name
        assert calls.pop() == (operation.name, CONTEXT, made)


def test_a_step_of_an_unknown_operation_is_a_bug() -> None:
    with pytest.raises(KeyError):
        run_step(CONTEXT, {"op": "nonesuch"})


def test_the_step_to_write_files_writes_and_removes_them(tmp_path: Path) -> None:
    path = tmp_path / "00-kvmnet-eth0.link"
    context = Context(tmp_path, CONTEXT, CONTEXT)
    made = step(operations.WRITE_FILES, "write", files={str(path): "[Match]\n"}, remove=[str(tmp_path / "old")])
    (tmp_path / "old").touch()
    assert run_step(context, made) == "1 written"
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_text() == "[Match]\n"
