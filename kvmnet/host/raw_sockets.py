"""What the probes over raw sockets share: the host's source address, and receiving replies."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

#: The discard port: a datagram socket that is connected to it sends nothing.
_DISCARD = 9
#: Seconds in which packets are read that wait already.
_DRAIN = 0.05
#: Options and messages of ip(7) and ipv6(7): IPv4 has one number for both, and Python 3.9 has none for IPv4.
_IP_PKTINFO, _IPV6_RECVPKTINFO, _IPV6_PKTINFO = 8, 49, 50


def source_address(family: int, address: str) -> bytes:
    """Return the address that this host would send from to `address`, as bytes. Raises OSError without a route."""
    with socket.socket(family, socket.SOCK_DGRAM) as unused:
        unused.connect((address, _DISCARD))
        return socket.inet_pton(family, unused.getsockname()[0])


def receive(receiver: socket.socket, seconds: float, size: int) -> Iterator[tuple[bytes, Any]]:
    """Yield the packets that arrive, with their senders: waits at most `seconds` for the first one, and ends when no
    other one is waiting, or after that time: a guest may send without end."""
    for _ in _wait_for_packets(receiver, seconds):
        yield receiver.recvfrom(size)


def _wait_for_packets(receiver: socket.socket, seconds: float) -> Iterator[None]:
    end = time.monotonic() + max(0.0, seconds) + _DRAIN
    ready, _, _ = select.select([receiver], [], [], max(0.0, seconds))
    while ready:
        yield
        if time.monotonic() > end:
            return
        ready, _, _ = select.select([receiver], [], [], 0)


def enable_arrival(receiver: socket.socket) -> None:
    """Let the kernel report the device on which each packet arrives."""
    if receiver.family == socket.AF_INET6:
        receiver.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    else:
        receiver.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def receive_with_arrival(receiver: socket.socket, seconds: float, size: int) -> Iterator[tuple[bytes, Any, str]]:
    """Yield packets like `receive`, each with the device on which it arrived, after `enable_arrival`."""
    for _ in _wait_for_packets(receiver, seconds):
        data, messages, _, sender = receiver.recvmsg(size, 128)
        yield data, sender, _find_arrival(messages)


def _find_arrival(messages: list[tuple[int, int, bytes]]) -> str:
    """Return the device that the ancillary data names: in_pktinfo begins with its index, in6_pktinfo ends with it."""
    for level, kind, data in messages:
        part = {
            (socket.IPPROTO_IP, _IP_PKTINFO): data[:4],
            (socket.IPPROTO_IPV6, _IPV6_PKTINFO): data[16:20],
        }.get((level, kind), b"")
        if len(part) == 4:
            with contextlib.suppress(OSError):  # it was removed meanwhile
                return socket.if_indextoname(struct.unpack("=I", part)[0])
    return ""
