"""The peer in other roles than a gateway: other end of VLANs, DHCP server, router that sends advertisements."""

from __future__ import annotations

from collections.abc import Mapping

from tests.machines.machine import Job, Machine

#: Prints each address that is announced by gratuitous ARP (RFC 5944 4.6), with its MAC, a line each.
_LISTEN = """import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as wire:
    wire.bind((sys.argv[1], 0))
    while True:
        arp = wire.recv(64)[14:42]
        if arp[14:18] == arp[24:28]:
            print(socket.inet_ntoa(arp[14:18]), arp[8:14].hex(":"), flush=True)
"""


def speak(peer: Machine, addresses: Mapping[str, list[str]]) -> None:
    """Give the peer addresses on its NICs and on VLANs on them (`eth0.5`), which are created."""
    lines = []
    for name, given in addresses.items():
        base, _, tag = name.partition(".")
        lines.append(f"ip link set {base} up")
        if tag:
            lines.append(f"ip link add link {base} name {name} mtu 1496 type vlan id {tag} && ip link set {name} up")
        for address in given:
            lines.append(f"ip address add {address} dev {name}" + (" nodad" if ":" in address else ""))
    peer.run("set -e\n" + "\n".join(lines))


def listen(peer: Machine, interface: str) -> Job:
    """Record the ARP announcements on the wire of a NIC of the peer, until it is stopped."""
    return peer.start(["python3", "-I", "-c", _LISTEN, interface])


def serve_leases(
    peer: Machine, interface: str, start: str, end: str, *, prefix: str = "", leases6: tuple[str, str] = ("", "")
) -> None:
    """Run a DHCP server on an interface of the peer, which is the router.

    With an IPv6 `prefix` (64 bits) it advertises it; with `leases6` (first, last) it also has addresses of the prefix
    for DHCPv6. A lease depends only on the client's identity, so the same client gets the same address.
    """
    options = [
        f"--interface={interface}",
        "--bind-interfaces",
        "--except-interface=lo",
        f"--dhcp-range={start},{end},1h",
    ]
    if prefix:
        options += ["--enable-ra", f"--dhcp-range={prefix},ra-stateless"]
    if all(leases6):
        options += ["--enable-ra", f"--dhcp-range={','.join(leases6)},slaac,64,1h"]
    files = f"--dhcp-leasefile=/run/leases-{interface} --pid-file=/run/dnsmasq-{interface}.pid"
    peer.run(f"dnsmasq --port=0 --user=root --no-ping --dhcp-authoritative {' '.join(options)} {files}")
