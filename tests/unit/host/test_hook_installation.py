"""The installation of libvirt's hook: its files, its udev rule and its unit."""

from __future__ import annotations

from pathlib import Path

from kvmnet.host import hook_installation
from tests.unit.host.samples import System


def test_the_unit_and_the_udev_rule_have_the_right_content(system: System) -> None:
    hook_installation.install(lambda _: None, restart=False)
    unit, rule = Path(hook_installation.UNIT_FILE).read_text(), Path(hook_installation.RULE).read_text()
    for words in ("After=", "WantedBy="):
        assert f"{words}libvirtd.service virtqemud.service\n" in unit
    assert "/usr/bin/python3 -I /etc/libvirt/hooks/qemu.d/kvmnet --reconcile\n" in unit
    assert 'TEST=="/run/kvmnet/guests/vlans/$name", ENV{NM_UNMANAGED}="1"\n' in rule
    assert not [words for words in system.commands if "restart" in words]


def test_the_hook_and_its_files_are_installed_and_removed(system: System) -> None:
    lines: list[str] = []
    assert hook_installation.is_missing()
    hook_installation.install(lines.append, restart=False)
    files = (hook_installation.RULE, hook_installation.UNIT_FILE, hook_installation.HOOK)
    assert [line for line in lines if line.startswith("wrote ")] == [f"wrote {file}" for file in files]
    installation = hook_installation.read_installation()
    assert (installation.installed, installation.missing, installation.differing) == (True, (), ())
    hook_installation.remove(lines.append)
    assert not any(Path(file).exists() for file in files) and hook_installation.is_missing()
    assert hook_installation.read_installation().missing == files
