"""Ask an IPv6 neighbour by a neighbour solicitation of our own (RFC 4861): a router that drops echo requests still
answers that."""

from __future__ import annotations

import select
import socket
import struct
from pathlib import Path

SOLICITATION, ADVERTISEMENT = 135, 136
#: type, length in units of 8 bytes (RFC 4861, section 4.6.1)
SOURCE_LINK_LAYER_ADDRESS = b"\1\1"


class NdpProbe:
    """The same questions as Pinger's. Without a `device` from whichever interface has the address that this host
    would ask from. The kernel's neighbour table takes no part in it (see ArpProbe)."""

    def __init__(self, address: str, device: str = "") -> None:
        self._target = socket.inet_pton(socket.AF_INET6, address)
        self._device, self._source = device, b""
        if not device:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
                any_socket.connect((address, 9))  # sends nothing
                self._source = socket.inet_pton(socket.AF_INET6, any_socket.getsockname()[0])
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        self._sent, self._index = 0, 0

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def send(self, sequence: int) -> bool:
        """Ask; False when no interface can."""
        self._sent = sequence
        name = self._device or _holder(self._source)
        try:
            self._index = socket.if_nametoindex(name)
            mac = bytes.fromhex(Path(f"/sys/class/net/{name}/address").read_text(encoding="ascii").replace(":", ""))
            option = SOURCE_LINK_LAYER_ADDRESS + mac if len(mac) == 6 else b""
            group = socket.inet_ntop(socket.AF_INET6, bytes.fromhex("ff02" + "00" * 9 + "01ff") + self._target[13:])
            # the kernel writes the checksum of ICMPv6 itself
            packet = struct.pack("!BBHI", SOLICITATION, 0, 0, 0) + self._target + option
            self._socket.sendto(packet, (group, 0, 0, self._index))
        except (OSError, ValueError):
            return False
        return True

    def replies(self, seconds: float) -> list[int]:
        """The last request, when the neighbour has answered within so many seconds; returns at the first packets."""
        ready, _, _ = select.select([self._socket], [], [], max(0.0, seconds))
        found = []
        while ready:
            data, sender = self._socket.recvfrom(1500)
            if data[:1] == bytes([ADVERTISEMENT]) and data[8:24] == self._target and sender[3] in (0, self._index):
                found = [self._sent]
            ready, _, _ = select.select([self._socket], [], [], 0)
        return found


def _holder(address: bytes) -> str:
    """The interface that has an address; empty where none has."""
    for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if bytes.fromhex(fields[0]) == address:
            return fields[5]
    return ""
