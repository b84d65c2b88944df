"""A VLAN-aware bridge with a guest in one VLAN and a guest with a trunk: which frames pass at both ends.

In trixie they are guests of libvirt, which sets the VLANs of their taps. The libvirt of bookworm cannot: it is refused,
and the guests are taps whose VLANs the test sets. Each test continues with the host of the previous one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.lab.transactions import apply, online
from tests.machines import guests, picture
from tests.machines.machine import Machine
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, host_and_peer, seed_host
from tests.machines.tap_guest import guest
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

ACCESS, TRUNK = "access-0", "trunk-0"
MACS = {ACCESS: "52:54:00:00:00:01", TRUNK: "52:54:00:00:00:02"}
DEFINITION = f"""kvmnet: 1
cluster: trunk
profile: plain
networks:
  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}
  v20: {{vlan: 20, over: private}}
  v21: {{vlan: 21, over: private}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0:
        network: private
        mac: {HOST_MAC}
        addresses: [{HOST_ADDRESS}]
        bridge: {{name: br0, vlan_filtering: true}}
guests:
  {ACCESS}: {{host: host, nics: [{{network: v20, mac: "{MACS[ACCESS]}"}}]}}
  {TRUNK}: {{host: host, nics: [{{networks: [v20, v21], native: private, mac: "{MACS[TRUNK]}"}}]}}
"""
AWARE = "bridge: {name: br0, vlan_filtering: true}"
NOTHING = "host: nothing to do: the host matches the definition\n"
PROFILE = "/etc/NetworkManager/system-connections/eth0.nmconnection"

#: Sends broadcasts with the VLAN IDs 0 (no tag), 20, 21 and 22, or prints those that arrive: the tag that each has, and
#: the one that it was sent with. The device is a NIC, or `PID:TAP`: qemu's end of a tap, by a copy of its descriptor.
FRAMES = """
import ctypes, fcntl, json, os, re, select, socket, struct, sys, time
verb, device = sys.argv[1:3]
HEAD = b"\\xff" * 6 + bytes.fromhex("525400aa0001")
def frame(tag):
    return HEAD + (struct.pack("!HH", 0x8100, tag) if tag else b"") + b"\\x88\\xb5" + (b"<%d>" % tag).ljust(50)
def found(data, tag):
    match = re.search(rb"(?s)(?:\\x81\\x00(..))?\\x88\\xb5<(\\d+)>", data)
    if match is None:
        return None
    return (int.from_bytes(match[1], "big") & 4095 if match[1] else tag), int(match[2])
pid, _, tap = device.rpartition(":")
if pid:
    (theirs,) = [
        int(fd) for fd in os.listdir(f"/proc/{pid}/fd") if f"iff:\\t{tap}\\n" in open(f"/proc/{pid}/fdinfo/{fd}").read()
    ]
    call = ctypes.CDLL(None, use_errno=True).syscall
    handle = call(438, call(434, int(pid), 0), theirs, 0)  # pidfd_getfd, pidfd_open
    assert handle >= 0, os.strerror(ctypes.get_errno())
    flags = struct.unpack("16xH22x", fcntl.ioctl(handle, 0x800454D2, bytes(40)))[0]  # TUNGETIFF
    head = struct.unpack("i", fcntl.ioctl(handle, 0x800454D7, bytes(4)))[0] if flags & 0x4000 else 0  # TUNGETVNETHDRSZ
    send = lambda data: os.write(handle, bytes(head) + data)
    receive = lambda: (os.read(handle, 65536), 0)
else:
    handle = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    handle.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
    handle.bind((device, 0))
    send = handle.send
    def receive():
        data, more, _, where = handle.recvmsg(2000, 100)
        tag = 0
        for level, kind, value in more:
            if (level, kind) == (263, 8):
                status, tci = struct.unpack("I12xH2x", value[:20])
                tag = tci & 4095 if status & 0x10 else 0  # TP_STATUS_VLAN_VALID
        return (data if where[2] != 4 else b""), tag  # PACKET_OUTGOING
if verb == "send":
    for _ in range(3):
        for tag in (0, 20, 21, 22):
            send(frame(tag))
        time.sleep(0.1)
else:
    while pid and select.select([handle], [], [], 0)[0]:  # what waits at the end of a guest without a system
        receive()
    print("listening", flush=True)
    seen, until = set(), time.monotonic() + 6
    while (left := until - time.monotonic()) > 0:
        if select.select([handle], [], [], left)[0]:
            seen.add(found(*receive()))
    print(json.dumps(sorted(seen - {None})))
"""


@pytest.fixture(scope="module")
def machines(lab: None, generation: str, wire: Wire) -> Iterator[tuple[Machine, Machine]]:
    """The host with libvirt, before kvmnet, and its gateway."""
    with host_and_peer(generation, wire, memory="2G", variant="guests") as (host, peer):
        seed_host(host)
        guests.start_libvirt(host)
        host.put("/root/cluster.yaml", DEFINITION)
        for machine in (host, peer):
            machine.put("/root/frames.py", FRAMES)
        yield host, peer


@pytest.fixture(scope="module")
def before(machines: tuple[Machine, Machine]) -> dict[str, Any]:
    """The host before kvmnet."""
    return picture.without_metrics(picture.whole(machines[0]))


def has_new_libvirt(host: Machine) -> bool:
    return host.generation != "bookworm"


def options(host: Machine) -> list[str]:
    return [] if has_new_libvirt(host) else ["--allow", "KVN546"]


def change(host: Machine, definition: str) -> None:
    host.put("/root/cluster.yaml", definition)
    result = apply(host, *options(host))
    assert result.code == 0, result


@contextmanager
def running(host: Machine) -> Iterator[None]:
    """Run both guests during the block."""
    if has_new_libvirt(host):
        with guests.running(host, ACCESS, TRUNK):
            yield
        return
    with ExitStack() as stack:
        for tap, vlans in (
            ("access", ["vid 20 pvid untagged"]),
            ("trunk", ["vid 1 pvid untagged", "vid 20", "vid 21"]),
        ):
            stack.enter_context(guest(host, tap, "br0", "192.0.2.1/24"))
            host.run(f"bridge vlan del dev {tap} vid 1")
            for vlan in vlans:
                host.run(f"bridge vlan add dev {tap} {vlan}")
        yield


def end_of(host: Machine, name: str) -> tuple[str, str]:
    """Return where frames.py runs for a guest: a prefix of its command, and the device."""
    if has_new_libvirt(host):
        pid = host.out(f"cat /run/libvirt/qemu/{name}.pid")
        tap = host.out(f"virsh --quiet domiflist {name} | awk '{{print $1}}'")
        return "", f"{pid}:{tap}"
    tap = name.partition("-")[0]
    return f"ip netns exec {tap} ", f"{tap}-in"


def received(machines: tuple[Machine, Machine], name: str) -> list[list[int]]:
    """Return the frames of the other machine that reach a guest: the tag that each has there, and had on the wire."""
    host, peer = machines
    prefix, device = end_of(host, name)
    job = host.start(f"{prefix}/usr/bin/python3 -u /root/frames.py listen {device}")
    host.until("pgrep -f 'frames.py listen' && sleep 1", timeout=20)
    peer.run("/usr/bin/python3 /root/frames.py send eth0", timeout=30)
    return list(json.loads(job.wait(30, check=True).stdout.splitlines()[-1]))


def sent(machines: tuple[Machine, Machine], name: str) -> list[list[int]]:
    """Return the frames of a guest that reach the other machine: the tag that each has on the wire, and had there."""
    host, peer = machines
    prefix, device = end_of(host, name)
    job = peer.start("/usr/bin/python3 -u /root/frames.py listen eth0")
    peer.until("pgrep -f 'frames.py listen' && sleep 1", timeout=20)
    host.run(f"{prefix}/usr/bin/python3 /root/frames.py send {device}", timeout=30)
    return list(json.loads(job.wait(30, check=True).stdout.splitlines()[-1]))


def assert_frames_pass(machines: tuple[Machine, Machine]) -> None:
    """Check the frames of both guests at both ends."""
    assert received(machines, ACCESS) == [[0, 20]]
    # the kernel takes frames that have the tag of an access port's VLAN already; they are in the same VLAN
    assert sent(machines, ACCESS) == [[20, 0], [20, 20]]
    assert received(machines, TRUNK) == [[0, 0], [20, 20], [21, 21]]
    assert sent(machines, TRUNK) == [[0, 0], [20, 20], [21, 21]]


def vlans_of(host: Machine, port: str) -> str:
    return " ".join(host.out(f"bridge vlan show dev {port}").split()[2:])


def test_an_old_libvirt_is_refused(machines: tuple[Machine, Machine], before: dict[str, Any]) -> None:
    host = machines[0]
    result = apply(host) if not has_new_libvirt(host) else host.run("kvmnet plan /root/cluster.yaml", check=False)
    assert (result.code == 5 and "KVN546" in result.stderr) is not has_new_libvirt(host), result
    printed = host.run(f"kvmnet guest xml {ACCESS} /root/cluster.yaml", check=False)
    assert ("KVN565" in printed.stderr) is not has_new_libvirt(host), printed
    allow = "" if has_new_libvirt(host) else "--allow KVN565"
    assert "<vlan><tag id='20'/></vlan>" in host.out(f"kvmnet guest xml {allow} {ACCESS} /root/cluster.yaml")


def test_frames_of_the_right_vlans_pass(machines: tuple[Machine, Machine]) -> None:
    host, peer = machines
    change(host, DEFINITION)
    assert picture.link(host, "br0")["linkinfo"]["info_data"]["vlan_filtering"] == 1
    assert "vlans=20-21" in host.out(f"cat {PROFILE}").splitlines()
    if has_new_libvirt(host):
        for name in (ACCESS, TRUNK):
            guests.define(host, name, "/root/cluster.yaml")
    with running(host):
        assert_frames_pass(machines)
        assert reachable(peer)
        assert apply(host, *options(host)).stdout == NOTHING


def test_a_change_of_the_bridge_keeps_the_vlans_of_its_guests(machines: tuple[Machine, Machine]) -> None:
    """Another VLAN on the uplink, and a change that is rolled back."""
    host, peer = machines
    with running(host):
        change(host, DEFINITION.replace(AWARE, "bridge: br0\n        trunk: [20-29]"))
        assert "vlans=20-29" in host.out(f"cat {PROFILE}").splitlines()
        assert_frames_pass(machines)
        seen = picture.without_managers_taps(picture.whole(host))
        host.put("/root/cluster.yaml", DEFINITION.replace("10.1.", "10.2."))
        assert apply(host, *options(host)).code == 3
        now = picture.without_managers_taps(picture.whole(host))
        assert not (found := picture.differences(now, seen, seen)), "\n".join(found)
        assert_frames_pass(machines)
        assert reachable(peer)


def test_a_change_that_takes_the_vlan_of_a_guest_is_refused(machines: tuple[Machine, Machine]) -> None:
    host = machines[0]
    only_21 = DEFINITION.replace(AWARE, "bridge: br0\n        trunk: [21]")
    with running(host):
        host.put("/root/cluster.yaml", only_21[: only_21.index("guests:")])
        result = apply(host)
        assert result.code == 5 and "KVN527" in result.stderr and "VLAN 20" in result.stderr, result


def test_drift_is_found_and_repaired(machines: tuple[Machine, Machine]) -> None:
    host = machines[0]
    change(host, DEFINITION)
    host.run("bridge vlan del dev eth0 vid 21")
    plan = host.run("kvmnet plan /root/cluster.yaml " + " ".join(options(host)), check=False).stdout
    assert "bridge.port: eth0 (VLANs 20 with tags) -> eth0 (VLANs 20-21 with tags)" in plan, plan
    change(host, DEFINITION)
    assert "20" in vlans_of(host, "eth0") and "21" in vlans_of(host, "eth0")
    assert apply(host, *options(host)).stdout == NOTHING


def test_a_reboot_keeps_it(machines: tuple[Machine, Machine]) -> None:
    host, peer = machines
    host.reboot()
    online(host)
    if has_new_libvirt(host):
        host.until("virsh list", timeout=120)
    with running(host):
        assert_frames_pass(machines)
    assert reachable(peer)
    assert apply(host, *options(host)).stdout == NOTHING


def test_vlans_that_left_the_definition_are_removed_from_the_port(machines: tuple[Machine, Machine]) -> None:
    host, peer = machines
    untagged = DEFINITION[: DEFINITION.index("  v20:")] + DEFINITION[DEFINITION.index("hosts:") :]
    untagged = untagged[: untagged.index("guests:")]
    change(host, untagged)
    assert "20" not in vlans_of(host, "eth0") and "21" not in vlans_of(host, "eth0")
    assert picture.link(host, "br0")["linkinfo"]["info_data"]["vlan_filtering"] == 1
    assert apply(host).stdout == NOTHING
    assert reachable(peer)


def test_a_removal_leaves_nothing(machines: tuple[Machine, Machine], before: dict[str, Any]) -> None:
    host, peer = machines
    result = host.run("kvmnet remove --yes", check=False, timeout=180)
    assert result.code == 0, result
    assert picture.without_metrics(picture.whole(host)) == before
    assert reachable(peer)
