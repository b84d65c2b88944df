"""Saved plans: which files `kvmnet plan -o` replaces."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.cli.plan import _save
from kvmnet.core.base.errors import KvmnetError


def test_a_plan_takes_the_place_of_a_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of /dev/null, a pipe, or the link to a file."""
    monkeypatch.setattr("kvmnet.core.reporting.saved_plan.to_text", lambda *_: "{}")
    prepared: Any = SimpleNamespace(allowed=(), assessment=None)
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "file")
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        for path in (pipe, link, tmp_path / "new"):
            _save(str(path), prepared)
        assert os.read(reader, 9) == b"{}"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and link.is_symlink()
    assert [(tmp_path / name).read_text() for name in ("file", "new")] == ["{}", "{}"]
    with pytest.raises(KvmnetError, match="cannot be written: Is a directory"):
        _save(str(tmp_path), prepared)
