"""Probes neighbours with ICMP echo and ARP, and measures how long one is unreachable during a change."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Optional

from kvmnet.host.frame_watch import ARP_FILTER, ETH_P_ARP, FrameWatch
from kvmnet.host.raw_sockets import enable_arrival, receive_with_arrival, source_address

ECHO_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
SIOCGIFADDR, SIOCGIFHWADDR = 0x8915, 0x8927
ECHO_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}


class Pinger:
    """ICMP echo requests to one address over a raw socket, for root only.

    They take the same route as any other traffic of this host; those to a link-local address leave by `device`. Each
    contains a random token, so only who has received the request can reply. `arrived_on` is the device on which the
    last reply has arrived.
    """

    def __init__(self, address: str, device: str = "") -> None:
        self.address, self.device = address, device
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        protocol = socket.IPPROTO_ICMPV6 if self.family == socket.AF_INET6 else socket.IPPROTO_ICMP
        self._socket = socket.socket(self.family, socket.SOCK_RAW, protocol)
        self._id = int.from_bytes(os.urandom(2), "big")
        self._token = os.urandom(8)
        self.arrived_on = ""
        enable_arrival(self._socket)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, sequence: int) -> bool:
        """Send one echo request; return whether the kernel could send it."""
        kind, rest = ECHO_REQUEST[self.family], struct.pack("!HH", self._id, sequence & 0xFFFF) + self._token
        checksum = _checksum(bytes([kind, 0, 0, 0]) + rest) if self.family == socket.AF_INET else 0
        request = struct.pack("!BBH", kind, 0, checksum) + rest  # the kernel adds the checksum of ICMPv6
        try:
            scope = (0, socket.if_nametoindex(self.device)) if self.device else ()
            self._socket.sendto(request, (self.address, 0, *scope))
        except OSError:
            return False
        return True

    def replies(self, seconds: float) -> list[int]:
        """Return the sequence numbers of replies. Waits for at most `seconds`, and returns after the first packets."""
        replied = []
        for packet, sender, device in receive_with_arrival(self._socket, seconds, 2048):
            # IPv4 packets come with their header
            data = packet[(packet[0] & 15) * 4 :] if self.family == socket.AF_INET else packet
            if len(data) >= 8 and sender[0].partition("%")[0] == self.address.partition("%")[0]:
                kind, _, _, identity, sequence = struct.unpack("!BBHHH", data[:8])
                if kind == ECHO_REPLY[self.family] and identity == self._id and data[8:16] == self._token:
                    replied.append(sequence)
                    self.arrived_on = device
        return replied


class ArpProbe:
    """ARP requests to one address over a packet socket (RFC 826), with the methods of `Pinger`.

    The kernel's neighbour table is not used. This matters while a bridge is being activated: an ICMP echo request that
    is sent while the bridge has no port makes the kernel send an ARP request, which it repeats only after a second, and
    until then the host reaches nothing on that link. In the lab, measuring with ICMP made the outage a second longer.

    `arrivals` are the devices on which the frames of a reply to the last request were seen, by the MAC address of their
    sender; `device` is the one from which the request was sent.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._target = socket.inet_aton(address)
        self._source = source_address(socket.AF_INET, address)
        self._ioctl = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._watch = FrameWatch(ARP_FILTER)
        self._sent = 0
        self._mac = b""
        self.device = ""
        self.arrivals: dict[str, set[str]] = {}

    def close(self) -> None:
        """Close the sockets."""
        self._watch.close()
        self._socket.close()
        self._ioctl.close()

    def send(self, sequence: int) -> bool:
        """Send one request from the interface that has the source address now; return whether there is one."""
        self._sent, self.arrivals = sequence, {}
        for name in self._list_interfaces():
            mac = self._get(name, SIOCGIFHWADDR, slice(18, 24))
            head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
            with contextlib.suppress(OSError):
                self._socket.sendto(
                    head + mac + self._source + bytes(6) + self._target, (name, ETH_P_ARP, 0, 0, b"\xff" * 6)
                )
                self.device, self._mac = name, mac
                return True
        return False

    def _list_interfaces(self) -> Iterator[str]:
        """Yield the interfaces that have the source address, the last used one first. Reading the list of all
        interfaces ten times a second would slow down the activation of many of them."""
        if self.device and self._has_source(self.device):
            yield self.device
        for _, name in socket.if_nameindex():
            if name != self.device and self._has_source(name):
                yield name

    def _has_source(self, name: str) -> bool:
        return self._get(name, SIOCGIFADDR, slice(20, 24)) == self._source

    def _get(self, name: str, request: int, part: slice) -> bytes:
        """Return a field of `struct ifreq` (netdevice(7)), or b"" if the interface is missing or has no such value."""
        try:
            return fcntl.ioctl(self._ioctl, request, struct.pack("256s", name.encode()[:15]))[part]
        except OSError:
            return b""

    def replies(self, seconds: float) -> list[int]:
        """Return the sequence number of the last request if a reply to it, for our own MAC and IP address, came in
        within `seconds` on the device from which it was sent."""
        replied: list[int] = []
        for device, mac, data in self._watch.read(seconds):
            is_reply = data[6:8] == b"\0\x02" and data[14:18] == self._target
            if is_reply and data[18:24] == self._mac and data[24:28] == self._source:
                self.arrivals.setdefault(mac, set()).add(device)
                replied = [self._sent] if device == self.device else replied
        return replied


class OutageMeter(threading.Thread):
    """Probes a neighbour ten times a second during a change, to measure how long it was unreachable."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._probe = Pinger(address) if ":" in address else ArpProbe(address)
        self._end = threading.Event()
        self._replied: list[float] = []
        self._sent: dict[int, float] = {}

    def run(self) -> None:
        """Send requests and record the replies until `seconds` is called."""
        sequence = 0
        while not self._end.is_set():
            sequence = (sequence + 1) & 0xFFFF
            now = time.monotonic()
            self._sent[sequence] = now
            self._probe.send(sequence)
            while (remaining := now + 0.1 - time.monotonic()) > 0 and not self._end.is_set():
                self._replied += [self._sent[s] for s in self._probe.replies(remaining) if s in self._sent]

    def seconds(self) -> Optional[float]:
        """Stop, and return the longest time without a reply, until now; None if there was no reply at all."""
        self._end.set()
        self.join(5)
        self._probe.close()
        return longest_gap(sorted(self._replied), max(self._sent.values(), default=0.0))


def longest_gap(replied: list[float], end: float) -> Optional[float]:
    """Return the longest time in seconds between two requests with a reply, or from the last of them to `end`, less the
    tenth of a second between any two requests. `replied` are the times at which they were sent."""
    if not replied:
        return None
    gap = max(after - before for before, after in zip(replied, [*replied[1:], end]))
    return round(max(0.0, gap - 0.1), 1)


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
