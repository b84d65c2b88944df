"""Set-up that tests of kvmnet/system and kvmnet/rescue share."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from kvmnet.system import programs

IP_LINKS: list[dict[str, Any]] = [
    {"ifname": "eth0", "address": "02:00:00:00:00:01", "link_type": "ether", "mtu": 1500, "flags": ["UP"]},
    {
        "ifname": "bond0",
        "address": "02:00:00:00:00:01",
        "linkinfo": {
            "info_kind": "bond",
            "info_data": {"mode": "active-backup", "miimon": 100, "active_slave": "eth0"},
        },
    },
    {
        "ifname": "eth0.5",
        "link": "eth0",
        "linkinfo": {"info_kind": "vlan", "info_data": {"protocol": "802.1Q", "id": 5, "flags": ["REORDER_HDR"]}},
    },
    {"ifname": "br0", "linkinfo": {"info_kind": "bridge", "info_data": {"stp_state": 0, "gc_timer": 7.1}}},
]


def install_program(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, prints: bytes) -> None:
    """Install a program with this name that prints these bytes."""
    (folder / "printed").write_bytes(prints)
    (folder / name).write_text(f"#!/bin/sh\nexec cat {folder}/printed\n")
    (folder / name).chmod(0o755)
    monkeypatch.setattr(programs, "PROGRAM_PATH", f"{folder}:{programs.PROGRAM_PATH}")


def raise_read_only(*_: Any) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def raise_disk_full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
