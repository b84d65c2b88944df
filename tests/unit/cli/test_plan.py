"""Tests of `kvmnet plan`: the file that -o writes."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.cli.plan import _save_plan
from kvmnet.core.base.errors import KvmnetError


def test_a_plan_replaces_only_a_regular_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not /dev/null, a pipe, or a symbolic link."""
    monkeypatch.setattr("kvmnet.core.reporting.saved_plan.to_text", lambda *_: "{}")
    prepared: Any = SimpleNamespace(allowed=(), assessment=None, adopt=False)
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "file")
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        for path in (pipe, link, tmp_path / "new"):
            _save_plan(str(path), prepared)
        assert os.read(reader, 9) == b"{}"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and link.is_symlink()
    assert [(tmp_path / name).read_text() for name in ("file", "new")] == ["{}", "{}"]
    with pytest.raises(KvmnetError, match="cannot be written: Is a directory"):
        _save_plan(str(tmp_path), prepared)
