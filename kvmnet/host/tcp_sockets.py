"""Reads the TCP connections of this host from the kernel (sock_diag(7)), with what /proc/net/tcp does not have: the
cookie, a number that the kernel gives to one socket only until the next boot."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from kvmnet.system.errors import HostError

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_REQUEST_DUMP, _ERROR, _DONE = 0x301, 2, 3
ESTABLISHED = 1
#: The states (tcp_states.h) of connections that exist or begin: all but TIME_WAIT, CLOSE and LISTEN.
_STATES = sum(1 << state for state in (1, 2, 3, 4, 5, 8, 9, 11))
#: struct inet_diag_msg: family, state, timer, retransmits; ports and addresses; interface and cookie; expiry, queues,
#: user and inode.
_MESSAGE = struct.Struct("=BBBB")
_ENDS = struct.Struct("!HH16s16s")
_REST = struct.Struct("=III20x")
_INODE = struct.Struct("=I")


class TcpSocket(NamedTuple):
    """A TCP connection: its state, the two ends (IP addresses in bytes), the index of the interface that it is bound to
    (that of a link-local connection, otherwise mostly 0), its cookie, and its inode (0 until a process accepts it)."""

    state: int
    address: bytes
    port: int
    peer: bytes
    peer_port: int
    device: int
    cookie: int
    inode: int


def read_tcp_sockets() -> list[TcpSocket]:
    """Return the TCP connections of this host. Raises HostError."""
    found = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(10)
            for family in (socket.AF_INET, socket.AF_INET6):
                request = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 0, 0, _STATES)
                head = struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, family, 0)
                kernel.send(head + request)
                found += list(_read_answers(kernel))
    except OSError as error:
        raise HostError(f"the kernel does not list TCP connections ({error}); `modprobe tcp_diag` may help") from error
    return found


def _read_answers(kernel: socket.socket) -> Iterator[TcpSocket]:
    """Yield the connections of the kernel's answer. Raises OSError."""
    while True:
        data = kernel.recv(1 << 16)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            if kind == _DONE and length >= 20 and (code := struct.unpack_from("=i", data, 16)[0]) < 0:
                raise OSError(-code, "sock_diag")  # without tcp_diag the kernel has no handler: ENOENT
            if kind == _DONE or length < 16:
                return
            if kind == _ERROR:
                raise OSError(-struct.unpack_from("=i", data, 16)[0], "sock_diag")
            yield parse_message(data[16:length])
            data = data[(length + 3) & ~3 :]


def parse_message(data: bytes) -> TcpSocket:
    """Return the connection of a struct inet_diag_msg (linux/inet_diag.h)."""
    family, state, _, _ = _MESSAGE.unpack_from(data)
    port, peer_port, address, peer = _ENDS.unpack_from(data, 4)
    device, low, high = _REST.unpack_from(data, 40)
    size = 4 if family == socket.AF_INET else 16
    (inode,) = _INODE.unpack_from(data, 68)
    return TcpSocket(state, address[:size], port, peer[:size], peer_port, device, low | high << 32, inode)


def device_name(index: int) -> str:
    """Return the name of an interface; empty if there is none with this index."""
    with contextlib.suppress(OSError):
        return socket.if_indextoname(index)
    return ""
