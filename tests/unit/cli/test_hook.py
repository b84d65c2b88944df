"""Tests of `kvmnet hook`: install, status, reconcile, remove."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kvmnet import hook
from kvmnet.cli.main import main
from kvmnet.core.base.errors import Refused
from kvmnet.host import hook_installation
from kvmnet.system import programs
from kvmnet.system.errors import HostError
from tests.unit.host.samples import System


def hook_cli(capfdbinary: Any, *words: str) -> tuple[int, str, str]:
    code = main(["hook", *words])
    out, err = capfdbinary.readouterr()
    return code, out.decode(), err.decode()


def test_a_second_install_changes_nothing(system: System, tmp_path: Path, capfdbinary: Any) -> None:
    assert hook_installation.is_missing()
    assert hook_cli(capfdbinary, "status")[0] == 1
    code, out, _ = hook_cli(capfdbinary, "install")
    assert code == 0 and out.count("wrote ") == 3
    assert "restarted virtqemud.service" in out and "removed peth0.2\n" in out
    put = tmp_path / "libvirt/hooks/qemu.d/kvmnet"
    assert put.read_bytes() == Path(hook.__file__).read_bytes() and put.stat().st_mode & 0o777 == 0o755
    assert put.read_text().startswith("#!/usr/bin/python3 -I\n")
    assert "systemctl restart virtqemud.service" in system.commands
    assert "systemctl restart libvirtd.service" not in system.commands
    assert not hook_installation.is_missing()
    system.commands.clear()
    assert "wrote" not in hook_cli(capfdbinary, "install")[1]
    assert not [words for words in system.commands if "restart" in words]
    code, out, _ = hook_cli(capfdbinary, "status")
    assert code == 0 and "the hook is installed\n" in out and "  peth0.2: one\n" in out


@pytest.mark.parametrize(
    ("enforce", "allowed", "is_blocked"),
    [("1", "0 0", True), ("1", "1 1", False), ("0", "0 0", False), ("1", None, False)],
)
def test_a_warning_is_printed_if_selinux_blocks_the_hook(
    system: System, tmp_path: Path, capfdbinary: Any, monkeypatch: Any, enforce: str, allowed: Any, is_blocked: bool
) -> None:
    monkeypatch.setattr(hook_installation, "SELINUX", str(tmp_path))
    (tmp_path / "booleans").mkdir()
    (tmp_path / "enforce").write_text(enforce)
    if allowed is not None:
        (tmp_path / "booleans/virt_hooks_unconfined").write_text(allowed)
    for verb in ("install", "status"):
        code, _, err = hook_cli(capfdbinary, verb)
        assert code == 0 and ("setsebool -P virt_hooks_unconfined on" in err) is is_blocked


def test_status_prints_why_there_are_no_allowed_devices(system: System, capfdbinary: Any, monkeypatch: Any) -> None:
    hook_installation.install(lambda _: None)
    assert "VLAN devices that the hook creates on demand: peth0.2\n" in hook_cli(capfdbinary, "status")[1]
    system.host = None
    assert "nothing is applied on this host" in hook_cli(capfdbinary, "status")[1]
    system.more = {"unreadable": True}
    code, out, _ = hook_cli(capfdbinary, "status")
    assert code == 0 and "run as root to see" in out and "none" not in out
    assert json.loads(hook_cli(capfdbinary, "status", "--json")[1])["unreadable"] is True
    system.more = {"damaged": "/x/hook.json is damaged"}
    code, out, _ = hook_cli(capfdbinary, "status")
    assert code == 1 and "/x/hook.json is damaged: run `kvmnet apply` to write it again" in out


def test_a_hook_that_cannot_run_does_not_count_as_installed(system: System, capfdbinary: Any) -> None:
    hook_installation.install(lambda _: None)
    assert hook_cli(capfdbinary, "status")[0] == 0
    Path(hook_installation.HOOK).chmod(0o644)
    code, out, _ = hook_cli(capfdbinary, "status")
    assert code == 1 and f"differs from this version of kvmnet: {hook_installation.HOOK}\n" in out
    assert f"wrote {hook_installation.HOOK}\n" in hook_cli(capfdbinary, "install")[1]
    assert hook_cli(capfdbinary, "status")[0] == 0
    system.enabled = False
    code, out, _ = hook_cli(capfdbinary, "status")
    assert code == 1 and "the hook's systemd unit is disabled, so it does not run when libvirt starts" in out
    assert f"enabled {hook_installation.UNIT}\n" in hook_cli(capfdbinary, "install")[1]
    assert hook_cli(capfdbinary, "status")[0] == 0


def test_a_file_of_another_version_is_reported(system: System, capfdbinary: Any) -> None:
    hook_installation.install(lambda _: None)
    Path(hook_installation.HOOK).write_text("#!/bin/sh\n")
    code, out, _ = hook_cli(capfdbinary, "status")
    assert code == 1 and f"differs from this version of kvmnet: {hook_installation.HOOK}\n" in out
    found = json.loads(hook_cli(capfdbinary, "status", "--json")[1])
    assert (found["installed"], found["other_version"], found["missing"]) == (False, [hook_installation.HOOK], [])


def test_remove_prints_the_devices_that_are_kept(
    system: System, tmp_path: Path, capfdbinary: Any, monkeypatch: Any
) -> None:
    hook_installation.install(lambda _: None)
    (tmp_path / "run/vlans").mkdir(parents=True)
    (tmp_path / "run/vlans/lo").write_text("{}")  # a device that every host has
    code, out, _ = hook_cli(capfdbinary, "remove")
    assert code == 0 and "lo is kept (no known guest); remove it when no guest needs it: ip link delete lo\n" in out
    assert not any(
        Path(path).exists() for path in (hook_installation.HOOK, hook_installation.RULE, hook_installation.UNIT_FILE)
    )
    assert f"systemctl disable {hook_installation.UNIT}" in system.commands
    (tmp_path / "run/vlans/lo").unlink()
    assert hook_cli(capfdbinary, "remove")[1] == "the hook is removed\n"
    code, _, err = hook_cli(capfdbinary, "reconcile")
    assert code == 5 and "kvmnet hook install" in err


def test_install_is_refused_without_libvirt_or_root(
    system: System, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(hook_installation.LIBVIRT).rmdir()
    assert not hook_installation.is_missing()
    with pytest.raises(Refused, match="libvirt is not installed"):
        hook_installation.install(lambda _: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for verb in ("install", "remove", "reconcile"):
        assert hook_cli(capfdbinary, verb)[0] == 5


def test_a_failed_program_is_an_error_message(
    system: System, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*argv: str, **_: Any) -> str:
        raise HostError("udevadm: not found")

    monkeypatch.setattr(programs, "run", fails)
    code, _, err = hook_cli(capfdbinary, "install")
    assert code == 1 and "kvmnet: udevadm: not found\n" in err
