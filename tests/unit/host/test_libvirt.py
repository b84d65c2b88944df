"""Tests of kvmnet/host/libvirt.py: by the Python binding, by virsh, and without libvirt."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.core.live.running_guests import Running
from kvmnet.host import libvirt, read_guests
from kvmnet.system import programs
from kvmnet.system.errors import HostError
from tests.unit.core.live.samples import DOMAIN, NAT


def test_on_a_host_without_libvirt_nothing_is_run_or_imported(
    libvirt_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (libvirt_host / "socket").unlink()
    monkeypatch.setattr(programs, "run", lambda *_, **__: pytest.fail("a program was run"))
    monkeypatch.setattr(libvirt, "_binding", lambda: pytest.fail("a module was imported"))
    assert libvirt.read_libvirt_xml() == libvirt.LibvirtXml()
    assert read_guests.read_running({}) == Running()
    (libvirt_host / "g.xml").touch()
    with pytest.raises(libvirt.LibvirtError, match="guests are running, but libvirt is not"):
        libvirt.read_libvirt_xml()


def test_virsh_is_called_three_times_for_any_number_of_guests(
    libvirt_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def virsh(*argv: str, timeout: float) -> str:
        calls.append(argv[-1])
        if argv[-1].startswith("net-list"):
            return "n-1\n\n= kvmnet =\nu-1\nu-2\n\n"
        return f"{DOMAIN}\n{DOMAIN}\n" if "u-1" in argv[-1] else f"{NAT}\n"

    monkeypatch.setattr(programs, "run", virsh)
    assert libvirt.read_libvirt_xml() == libvirt.LibvirtXml((DOMAIN.rstrip(), DOMAIN.rstrip()), (NAT.rstrip(),))
    assert calls == [
        "net-list --uuid; echo = kvmnet =; list --uuid",
        "dumpxml u-1; dumpxml u-2; echo",
        "net-dumpxml n-1; echo",
    ]
    assert [g.name for g in read_guests.read_running({}).guests] == ["compute-0-0-0"] * 2


def test_a_libvirt_that_does_not_answer_is_reported_after_the_timeout(
    libvirt_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(*argv: str, timeout: float) -> str:
        raise HostError(f"{' '.join(argv)}: no answer within {timeout:.0f} s")

    monkeypatch.setattr(programs, "run", hangs)
    assert read_guests.read_running({}).problem == "no answer within 8 s"
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert "neither its Python binding nor virsh is installed" in read_guests.read_running({}).problem


def test_the_names_of_running_guests(libvirt_host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None stands for a host on which libvirt is not running."""
    monkeypatch.setattr(libvirt, "read_libvirt_xml", lambda: libvirt.LibvirtXml((DOMAIN, "<torn")))
    assert libvirt.list_running_guests() == ["compute-0-0-0"]
    monkeypatch.setattr(libvirt, "read_libvirt_xml", libvirt.LibvirtXml)
    assert libvirt.list_running_guests() == []
    (libvirt_host / "socket").unlink()
    assert libvirt.list_running_guests() is None


class LibvirtError(Exception):
    """The error class of the binding."""


class One:
    def __init__(self, xml: str) -> None:
        self._xml = xml

    def XMLDesc(self) -> str:
        if not self._xml:
            raise LibvirtError("it has ended")
        return self._xml


def binding(**more: Any) -> Any:
    connection = SimpleNamespace(
        listAllDomains=lambda _: [One(DOMAIN), One("")], listAllNetworks=lambda _: [One(NAT)], close=lambda: None
    )
    constants = {"VIR_CONNECT_LIST_DOMAINS_ACTIVE": 1, "VIR_CONNECT_LIST_NETWORKS_ACTIVE": 2}
    calls = {"openReadOnly": lambda _: connection, "registerErrorHandler": lambda *_: None}
    return SimpleNamespace(libvirtError=LibvirtError, **{**constants, **calls, **more})


def test_the_binding_is_used_before_virsh(libvirt_host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "run", lambda *_, **__: pytest.fail("virsh was run"))
    monkeypatch.setattr(libvirt, "_binding", binding)
    assert libvirt.read_libvirt_xml() == libvirt.LibvirtXml((DOMAIN,), (NAT,))

    def refuses(_: str) -> None:
        raise LibvirtError("Failed to connect socket")

    monkeypatch.setattr(libvirt, "_binding", lambda: binding(openReadOnly=refuses))
    assert read_guests.read_running({}).problem == "Failed to connect socket"
    monkeypatch.setattr(libvirt, "_binding", lambda: binding(openReadOnly=lambda _: time.sleep(5)))
    began = time.monotonic()
    with pytest.raises(libvirt.LibvirtError, match="no answer within 0 s"):
        libvirt.read_libvirt_xml(0.2)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("installed", "output", "expected"),
    [
        ("virtqemud", "virtqemud (libvirt) 11.3.0", "11.3.0"),
        ("libvirtd", "libvirtd (libvirt) 9.0.0", "9.0.0"),
        ("virsh", "10.0.0", "10.0.0"),
        ("virsh", "?", ""),
        ("", "", ""),
    ],
)
def test_the_version_of_libvirt_is_that_of_its_daemon_or_client(
    monkeypatch: pytest.MonkeyPatch, installed: str, output: str, expected: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path: name if name == installed else None)
    monkeypatch.setattr(programs, "run", lambda *argv: output if argv == (installed, "--version") else pytest.fail())
    assert libvirt.read_version() == expected
