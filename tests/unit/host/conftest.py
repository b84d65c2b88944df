"""Fixtures for the tests of kvmnet/host."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kvmnet.host import libvirt
from tests.unit.host.samples import System, simulate_libvirt


@pytest.fixture
def libvirt_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a running libvirt, without its Python binding; returns the folder of libvirt's status files."""
    (tmp_path / "socket").touch()
    monkeypatch.setattr(libvirt, "SOCKETS", (str(tmp_path / "no"), str(tmp_path / "socket")))
    monkeypatch.setattr(libvirt, "STATUS_DIR", str(tmp_path))
    monkeypatch.setattr(libvirt, "_binding", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/virsh")
    return tmp_path


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """A host with libvirt; see `simulate_libvirt`."""
    return simulate_libvirt(tmp_path, monkeypatch)
