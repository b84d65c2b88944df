"""A host with libvirt, for the tests of libvirt's hook."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet import hook
from kvmnet.host import hook_installation
from kvmnet.system import programs
from kvmnet.system.errors import HostError


class System:
    """Simulated programs of the system; `commands` are those that were run."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.active = "virtqemud.service"
        self.host: Optional[str] = "a"
        self.enabled = False
        self.more: dict[str, Any] = {}

    def run(self, *argv: str, timeout: float = 30.0) -> str:
        self.commands.append(" ".join(argv))
        if argv[:2] == ("systemctl", "is-active") and argv[-1] != self.active:
            raise HostError("inactive")
        if argv[:2] == ("systemctl", "is-enabled") and not self.enabled:
            raise HostError("disabled")
        self.enabled |= argv[:2] == ("systemctl", "enable")
        if argv[-1] == "--reconcile":
            return "removed peth0.2\n"
        if argv[-1] == "--status":
            device = {"there": True, "guests": ["one"], "uppers": []}
            allowed: dict[str, Any] = {"peth0.2": {}} if self.host else {}
            return json.dumps({"host": self.host, "allowed": allowed, "devices": {"peth0.2": device}, **self.more})
        return ""


def simulate_libvirt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """Simulate the programs and folders of a host with libvirt, as root."""
    simulated = System()
    (tmp_path / "libvirt").mkdir()
    monkeypatch.setattr(programs, "run", simulated.run)
    monkeypatch.setattr(hook_installation, "LIBVIRT", str(tmp_path / "libvirt"))
    for name, file in (("HOOK", "libvirt/hooks/qemu.d/kvmnet"), ("RULE", "rule"), ("UNIT_FILE", "unit")):
        monkeypatch.setattr(hook_installation, name, str(tmp_path / file))
    monkeypatch.setattr(hook, "RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return simulated


def write(root: Path, path: str, text: str) -> None:
    """Write a file of a simulated root."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
