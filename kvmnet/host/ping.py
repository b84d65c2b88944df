"""Ask a neighbour whether it answers: by ICMP echo, by ARP."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Optional

ECHO_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
ETH_P_ARP = 0x0806
SIOCGIFADDR, SIOCGIFHWADDR = 0x8915, 0x8927
ECHO_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}


class Pinger:
    """ICMP echo to one address over a raw socket (root). Not bound to an interface: it goes as any other
    traffic of this host would; a link-local address goes by the `device` that it is asked on."""

    def __init__(self, address: str, device: str = "") -> None:
        self.address, self.device = address, device
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        protocol = socket.IPPROTO_ICMPV6 if self.family == socket.AF_INET6 else socket.IPPROTO_ICMP
        self._socket = socket.socket(self.family, socket.SOCK_RAW, protocol)
        self._id = int.from_bytes(os.urandom(2), "big")

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def send(self, sequence: int) -> bool:
        """Send one echo request; False when the kernel has no way to send it."""
        head = struct.pack("!BBHHH", ECHO_REQUEST[self.family], 0, 0, self._id, sequence & 0xFFFF)
        if self.family == socket.AF_INET:  # of ICMPv6 the kernel writes the checksum itself
            head = struct.pack("!BBHHH", 8, 0, _checksum(head), self._id, sequence & 0xFFFF)
        try:
            scope = (0, socket.if_nametoindex(self.device)) if self.device else ()
            self._socket.sendto(head, (self.address, 0, *scope))
        except OSError:
            return False
        return True

    def replies(self, seconds: float) -> list[int]:
        """Sequence numbers that were answered within so many seconds; returns at the first packets."""
        ready, _, _ = select.select([self._socket], [], [], max(0.0, seconds))
        found = []
        while ready:
            data, sender = self._socket.recvfrom(2048)
            if self.family == socket.AF_INET:
                data = data[(data[0] & 15) * 4 :]
            if len(data) >= 8 and sender[0].partition("%")[0] == self.address.partition("%")[0]:
                kind, _, _, identity, sequence = struct.unpack("!BBHHH", data[:8])
                if kind == ECHO_REPLY[self.family] and identity == self._id:
                    found.append(sequence)
            ready, _, _ = select.select([self._socket], [], [], 0)
        return found


class ArpProbe:
    """The same questions as Pinger's, by ARP requests of our own over a packet socket (RFC 826).

    The kernel's neighbour table takes no part in them. That matters while a bridge comes up: an ICMP echo sent
    in the moment in which the bridge has no port yet starts the kernel's own ARP, whose next try is a second
    later, and until then the host answers nobody on that wire (seen in the lab: the watching made the outage
    a second longer). An answer to ours is welcome to the kernel's table.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._target = socket.inet_aton(address)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            any_socket.connect((address, 9))  # sends nothing
            self._source = socket.inet_aton(any_socket.getsockname()[0])
        self._ioctl = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ARP))
        self._sent = 0
        self._last = ""

    def close(self) -> None:
        """Give the sockets back."""
        self._socket.close()
        self._ioctl.close()

    def send(self, sequence: int) -> bool:
        """Ask from whichever interface has our address now; False when none has."""
        self._sent = sequence
        for name in self._holders():
            mac = self._get(name, SIOCGIFHWADDR, slice(18, 24))
            head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
            with contextlib.suppress(OSError):
                self._socket.sendto(
                    head + mac + self._source + bytes(6) + self._target, (name, ETH_P_ARP, 0, 0, b"\xff" * 6)
                )
                self._last = name
                return True
        return False

    def _holders(self) -> Iterator[str]:
        """Interfaces that have our address, the last one first: the kernel's whole list, ten times a second, would take
        the processor from who brings many of them up."""
        if self._last and self._has_it(self._last):
            yield self._last
        for _, name in socket.if_nameindex():
            if name != self._last and self._has_it(name):
                yield name

    def _has_it(self, name: str) -> bool:
        return self._get(name, SIOCGIFADDR, slice(20, 24)) == self._source

    def _get(self, name: str, request: int, part: slice) -> bytes:
        """A field of `struct ifreq` (netdevice(7)); empty when the interface has none or is gone."""
        try:
            return fcntl.ioctl(self._ioctl, request, struct.pack("256s", name.encode()[:15]))[part]
        except OSError:
            return b""

    def replies(self, seconds: float) -> list[int]:
        """The last request, when the neighbour has answered within so many seconds; returns at the first packets."""
        ready, _, _ = select.select([self._socket], [], [], max(0.0, seconds))
        found = []
        while ready:
            data = self._socket.recv(64)
            if data[6:8] == b"\0\x02" and data[14:18] == self._target:
                found = [self._sent]
            ready, _, _ = select.select([self._socket], [], [], 0)
        return found


class Outage(threading.Thread):
    """Asks a neighbour ten times a second while a change goes on, to say afterwards how long it was away."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._probe = Pinger(address) if ":" in address else ArpProbe(address)
        self._end = threading.Event()
        self._answered: list[float] = []
        self._sent: dict[int, float] = {}

    def run(self) -> None:
        sequence = 0
        while not self._end.is_set():
            sequence = (sequence + 1) & 0xFFFF
            now = time.monotonic()
            self._sent[sequence] = now
            self._probe.send(sequence)
            while (left := now + 0.1 - time.monotonic()) > 0 and not self._end.is_set():
                self._answered += [self._sent[s] for s in self._probe.replies(left) if s in self._sent]

    def seconds(self) -> Optional[float]:
        """Stop; the longest time without an answered request, to this moment. None when none was answered."""
        self._end.set()
        self.join(5)
        self._probe.close()
        return longest_gap(sorted(self._answered), max(self._sent.values(), default=0.0))


def longest_gap(answered: list[float], end: float) -> Optional[float]:
    """The longest time (seconds) between two answered requests, or after the last one until `end`, less the
    tenth of a second that lies between any two."""
    if not answered:
        return None
    gap = max(after - before for before, after in zip(answered, [*answered[1:], end]))
    return round(max(0.0, gap - 0.1), 1)


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
