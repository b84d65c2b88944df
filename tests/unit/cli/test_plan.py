"""Tests of `kvmnet plan`: the file that -o writes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.cli.plan import _save_plan
from kvmnet.core.base.errors import KvmnetError


def test_a_plan_replaces_only_a_regular_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not /dev/null or a pipe. A symbolic link is refused: it may lead to a file of the system."""
    monkeypatch.setattr("kvmnet.core.reporting.saved_plan.to_text", lambda *_: "{}")
    prepared: Any = SimpleNamespace(allowed=(), assessment=None, adopt=False)
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "file")
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        for path in (pipe, tmp_path / "new", Path("/dev/null")):
            _save_plan(str(path), prepared)
        with pytest.raises(KvmnetError, match="is a symbolic link"):
            _save_plan(str(link), prepared)
        assert os.read(reader, 9) == b"{}"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and link.is_symlink()
    assert (tmp_path / "new").read_text() == "{}" and not (tmp_path / "file").exists()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "new", "pipe"], "no temporary file is left"
    with pytest.raises(KvmnetError, match="cannot be written: Is a directory"):
        _save_plan(str(tmp_path), prepared)
