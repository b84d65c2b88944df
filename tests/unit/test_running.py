"""What libvirt and sysfs say of guests, read from texts as libvirt 9 to 11 prints them, and from a made-up /sys."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet import hook
from kvmnet.core.live.running_guests import GuestNic, RoutedNetwork, Running, RunningGuest, guest_of, network_of
from kvmnet.host import libvirt, read_guests
from kvmnet.system import programs
from kvmnet.system.errors import HostError

DOMAIN = """\
<domain type='kvm' id='3'>
  <name>compute-0-0-0</name>
  <uuid>d6a0a3c2-9f3b-4d0c-8d7b-d1a6ad6c5a11</uuid>
  <metadata><x:domain xmlns:x='urn:x'/></metadata>
  <devices>
    <interface type='bridge'>
      <mac address='36:77:6E:C0:00:01'/>
      <source bridge='eth0'/>
      <target dev='vnet0'/>
      <model type='virtio'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </interface>
    <interface type='direct'>
      <mac address='36:77:6e:c0:00:02'/>
      <source dev='peth0.2' mode='bridge'/>
      <target dev='macvtap0'/>
    </interface>
    <interface type='ethernet'>
      <mac address='36:77:6e:c0:00:03'/>
      <target dev='mvt-c00003' managed='no'/>
    </interface>
    <interface type='network'>
      <mac address='36:77:6e:c0:00:04'/>
      <source network='default' portid='x' bridge='virbr0'/>
      <target dev='vnet1'/>
    </interface>
    <interface type='hostdev' managed='yes'>
      <mac address='36:77:6e:c0:00:05'/>
      <source><address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x1'/></source>
    </interface>
    <interface type='user'/>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0xaf' slot='0x00' function='0x0'/></source>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </hostdev>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/></source></hostdev>
  </devices>
</domain>
"""
NAT = """<network connections='1'>
  <name>default</name>
  <forward mode='nat' dev='eth1'><nat/><interface dev='eth1'/><interface dev='eth2'/></forward>
  <bridge name='virbr0'/>
</network>
"""


def test_a_domain() -> None:
    mac = "36:77:6e:c0:00:0"
    assert guest_of(DOMAIN) == RunningGuest(
        "compute-0-0-0",
        (
            GuestNic("bridge", "vnet0", "eth0", mac=f"{mac}1"),
            GuestNic("direct", "macvtap0", "peth0.2", mac=f"{mac}2"),
            GuestNic("ethernet", "mvt-c00003", mac=f"{mac}3"),
            GuestNic("network", "vnet1", "virbr0", "default", mac=f"{mac}4"),
            GuestNic("hostdev", pci="0000:03:10.1", mac=f"{mac}5"),
            GuestNic("user"),
            GuestNic("hostdev", pci="0000:af:00.0"),
        ),
    )
    assert (guest_of(NAT), guest_of("<domain"), guest_of("")) == (None, None, None)


def test_a_network_that_the_host_routes_and_those_that_it_does_not() -> None:
    assert network_of(NAT) == RoutedNetwork("default", ("eth1", "eth2"))
    assert network_of("<network><name>n</name><forward/></network>") == RoutedNetwork("n")
    for other in ("<forward mode='bridge'/><bridge name='eth0'/>", "", "<forward mode='hostdev'/>"):
        assert network_of(f"<network><name>n</name>{other}</network>") is None
    assert network_of("no") is None


def test_a_reading_is_recorded_whole() -> None:
    found = guest_of(DOMAIN)
    assert found is not None
    one = Running((found,), (RoutedNetwork("n", ("eth1",)),), {"0000:03:00.0": "eth0"}, {"v": "eth0"}, ("m",), "why")
    assert Running.from_json(one.to_json()) == one
    assert Running.from_json({}) == Running()


def test_functions_of_nics(tmp_path: Path) -> None:
    """A NIC, two of its virtual functions, of which one has an interface here; a NIC on no PCI bus."""
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


# ---- libvirt, and none


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a libvirt that listens, without its Python binding."""
    (tmp_path / "socket").touch()
    monkeypatch.setattr(libvirt, "SOCKETS", (str(tmp_path / "no"), str(tmp_path / "socket")))
    monkeypatch.setattr(libvirt, "STATUS_DIR", str(tmp_path))
    monkeypatch.setattr(libvirt, "_binding", lambda: None)
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/bin/virsh")
    return tmp_path


def test_a_host_without_libvirt_needs_neither(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run, nothing imported."""
    (here / "socket").unlink()
    monkeypatch.setattr(programs, "run", lambda *_, **__: pytest.fail("something was run"))
    monkeypatch.setattr(libvirt, "_binding", lambda: pytest.fail("something was imported"))
    assert libvirt.ask_libvirt() == libvirt.Told()
    assert read_guests.read_running({}) == Running()
    (here / "g.xml").touch()
    with pytest.raises(libvirt.LibvirtError, match="guests run here, but libvirt does not"):
        libvirt.ask_libvirt()


def test_virsh_is_called_twice_for_any_number_of_guests(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def virsh(*argv: str, timeout: float) -> str:
        calls.append(argv[-1])
        if argv[-1].startswith("net-list"):
            return "n-1\n\n= kvmnet =\nu-1\nu-2\n\n"
        return f"{DOMAIN}\n{DOMAIN}\n" if "u-1" in argv[-1] else f"{NAT}\n"

    monkeypatch.setattr(programs, "run", virsh)
    assert libvirt.ask_libvirt() == libvirt.Told((DOMAIN.rstrip(), DOMAIN.rstrip()), (NAT.rstrip(),))
    assert calls == [
        "net-list --uuid; echo = kvmnet =; list --uuid",
        "dumpxml u-1; dumpxml u-2; echo",
        "net-dumpxml n-1; echo",
    ]
    assert [g.name for g in read_guests.read_running({}).guests] == ["compute-0-0-0"] * 2


def test_a_libvirt_that_does_not_answer_is_told_and_not_waited_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*argv: str, timeout: float) -> str:
        raise HostError(f"{' '.join(argv)}: no answer within {timeout:.0f} s")

    monkeypatch.setattr(programs, "run", hangs)
    assert read_guests.read_running({}).problem == "no answer within 8 s"
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert "neither its Python binding nor virsh" in read_guests.read_running({}).problem


def test_without_an_answer_its_own_notes_tell_the_guests(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those whose process is there still."""
    monkeypatch.setattr(libvirt, "_binding", lambda: None)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr(hook, "STATUS_DIR", str(here))
    (here / "g.xml").write_text(f"<domstatus pid='{os.getpid()}'>{DOMAIN}</domstatus>")
    gone = DOMAIN.replace("compute-0-0-0", "gone")
    (here / "gone.xml").write_text(f"<domstatus pid='{2**22 + 1}'>{gone}</domstatus>")
    found = read_guests.read_running({})
    assert ([guest.name for guest in found.guests], bool(found.problem)) == (["compute-0-0-0"], True)
    assert found.guests == (guest_of(DOMAIN),)


def test_the_names_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked in the same way, so by the binding too; not known where no libvirt listens."""
    monkeypatch.setattr(libvirt, "ask_libvirt", lambda: libvirt.Told((DOMAIN, "<torn")))
    assert libvirt.running_guests() == ["compute-0-0-0"]
    monkeypatch.setattr(libvirt, "ask_libvirt", libvirt.Told)
    assert libvirt.running_guests() == []
    (here / "socket").unlink()
    assert libvirt.running_guests() is None


class LibvirtError(Exception):
    """What the binding raises."""


class One:
    def __init__(self, xml: str) -> None:
        self._xml = xml

    def XMLDesc(self) -> str:
        if not self._xml:
            raise LibvirtError("it went")
        return self._xml


def binding(**more: Any) -> Any:
    connection = SimpleNamespace(
        listAllDomains=lambda _: [One(DOMAIN), One("")], listAllNetworks=lambda _: [One(NAT)], close=lambda: None
    )
    constants = {"VIR_CONNECT_LIST_DOMAINS_ACTIVE": 1, "VIR_CONNECT_LIST_NETWORKS_ACTIVE": 2}
    calls = {"openReadOnly": lambda _: connection, "registerErrorHandler": lambda *_: None}
    return SimpleNamespace(libvirtError=LibvirtError, **{**constants, **calls, **more})


def test_the_binding_comes_before_virsh(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "run", lambda *_, **__: pytest.fail("virsh was run"))
    monkeypatch.setattr(libvirt, "_binding", binding)
    assert libvirt.ask_libvirt() == libvirt.Told((DOMAIN,), (NAT,))

    def refuses(_: str) -> None:
        raise LibvirtError("Failed to connect socket")

    monkeypatch.setattr(libvirt, "_binding", lambda: binding(openReadOnly=refuses))
    assert read_guests.read_running({}).problem == "Failed to connect socket"
    monkeypatch.setattr(libvirt, "_binding", lambda: binding(openReadOnly=lambda _: time.sleep(5)))
    began = time.monotonic()
    with pytest.raises(libvirt.LibvirtError, match="no answer within 0 s"):
        libvirt.ask_libvirt(0.2)
    assert time.monotonic() - began < 3
