"""Guests on a lab machine: real libvirt, real qemu (emulated), no guest system: the network boot ROM asks for DHCP."""

from __future__ import annotations

from tests.lab.machine import Machine

_QEMU_CONF = """user = "root"
group = "root"
cgroup_controllers = []
namespaces = []
security_driver = "none"
remember_owner = 0
"""

#: An Arm machine with nothing to boot: it starts in seconds here, where libvirt asks an x86 one for each of 460 CPU
#: features, and qemu reads each question byte by byte (40 s on a busy machine).
_DOMAIN = """<domain type='qemu'>
  <!-- a guest of the lab -->
  <name>{name}</name>
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='aarch64' machine='virt'>hvm</type></os>
  <cpu mode='custom'><model>cortex-a53</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-aarch64</emulator>
  </devices>
</domain>
"""


def start_libvirt(machine: Machine) -> None:
    """libvirt as it runs where there are neither cgroups nor security labels; now and after each boot."""
    machine.put("/etc/libvirt/qemu.conf", _QEMU_CONF)
    machine.run("systemctl enable --now virtlogd.socket libvirtd.service", timeout=120)
    machine.until("virsh --connect qemu:///system version", timeout=120)


def domain(name: str) -> str:
    """A domain without NICs."""
    return _DOMAIN.format(name=name)
