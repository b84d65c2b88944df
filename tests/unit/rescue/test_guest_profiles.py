"""Profiles of guests' taps that NetworkManager has stored during a rollback go back into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import guest_profiles
from kvmnet.system import programs


def _write(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.nmconnection"
    path.write_text(text)
    return str(path)


def test_only_new_profiles_of_guests_are_moved_to_memory(keyfiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tap = _write(keyfiles, "vnet0", "[connection]\nid=vnet0\nuuid=u-tap\ninterface-name=vnet0\n")
    old = _write(keyfiles, "vnet1", "[connection]\nid=vnet1\nuuid=u-old\ninterface-name=vnet1\n")
    _write(keyfiles, "office", "[connection]\nuuid=u-office\ninterface-name=eth7\n")
    before = {"guests": {"vnet0": {}, "vnet1": {}}, "host": {"keyfiles": {old: "x"}}}
    commands: list[tuple[str, ...]] = []

    def run(*argv: str, **_: Any) -> str:
        commands.append(argv)
        return 'o "/S/7"\n' if "GetConnectionByUuid" in argv else ""

    monkeypatch.setattr(programs, "run", run)
    assert guest_profiles.keep_guest_profiles_in_memory(before) == [tap]
    nm = "org.freedesktop.NetworkManager"
    settings = ("/org/freedesktop/NetworkManager/Settings", f"{nm}.Settings", "GetConnectionByUuid", "s", "u-tap")
    update = ("/S/7", f"{nm}.Settings.Connection", "Update2", "a{sa{sv}}ua{sv}", "0", "88", "0")
    assert commands == [("busctl", "call", nm, *settings), ("busctl", "call", nm, *update)]


def test_without_the_keyfiles_of_before_nothing_is_moved(keyfiles: Path) -> None:
    _write(keyfiles, "vnet0", "[connection]\nuuid=u-tap\ninterface-name=vnet0\n")
    assert guest_profiles.keep_guest_profiles_in_memory({"guests": {"vnet0": {}}}) == []
    assert guest_profiles.keep_guest_profiles_in_memory({}) == []
