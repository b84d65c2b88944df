"""What the probes over raw sockets share: the host's source address, and receiving replies."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from typing import Any

#: The discard port: a datagram socket that is connected to it sends nothing.
_DISCARD = 9


def source_address(family: int, address: str) -> bytes:
    """Return the address that this host would send from to `address`, as bytes. Raises OSError without a route."""
    with socket.socket(family, socket.SOCK_DGRAM) as unused:
        unused.connect((address, _DISCARD))
        return socket.inet_pton(family, unused.getsockname()[0])


def receive(receiver: socket.socket, seconds: float, size: int) -> Iterator[tuple[bytes, Any]]:
    """Yield the packets that arrive, with their senders: waits at most `seconds` for the first one, and ends when no
    other one is waiting."""
    ready, _, _ = select.select([receiver], [], [], max(0.0, seconds))
    while ready:
        yield receiver.recvfrom(size)
        ready, _, _ = select.select([receiver], [], [], 0)
