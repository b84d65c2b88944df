"""Probes IPv6 neighbours with neighbour solicitations (RFC 4861). A router that drops echo requests replies to them."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from kvmnet.host.raw_sockets import receive, source_address

SOLICITATION, ADVERTISEMENT = 135, 136
#: Type and length (in units of 8 bytes) of the option, RFC 4861, section 4.6.1.
SOURCE_LINK_LAYER_ADDRESS = b"\1\1"


class NdpProbe:
    """Neighbour solicitations to one address, with the methods of `Pinger`.

    Without a `device` they are sent from the interface that has the address from which this host would send to the
    neighbour. The kernel's neighbour table is not used, for the reason in `ArpProbe`.
    """

    def __init__(self, address: str, device: str = "") -> None:
        self._target = socket.inet_pton(socket.AF_INET6, address)
        self._device = device
        self._source = b"" if device else source_address(socket.AF_INET6, address)
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        self._sent, self._index = 0, 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, sequence: int) -> bool:
        """Send one solicitation; return whether an interface could send it."""
        self._sent = sequence
        name = self._device or _find_interface(self._source)
        try:
            self._index = socket.if_nametoindex(name)
            mac = bytes.fromhex(Path(f"/sys/class/net/{name}/address").read_text(encoding="ascii").replace(":", ""))
            option = SOURCE_LINK_LAYER_ADDRESS + mac if len(mac) == 6 else b""
            group = socket.inet_ntop(socket.AF_INET6, bytes.fromhex("ff02" + "00" * 9 + "01ff") + self._target[13:])
            # the kernel adds the checksum of ICMPv6
            packet = struct.pack("!BBHI", SOLICITATION, 0, 0, 0) + self._target + option
            self._socket.sendto(packet, (group, 0, 0, self._index))
        except (OSError, ValueError):
            return False
        return True

    def replies(self, seconds: float) -> list[int]:
        """Return the sequence number of the last solicitation if the neighbour replied to it within `seconds`."""
        replied = []
        for data, sender in receive(self._socket, seconds, 1500):
            if data[:1] == bytes([ADVERTISEMENT]) and data[8:24] == self._target and sender[3] in (0, self._index):
                replied = [self._sent]
        return replied


def _find_interface(address: bytes) -> str:
    """Return the interface that has an IPv6 address, or ""."""
    for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if bytes.fromhex(fields[0]) == address:
            return fields[5]
    return ""
