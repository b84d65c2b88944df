"""Tests of kvmnet/host/read_doctor.py: files below another root folder, and programs that are not there."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.core.live.host_facts import Service
from kvmnet.core.live.live_host import Link
from kvmnet.host import read_doctor
from kvmnet.host.networkmanager_dbus import NMError
from kvmnet.host.probing import Replies
from kvmnet.host.read_doctor import (
    UNITS,
    find_name_servers,
    find_unapplied_states,
    read_clock,
    read_files,
    read_host_facts,
)
from kvmnet.system import programs
from kvmnet.system.errors import HostError


def write(root: Path, path: str, text: str = "") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_files_of_a_host(tmp_path: Path) -> None:
    write(tmp_path, "sys/fs/selinux/enforce", "1")
    write(tmp_path, "sys/fs/selinux/booleans/virt_hooks_unconfined", "0 0")
    write(tmp_path, "proc/sys/net/bridge/bridge-nf-call-iptables", "1\n")
    write(tmp_path, "proc/sys/net/bridge/bridge-nf-call-ip6tables", "0\n")
    write(tmp_path, "proc/cmdline", "ro net.ifnames=0\n")
    write(tmp_path, "etc/sysconfig/network-scripts/ifcfg-eth0")
    write(tmp_path, "etc/sysconfig/network-scripts/ifcfg-lo")
    write(tmp_path, "etc/libvirt/hooks/qemu.d/kvmnet")
    assert read_files(tmp_path) == {
        "selinux": True,
        "booleans": {"virt_hooks_unconfined": False},
        "bridge_filters": ("net.bridge.bridge-nf-call-iptables",),
        "has_kvm": False,
        "has_hook": True,
        "nmstate_files": (),
        "ifcfg_files": ("/etc/sysconfig/network-scripts/ifcfg-eth0",),
        "options": ("ro", "net.ifnames=0"),
    }


def test_a_host_without_these_files(tmp_path: Path) -> None:
    files = read_files(tmp_path)
    assert files["selinux"] is None and files["booleans"] == {} and files["bridge_filters"] == ()


def test_states_without_a_mark(tmp_path: Path) -> None:
    for name in ("a.yml", "b.yml", "b.applied", "c.applied", "README"):
        write(tmp_path, f"etc/nmstate/{name}")
    assert list(find_unapplied_states(tmp_path)) == ["/etc/nmstate/a.yml"]


def test_name_servers_behind_a_local_stub(tmp_path: Path) -> None:
    write(tmp_path, "etc/resolv.conf", "search example.org\nnameserver 10.1.1.53\n nameserver 10.1.1.53\n")
    assert list(find_name_servers(tmp_path)) == ["10.1.1.53"]
    write(tmp_path, "etc/resolv.conf", "nameserver 127.0.0.53\n")
    assert list(find_name_servers(tmp_path)) == ["127.0.0.53"]
    write(tmp_path, "run/systemd/resolve/resolv.conf", "nameserver 10.1.1.54\n")
    assert list(find_name_servers(tmp_path)) == ["10.1.1.54"]


def test_a_host_without_any_program_is_read_as_far_as_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: str, **_: Any) -> str:
        raise HostError(f"{words[0]}: not found")

    class NoManager:
        def __init__(self) -> None:
            raise NMError("cannot connect to the system bus")

    monkeypatch.setattr(programs, "run", fail)
    monkeypatch.setattr(read_doctor, "NetworkManager", NoManager)
    monkeypatch.setattr(read_doctor, "find_replies", lambda probes, seconds: Replies())
    facts = read_host_facts(tmp_path, None, tmp_path)
    assert (facts.networkmanager, facts.networkmanager_problem) == ("", "cannot connect to the system bus")
    assert facts.libvirt == "" and facts.services == {} and facts.zones is None and not facts.open_transaction
    assert "systemctl: not found" in facts.problems


def test_a_name_server_in_a_guest_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    in_guest, outside = Probe("dns", "10.1.0.53"), Probe("dns", "10.1.1.53")
    monkeypatch.setattr(read_doctor, "find_replies", lambda *_: Replies([outside], {in_guest: "vnet3"}))
    assert read_doctor._find_silent(("10.1.0.53", "10.1.1.53", "10.1.1.54")) == ["10.1.1.54"]


def test_units_are_read_with_one_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[str, ...]] = []

    def run(*words: str, **_: Any) -> str:
        calls.append(words)
        if words[0] != "systemctl":
            raise HostError(f"{words[0]}: not found")
        block = "LoadState={}\nActiveState={}\nUnitFileState={}\n"
        blocks = [block.format("not-found", "inactive", "")] * (len(UNITS) - 1)
        return "\n".join([block.format("loaded", "active", "enabled-runtime"), *blocks])

    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(read_doctor, "read_links", lambda: {"eth0": Link("eth0", "00:14:4f:80:de:00", None)})
    facts = read_host_facts(tmp_path, frozenset(), tmp_path)
    assert facts.service("NetworkManager") == Service(True, True, True) and facts.service("libvirtd") == Service()
    assert [words[0] for words in calls].count("systemctl") == 1


@pytest.mark.parametrize("error, expected", [(500, True), (15_999_999, True), (16_000_000, False)])
def test_the_clock_is_synchronized_while_its_error_is_small(
    error: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Libc:
        def adjtimex(self, buffer: Any) -> int:
            struct.pack_into("@illl", buffer, 0, 0, 0, 0, error)
            return 5

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())
    assert read_clock() is expected


def test_the_clock_of_this_machine_can_be_read() -> None:
    assert read_clock() in (True, False)
