"""The lock of the state folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kvmnet.system import lock
from tests.unit.system.samples import raise_read_only


@pytest.mark.guarantee("G04")
def test_the_lock_is_held_also_on_a_read_only_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lock.hold_lock(tmp_path):
        pass
    opens = os.open
    refused: list[Any] = []

    def refuse(path: Any, flags: int, *more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refused.append(path)
            raise_read_only()
        return opens(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    with lock.hold_lock(tmp_path):
        assert lock.is_locked(tmp_path)
    assert refused and not lock.is_locked(tmp_path)
