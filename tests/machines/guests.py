"""Guests on a lab machine: real libvirt and qemu (emulated), without an operating system in the guest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from tests.machines.machine import Machine, Result

_QEMU_CONF = """user = "root"
group = "root"
cgroup_controllers = []
namespaces = []
security_driver = "none"
remember_owner = 0
"""

#: A loop around Arm's "wait for interrupt": a guest that runs without load.
_IDLE = bytes.fromhex("7f2003d5ffffff17")

#: An Arm machine starts in seconds. For an x86 one libvirt queries each of 460 CPU features, and qemu reads each query
#: byte by byte (40 s on a busy machine).
_DOMAIN = """<domain type='qemu'>
  <!-- a guest of the lab -->
  <name>{name}</name>
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='aarch64' machine='virt'>hvm</type><kernel>/var/lib/lab-idle</kernel></os>
  <cpu mode='custom'><model>cortex-a53</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-aarch64</emulator>
  </devices>
</domain>
"""


#: Emulators that are removed: libvirt queries the capabilities of each, which takes seconds.
_UNUSED = ("qemu-system-i386", "qemu-system-arm", "qemu-system-x86_64-microvm", "qemu-system-amd64")


#: A machine whose NICs' boot ROMs use DHCP, one after the other. kvmnet adds the NICs.
_BOOTING = """<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
{nics}
  </devices>
</domain>
"""


def start_libvirt(machine: Machine) -> None:
    """Start libvirt, without cgroups and security labels, which the machines do not have; now and after each boot."""
    machine.put("/etc/libvirt/qemu.conf", _QEMU_CONF)
    machine.put("/var/lib/lab-idle", _IDLE)
    machine.run(f"cd /usr/bin && rm -f {' '.join(_UNUSED)}")
    machine.run("systemctl enable --now virtlogd.socket libvirtd.service", timeout=120)
    machine.until("virsh version", timeout=120)


def domain(name: str) -> str:
    """Return the XML of a domain without NICs."""
    return _DOMAIN.format(name=name)


def booting(name: str, *macs: str) -> str:
    """Return the XML of a domain that boots from the network, with its first NIC, then with the next."""
    nic = "    <interface type='user'><mac address='{}'/><boot order='{}'/></interface>"
    return _BOOTING.format(name=name, nics="\n".join(nic.format(mac, n) for n, mac in enumerate(macs, 1)))


def define(machine: Machine, guest: str, definition: str, xml: Optional[str] = None) -> None:
    """Define the domain of a guest of the definition, with the NICs that `kvmnet guest xml` prints."""
    machine.put(f"/root/{guest}.xml", xml or domain(guest))
    merged = f"kvmnet guest xml {guest} {definition} --domain /root/{guest}.xml > /root/{guest}.merged.xml"
    machine.run(f"{merged} && virsh --quiet define /root/{guest}.merged.xml", timeout=120)


def start(machine: Machine, guest: str) -> Result:
    return machine.run(["virsh", "--quiet", "start", guest], check=False, timeout=180)


def destroy(machine: Machine, guest: str) -> None:
    machine.run(["virsh", "--quiet", "destroy", guest], timeout=120)


@contextmanager
def running(machine: Machine, *guests: str) -> Iterator[None]:
    """Run these guests during the block."""
    on = []
    try:
        for guest in guests:
            result = start(machine, guest)
            assert result.code == 0, result
            on.append(guest)
        yield
    finally:
        for guest in on:
            machine.run(["virsh", "--quiet", "destroy", guest], check=False, timeout=120)
