"""Multicast reaches the guests on macvtaps: frames of a second machine are read at qemu's end of the macvtap. Each test
continues with the host of the previous one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.machines import guests, picture
from tests.machines.machine import Machine
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, host_and_peer, seed_host
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test("bookworm")

VIRTIO, EMULATED, FROM_BOOT, ROUTER = "virtio-0", "emulated-0", "always-0", "router-0"
MACS = {name: f"36:77:6e:c0:00:0{n}" for n, name in enumerate((VIRTIO, EMULATED, FROM_BOOT, ROUTER), 1)}
DEFINITION = f"""kvmnet: 1
cluster: rocks
profile: rocks
networks:
  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}
  tenant-a: {{vlan: 2, over: private}}
  tenant-b: {{vlan: 3, over: private, attach: always}}
hosts:
  vm-container-0-0:
    kvm: true
    interfaces:
      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}]}}
guests:
  {VIRTIO}: {{host: vm-container-0-0, nics: [{{network: tenant-a, mac: "{MACS[VIRTIO]}"}}]}}
  {EMULATED}: {{host: vm-container-0-0, nics: [{{network: tenant-a, mac: "{MACS[EMULATED]}"}}]}}
  {FROM_BOOT}: {{host: vm-container-0-0, nics: [{{network: tenant-b, mac: "{MACS[FROM_BOOT]}"}}]}}
  {ROUTER}:
    host: vm-container-0-0
    nics: [{{network: tenant-a, mac: "{MACS[ROUTER]}", trust_guest_rx_filters: true}}]
"""
RULE = "/etc/udev/rules.d/86-kvmnet-macvtaps.rules"

#: On the other machine: it is in VLAN 2 and VLAN 3.
VLANS = """
for tag in 2 3; do
  ip link add link eth0 name eth0.$tag type vlan id $tag
  ip address add 10.$tag.0.1/24 dev eth0.$tag && ip link set eth0.$tag up
done
"""
#: Sends one frame of each kind, three times, with its name as a part of its payload.
SEND = """
import socket, struct, sys, time
device, mac = sys.argv[1:]
index = socket.if_nametoindex(device)
low = bytes.fromhex(mac.replace(":", ""))[3:]
def six(kind, protocol, group, payload):
    with socket.socket(socket.AF_INET6, kind, protocol) as sender:
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sender.sendto(payload, (group, 5353 if kind == socket.SOCK_DGRAM else 0, 0, index))
def four(kind, protocol, group, payload):
    with socket.socket(socket.AF_INET, kind, protocol) as sender:
        here = socket.inet_aton("10." + device[-1] + ".0.1")
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
        sender.sendto(payload, (group, 5353 if kind == socket.SOCK_DGRAM else 0))
node = "ff02::1:ff%02x:%02x%02x" % tuple(low)
target = bytes.fromhex("fe80" + "00" * 9 + "ff" + "fe") + low
for _ in range(3):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((device, 0))
        sender.send(b"\\xff" * 6 + bytes(6) + b"\\x88\\xb5" + b"<broadcast>".ljust(50))
    six(socket.SOCK_RAW, 58, node, struct.pack("!BBHI", 135, 0, 0, 0) + target + b"<solicitation>")
    six(socket.SOCK_RAW, 58, "ff02::1", struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0) + b"<router>")
    six(socket.SOCK_RAW, 112, "ff02::12", b"<vrrp 6>")
    four(socket.SOCK_RAW, 112, "224.0.0.18", b"<vrrp 4>")
    six(socket.SOCK_DGRAM, 0, "ff02::fb", b"<mdns 6>")
    four(socket.SOCK_DGRAM, 0, "224.0.0.251", b"<mdns 4>")
    time.sleep(0.1)
"""
KINDS = {"broadcast", "solicitation", "router", "vrrp 4", "vrrp 6", "mdns 4", "mdns 6"}
#: Those that a filtered macvtap loses. The kernel filters by a hash: one of them may pass by chance, not all. The
#: others are in groups that the macvtap itself joins if the kernel gave it a link-local address.
FILTERED = {"vrrp 4", "vrrp 6", "mdns 4", "mdns 6"}
#: Reads from the file that qemu has open, and not from another queue of the macvtap: a copy of its descriptor
#: (pidfd_getfd). Without a driver in the guest, qemu itself reads one frame at most.
READ = """
import ctypes, json, os, re, select, sys, time
pid, macvtap, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
folder = f"/sys/class/net/{macvtap}/macvtap"
major, minor = open(f"{folder}/{os.listdir(folder)[0]}/dev").read().split(":")
number = os.makedev(int(major), int(minor))
(theirs,) = [int(fd) for fd in os.listdir(f"/proc/{pid}/fd") if os.stat(f"/proc/{pid}/fd/{fd}").st_rdev == number]
call = ctypes.CDLL(None, use_errno=True).syscall
handle = call(438, call(434, pid, 0), theirs, 0)  # pidfd_getfd, pidfd_open
assert handle >= 0, os.strerror(ctypes.get_errno())
print("reading", flush=True)
seen, until = set(), time.monotonic() + seconds
while (left := until - time.monotonic()) > 0:
    if select.select([handle], [], [], left)[0]:
        seen |= {name.decode() for name in re.findall(b"<([a-z 0-9]+)>", os.read(handle, 65536))}
print(json.dumps(sorted(seen)))
"""
#: More PCI slots, so that a NIC can be attached to the running guest.
SLOTS = "".join(f"    <controller type='pci' index='{n}' model='pcie-root-port'/>\n" for n in range(1, 9))


@pytest.fixture(scope="module")
def machines(lab: None, generation: str, wire: Wire) -> Iterator[tuple[Machine, Machine]]:
    """The example host with libvirt, before kvmnet, and its gateway, which is also in VLAN 2 and VLAN 3."""
    with host_and_peer(generation, wire, memory="2G", variant="guests") as (host, peer):
        seed_host(host)
        guests.start_libvirt(host)
        host.put("/root/cluster.yaml", DEFINITION)
        host.put("/root/read.py", READ)
        peer.put("/root/send.py", SEND)
        peer.run(VLANS)
        yield host, peer


@pytest.fixture(scope="module")
def host(machines: tuple[Machine, Machine]) -> Machine:
    return machines[0]


def macvtap_of(host: Machine, mac: str) -> str:
    """Return the name of the macvtap with this MAC address."""
    rows = json.loads(host.out("ip -d -j link show type macvtap"))
    (name,) = [row["ifname"] for row in rows if row["address"] == mac]
    return str(name)


def receives_all(host: Machine, macvtap: str) -> bool:
    return "ALLMULTI" in picture.link(host, macvtap)["flags"]


def received(machines: tuple[Machine, Machine], guest: str, mac: str, tag: int) -> set[str]:
    """Return the kinds of frames of the other machine that reach qemu's end of a guest's macvtap."""
    host, peer = machines
    pid = host.out(f"cat /run/libvirt/qemu/{guest}.pid")
    job = host.start(["/usr/bin/python3", "-u", "/root/read.py", pid, macvtap_of(host, mac), "6"])
    host.until("pgrep -f /root/read.py && sleep 1", timeout=20)
    peer.run(["/usr/bin/python3", "/root/send.py", f"eth0.{tag}", mac], timeout=30)
    result = job.wait(30, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def loses_multicast(kinds: set[str]) -> bool:
    return "broadcast" in kinds and not kinds >= FILTERED


@contextmanager
def filtered(host: Machine, macvtap: str) -> Iterator[None]:
    """Filter a macvtap as the kernel does by default during the block."""
    host.run(f"ip link set dev {macvtap} allmulticast off")
    try:
        yield
    finally:
        host.run(f"ip link set dev {macvtap} allmulticast on")


def test_before_kvmnet_no_multicast_reaches_a_guest_on_a_macvtap(machines: tuple[Machine, Machine]) -> None:
    """The guest and its VLAN are made by hand. Broadcasts arrive."""
    host = machines[0]
    host.run("ip link add link eth0 name eth0.2 type vlan id 2 && ip link set eth0.2 up")
    nic = f"<interface type='direct'><mac address='{MACS[VIRTIO]}'/><source dev='eth0.2' mode='bridge'/>"
    xml = guests.domain(VIRTIO).replace("  </devices>", f"    {nic}<model type='virtio'/></interface>\n  </devices>")
    host.put(f"/root/{VIRTIO}.xml", xml)
    host.run(f"virsh --quiet define /root/{VIRTIO}.xml", timeout=60)
    with guests.running(host, VIRTIO):
        kinds = received(machines, VIRTIO, MACS[VIRTIO], 2)
        assert loses_multicast(kinds), kinds
    host.run(f"virsh --quiet undefine {VIRTIO} && ip link delete eth0.2")


@pytest.mark.guarantee("G77")
def test_multicast_reaches_guests_on_macvtaps_on_demand(machines: tuple[Machine, Machine]) -> None:
    """With each model of a NIC. Without all-multicast it would not."""
    host = machines[0]
    said = host.out("kvmnet apply --yes /root/cluster.yaml", timeout=180)
    assert f"+ file {RULE}: guests on macvtaps receive multicast" in said
    host.run("kvmnet hook install", timeout=180)
    for guest, model in ((VIRTIO, "virtio"), (EMULATED, "e1000")):
        nic = f"    <interface type='user'><mac address='{MACS[guest]}'/><model type='{model}'/></interface>\n"
        xml = guests.domain(guest).replace("  </devices>", f"{nic}{SLOTS}  </devices>")
        guests.define(host, guest, "/root/cluster.yaml", xml)
        with guests.running(host, guest):
            macvtap = macvtap_of(host, MACS[guest])
            assert picture.link(host, macvtap)["link"] == "peth0.2" and receives_all(host, macvtap)
            assert received(machines, guest, MACS[guest], 2) == KINDS
            with filtered(host, macvtap):
                assert loses_multicast(received(machines, guest, MACS[guest], 2))
        host.until("! ip link show dev peth0.2", timeout=20)


@pytest.mark.guarantee("G77")
def test_multicast_reaches_guests_on_macvtaps_from_boot(machines: tuple[Machine, Machine]) -> None:
    """After the apply and after a reboot."""
    host, guest = machines[0], FROM_BOOT
    guests.define(host, guest, "/root/cluster.yaml")
    for _ in ("after the apply", "after the reboot"):
        assert receives_all(host, macvtap_of(host, MACS[guest])), "also without a guest"
        with guests.running(host, guest):
            assert received(machines, guest, MACS[guest], 3) == KINDS
            with filtered(host, macvtap_of(host, MACS[guest])):
                assert loses_multicast(received(machines, guest, MACS[guest], 3))
        host.reboot()
        host.run("nm-online -s -q -t 60", timeout=90)
        host.until("virsh list", timeout=120)


@pytest.mark.guarantee("G77")
def test_multicast_reaches_a_nic_that_is_attached_to_a_running_guest(machines: tuple[Machine, Machine]) -> None:
    """libvirt calls no hook for it. Attached and detached several times: libvirt sets the macvtap up at the same time
    as the rule."""
    host, mac = machines[0], "36:77:6e:c0:00:09"
    nic = f"<interface type='direct'><mac address='{mac}'/><source dev='peth0.2' mode='bridge'/>"
    host.put("/root/nic.xml", f"{nic}<model type='virtio'/></interface>")
    with guests.running(host, VIRTIO):
        for is_last in (False, False, False, False, True):
            host.run(f"virsh --quiet attach-device {VIRTIO} /root/nic.xml --live", timeout=60)
            host.until(f"ip -o link show type macvtap | grep {mac} | grep -q ALLMULTI", timeout=10, every=0.1)
            host.run("udevadm settle")
            macvtap = macvtap_of(host, mac)
            assert receives_all(host, macvtap)
            if is_last:
                assert received(machines, VIRTIO, mac, 2) == KINDS
            # the guest has no driver that would release the NIC
            host.run(
                f"virsh --quiet detach-device {VIRTIO} /root/nic.xml --live; ip link delete dev {macvtap}", check=False
            )
            host.until(f"! ip -o link show type macvtap | grep -q {mac}", timeout=20)


#: Sends a broadcast as the guest would: into the file that qemu has open (see READ).
SPEAK = (
    READ[: READ.index("print(")]
    + """
import fcntl, struct
flags = struct.unpack("16xH22x", fcntl.ioctl(handle, 0x800454D2, bytes(40)))[0]  # TUNGETIFF
length = struct.unpack("i", fcntl.ioctl(handle, 0x800454D7, bytes(4)))[0] if flags & 0x4000 else 0  # TUNGETVNETHDRSZ
mac = bytes.fromhex(open(f"/sys/class/net/{macvtap}/address").read().strip().replace(":", ""))
for _ in range(5):
    os.write(handle, bytes(length) + b"\\xff" * 6 + mac + b"\\x88\\xb5" + b"<guest>".ljust(50))
    time.sleep(0.1)
"""
)
#: Prints how many such frames a device receives, and not those that it sends.
LISTEN = """
import socket, sys, time
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5)) as listener:
    listener.bind((sys.argv[1], 0x88b5))
    print("listening", flush=True)
    count, until = 0, time.monotonic() + 6
    while (left := until - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            data, where = listener.recvfrom(2000)
        except TimeoutError:
            break
        count += b"<guest>" in data and where[2] != 4  # PACKET_OUTGOING
print(count)
"""


def test_a_guest_on_a_macvtap_reaches_everybody_but_its_own_host(machines: tuple[Machine, Machine]) -> None:
    """The other machine in its VLAN and the other guest of its host."""
    host, peer = machines
    host.put("/root/speak.py", SPEAK)
    for machine in machines:
        machine.put("/root/listen.py", LISTEN)
    with guests.running(host, VIRTIO, EMULATED):
        pids = {guest: host.out(f"cat /run/libvirt/qemu/{guest}.pid") for guest in (VIRTIO, EMULATED)}
        taps = {guest: macvtap_of(host, MACS[guest]) for guest in (VIRTIO, EMULATED)}
        listening = [
            peer.start(["/usr/bin/python3", "-u", "/root/listen.py", "eth0.2"]),
            host.start(["/usr/bin/python3", "-u", "/root/listen.py", "peth0.2"]),
            host.start(["/usr/bin/python3", "-u", "/root/read.py", pids[EMULATED], taps[EMULATED], "6"]),
        ]
        host.until("pgrep -f /root/read.py && sleep 2", timeout=20)
        host.run(["/usr/bin/python3", "/root/speak.py", pids[VIRTIO], taps[VIRTIO], "1"], timeout=30)
        there, here, guest = (job.wait(30, check=True).stdout.splitlines()[-1] for job in listening)
        assert (int(there) > 0, int(here), json.loads(guest)) == (True, 0, ["guest"])
    busy = host.run("ip link add link peth0 name macvtap79 type macvtap mode bridge", check=False)
    assert busy.code != 0 and "busy" in busy.stderr, "peth0 is a port of the bridge"


def test_macvtaps_over_other_devices_are_left_alone(host: Machine) -> None:
    """Over an interface of the definition every macvtap receives multicast, whoever has created it."""
    host.run("ip link add other0 type dummy && ip link set other0 up")
    host.run("ip link add link other0 name macvtap77 type macvtap mode bridge")
    host.run("ip link add link peth0.3 name macvtap78 type macvtap mode bridge")
    host.until("ip link show dev macvtap78 | grep -q ALLMULTI", timeout=10)
    host.run("udevadm settle")
    assert not receives_all(host, "macvtap77")
    host.run("ip link delete macvtap77; ip link delete macvtap78; ip link delete other0")


def test_a_filtered_macvtap_is_drift_that_apply_repairs(machines: tuple[Machine, Machine]) -> None:
    """But not that of a guest that the definition trusts: libvirt filters it as the guest wants."""
    host = machines[0]
    guests.define(host, ROUTER, "/root/cluster.yaml")
    assert "<interface type='direct' trustGuestRxFilters='yes'>" in host.out(f"virsh dumpxml {ROUTER}")
    with guests.running(host, VIRTIO, ROUTER):
        taps = {guest: macvtap_of(host, MACS[guest]) for guest in (VIRTIO, ROUTER, FROM_BOOT)}
        assert all(receives_all(host, taps[guest]) for guest in (VIRTIO, FROM_BOOT))
        assert json.loads(host.out("kvmnet plan --json /root/cluster.yaml", timeout=120))["empty"]
        for tap in taps.values():
            host.run(f"ip link set dev {tap} allmulticast off")
        plan = json.loads(host.out("kvmnet plan --json /root/cluster.yaml", timeout=120))
        text = "the guest on this macvtap receives multicast"
        changes = [(c["what"], c["name"], c["details"]) for c in plan["changes"]]
        assert sorted(changes) == sorted([("change", taps[g], [text]) for g in (VIRTIO, FROM_BOOT)])
        assert taps[VIRTIO] in host.run("kvmnet status", check=False).stdout
        said = host.out("kvmnet apply --yes /root/cluster.yaml", timeout=120)
        assert "let multicast through to the guests on macvtaps" in said
        assert [receives_all(host, taps[guest]) for guest in (VIRTIO, FROM_BOOT, ROUTER)] == [True, True, False]
        assert host.run("kvmnet status", check=False).code == 0


def test_a_macvtap_from_before_kvmnet_is_given_back(host: Machine) -> None:
    """Removed is also the rule: udev does not use it any more."""
    host.run("kvmnet remove --yes", timeout=180)
    assert host.run(f"test -e {RULE}", check=False).code != 0
    host.run("ip link add link eth0 name macvtap0 type macvtap mode bridge")
    host.run("udevadm settle")
    assert not receives_all(host, "macvtap0")
    own = DEFINITION[: DEFINITION.index("guests:")].replace("profile: rocks", "profile: plain")
    own = own.replace("eth0: {network: private,", "eth0: {network: private, bridge: false,")
    host.put("/root/own.yaml", own + "      br9: {type: bridge}\n")
    host.run("kvmnet apply --yes /root/own.yaml", timeout=180)
    assert receives_all(host, "macvtap0"), "it exists already when the rule is written"
    host.run("kvmnet remove --yes", timeout=180)
    assert not receives_all(host, "macvtap0")
