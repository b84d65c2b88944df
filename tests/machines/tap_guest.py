"""A replacement for a guest without libvirt: a network namespace behind a tap, which a process holds like qemu."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.machines.machine import Job, Machine

#: Holds two taps and passes frames between them: one is the host's end, the other goes into the namespace.
_WIRE = """
import fcntl, os, select, struct, subprocess, sys
def tap(name):
    handle = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(handle, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF: a tap, without header
    return handle
name, bridge, address = sys.argv[1:]
def ip(*words):
    subprocess.run(["ip", *words], check=True)
outside, inside = tap(name), tap(name + "-in")
ip("netns", "add", name)
ip("link", "set", name + "-in", "netns", name, "up")
ip("-n", name, "address", "add", address, "dev", name + "-in")
ip("link", "set", name, "addrgenmode", "none")  # as libvirt, which turns IPv6 off on the host's end
ip("link", "set", name, *(["master", bridge] if bridge else []), "up")
print("on", flush=True)
other = {outside: inside, inside: outside}
while True:
    for handle in select.select([outside, inside], [], [])[0]:
        try:
            os.write(other[handle], os.read(handle, 65536))
        except OSError:
            pass
"""


def start(machine: Machine, tap: str, bridge: str, address: str) -> Job:
    """Start a guest with this address (and prefix length) on a bridge, or on none. It runs until its job is stopped, or
    the machine ends."""
    job = machine.start(["/usr/bin/python3", "-c", _WIRE, tap, bridge, address])
    machine.until(f"ip -n {tap} -o address show | grep -q {address}", timeout=20, every=0.2)
    return job


@contextmanager
def guest(machine: Machine, tap: str, bridge: str, address: str) -> Iterator[None]:
    """Run a guest with this address (and prefix length) on a bridge during the block; at its end the tap is removed."""
    job = start(machine, tap, bridge, address)
    try:
        yield
    finally:
        job.stop()
        machine.run(f"ip netns delete {tap}", check=False)
