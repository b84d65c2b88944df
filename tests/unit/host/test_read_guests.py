"""Tests of kvmnet/host/read_guests.py, with a simulated /sys."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kvmnet import hook
from kvmnet.core.live.running_guests import guest_of
from kvmnet.host import libvirt, read_guests
from tests.unit.core.live.samples import DOMAIN


def test_pci_functions_are_assigned_to_their_nics(tmp_path: Path) -> None:
    """A NIC with two virtual functions, one of which has an interface, and a NIC that is not on a PCI bus."""
    devices, net = tmp_path / "devices", tmp_path / "net"
    for address in ("0000:03:00.0", "0000:03:10.0", "0000:03:10.1"):
        (devices / address).mkdir(parents=True)
        (devices / address / "vendor").write_text("0x8086\n")
    for number, address in enumerate(("0000:03:10.0", "0000:03:10.1")):
        (devices / "0000:03:00.0" / f"virtfn{number}").symlink_to(devices / address)
        (devices / address / "physfn").symlink_to(devices / "0000:03:00.0")
    for name, address in (("eth0", "0000:03:00.0"), ("eth0v0", "0000:03:10.0")):
        (net / name).mkdir(parents=True)
        (net / name / "device").symlink_to(devices / address)
    (net / "usb0" / "device").mkdir(parents=True)
    functions, parents = read_guests.read_functions(net, ["eth0", "eth0v0", "usb0", "gone"])
    assert functions == {"0000:03:00.0": "eth0", "0000:03:10.0": "eth0v0", "0000:03:10.1": "eth0"}
    assert parents == {"eth0v0": "eth0"}


def test_without_an_answer_of_libvirt_guests_are_read_from_its_status_files(
    libvirt_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only of guests whose process exists."""
    monkeypatch.setattr(libvirt, "_binding", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(hook, "STATUS_DIR", str(libvirt_host))
    (libvirt_host / "g.xml").write_text(f"<domstatus pid='{os.getpid()}'>{DOMAIN}</domstatus>")
    gone = DOMAIN.replace("compute-0-0-0", "gone")
    (libvirt_host / "gone.xml").write_text(f"<domstatus pid='{2**22 + 1}'>{gone}</domstatus>")
    running = read_guests.read_running({})
    assert ([guest.name for guest in running.guests], bool(running.problem)) == (["compute-0-0-0"], True)
    assert running.guests == (guest_of(DOMAIN),)


def test_stopped_guests_and_networks_are_read_from_libvirts_definitions(
    libvirt_host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether libvirt runs or not; a domain that is running is not stopped."""
    monkeypatch.setattr(libvirt, "DEFINITIONS", str(tmp_path / "qemu"))
    monkeypatch.setattr(libvirt, "_binding", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(hook, "STATUS_DIR", str(libvirt_host))
    (libvirt_host / "g.xml").write_text(f"<domstatus pid='{os.getpid()}'>{DOMAIN}</domstatus>")
    (tmp_path / "qemu" / "networks").mkdir(parents=True)
    (tmp_path / "qemu" / "autostart").mkdir()
    comment = "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n"
    (tmp_path / "qemu" / "db1.xml").write_text(comment + DOMAIN.replace("compute-0-0-0", "db1"))
    (tmp_path / "qemu" / "running.xml").write_text(DOMAIN)
    (tmp_path / "qemu" / "broken.xml").write_text("<domain")
    network = "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>"
    (tmp_path / "qemu" / "networks" / "lan.xml").write_text(comment + network)
    running = read_guests.read_running({})
    assert ([guest.name for guest in running.stopped], running.bridges) == (["db1"], {"lan": "br0"})
