"""The example host before kvmnet, and its gateway as the peer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Optional

from tests.machines import layers
from tests.machines.machine import Machine, Nic
from tests.machines.wire import Wire

HOST_MAC, HOST_ADDRESS = "00:14:4f:80:de:00", "10.1.255.254"
PEER_MAC, PEER_ADDRESS = "00:14:4f:80:ee:01", "10.1.1.1"
PROFILE = "/etc/NetworkManager/system-connections/eth0.nmconnection"
UUID = "5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e10"
ECHO_PORT = 7007
"""The port of a small TCP service of the host, started at boot, to which the peer opens new connections."""

_KEYFILE = """[connection]
id={name}
uuid={uuid}
type=ethernet
{zone}interface-name={name}
timestamp=1700000000

[ethernet]

[ipv4]
address1={address}/{prefix}{gateway}
method=manual

[ipv6]
addr-gen-mode=eui64
method={ipv6}

[proxy]
"""

_SERVICE = """[Unit]
Description=answers new TCP connections, so that a peer can see whether the machine is reachable
[Service]
ExecStart=/usr/bin/python3 -I /usr/local/lib/lab-answer.py
Restart=always
[Install]
WantedBy=multi-user.target
"""

_ANSWER = f"""import socket, socketserver

class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"here\\n")

class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

Server(("", {ECHO_PORT}), Answer).serve_forever()
"""


def keyfile(
    name: str = "eth0",
    address: str = HOST_ADDRESS,
    *,
    prefix: int = 16,
    gateway: Optional[str] = PEER_ADDRESS,
    zone: Optional[str] = None,
    uuid: str = UUID,
    ipv6: str = "auto",
) -> str:
    """Return a connection profile as an installer leaves it: bound to the NIC's name."""
    return _KEYFILE.format(
        name=name,
        uuid=uuid,
        zone=f"zone={zone}\n" if zone else "",
        address=address,
        prefix=prefix,
        gateway=f",{gateway}" if gateway else "",
        ipv6=ipv6,
    )


def seed_host(
    machine: Machine,
    *,
    zone: Optional[str] = None,
    default_zone: Optional[str] = None,
    sshd: bool = False,
    profile: Optional[str] = None,
) -> Machine:
    """Put a running machine into the state before kvmnet and wait until its address exists. With `default_zone`,
    firewalld runs (now and after each boot) with that default; `zone` is that of the connection profile."""
    units = ["lab-answer.service"]
    machine.put("/usr/local/lib/lab-answer.py", _ANSWER)
    machine.put("/etc/systemd/system/lab-answer.service", _SERVICE)
    if default_zone:
        set_zone = f"s/^DefaultZone=.*/DefaultZone={default_zone}/"
        machine.run(["sed", "-i", set_zone, "/etc/firewalld/firewalld.conf"])
        units.append("firewalld.service")
    if sshd:
        units.append("ssh.service")
    machine.put(PROFILE, profile or keyfile(zone=zone), mode=0o600)
    machine.run(f"systemctl daemon-reload && systemctl enable --now {' '.join(units)}", timeout=120)
    machine.run("nmcli connection reload && nmcli --wait 30 connection up eth0", timeout=60)
    machine.run("nm-online -s -q -t 60; sync", timeout=90)
    return machine


def peer_machine(generation: str, wire: Wire) -> Machine:
    """Return a machine for the host's gateway; it boots quickly and keeps no files. See `seed_peer`."""
    return Machine(generation, "peer", [Nic(PEER_MAC, wire)], disk=False)


def seed_peer(machine: Machine) -> Machine:
    """Set the addresses of the peer without NetworkManager: it must not depend on what is tested."""
    machine.run("systemctl disable --now NetworkManager", check=False)
    machine.run(f"ip address add {PEER_ADDRESS}/16 dev eth0 && ip link set eth0 up")
    return machine


@contextmanager
def two_machines(
    generation: str, nics: Sequence[Nic], doors: Sequence[Nic], *, peer_variant: str = "plain", **options: Any
) -> Iterator[tuple[Machine, Machine]]:
    """Yield a host with these NICs, without a connection profile (see `seed_host`), and its gateway with the NICs
    `doors`, booted at the same time.

    Each NIC of the host answers ARP only for its own addresses, so several may be on one wire. `options` are the host's
    (see Machine); `peer_variant` is the root of the gateway.
    """
    host = Machine(generation, "host", nics, layers=layers.all_of(generation), **options)
    peer = Machine(generation, "peer", doors, disk=False, variant=peer_variant)
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Machine.boot, (host, peer)))
        seed_peer(peer)
        if len(nics) > 1:
            host.put("/etc/sysctl.d/lab.conf", "net.ipv4.conf.all.arp_ignore = 1\n")
            host.run("sysctl --quiet --system")
        yield host, peer
    finally:
        host.close()
        peer.close()


@contextmanager
def host_and_peer(generation: str, wire: Wire, **options: Any) -> Iterator[tuple[Machine, Machine]]:
    """Yield a host and its gateway with one NIC each, on one wire."""
    with two_machines(generation, [Nic(HOST_MAC, wire)], [Nic(PEER_MAC, wire)], **options) as machines:
        yield machines
