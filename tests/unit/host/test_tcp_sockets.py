"""Tests of kvmnet/host/tcp_sockets.py with a connection on the loopback interface."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from kvmnet.host import tcp_sockets
from kvmnet.host.tcp_sockets import ESTABLISHED, TcpSocket, device_name, parse_message, read_tcp_sockets
from kvmnet.system.errors import HostError

_SO_COOKIE = 57


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_connection_is_listed_with_its_ends_cookie_and_inode(family: int, address: str) -> None:
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server, socket.create_connection(server.getsockname()[:2]) as client:
        accepted, _ = server.accept()
        try:
            sockets = read_tcp_sockets()
        except HostError:
            pytest.skip("the kernel of this machine has no sock_diag")
        place, own = socket.inet_pton(family, address), client.getsockname()[1]
        [found] = [s for s in sockets if s.inode == os.fstat(client.fileno()).st_ino]
        cookie = int.from_bytes(client.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8), "little")
        assert found == TcpSocket(
            ESTABLISHED, place, own, place, server.getsockname()[1], 0, cookie, os.fstat(client.fileno()).st_ino
        )
        [other] = [s for s in sockets if s.inode == os.fstat(accepted.fileno()).st_ino]
        assert (other.peer_port, other.cookie != cookie) == (own, True)
        assert server.getsockname()[1] not in [s.port for s in sockets if s.state != ESTABLISHED], "no listening one"
        accepted.close()


def test_the_interface_of_a_link_local_connection_is_in_the_message() -> None:
    address = socket.inet_pton(socket.AF_INET6, "fe80::2")
    ends = struct.pack("!HH16s16s", 22, 50000, address, address)
    data = struct.pack("=BBBB", socket.AF_INET6, 1, 0, 0) + ends + struct.pack("=III", 7, 0xFFFFFFFF, 1)
    found = parse_message(data + struct.pack("=IIIII", 0, 0, 0, 0, 5001))
    assert found == TcpSocket(1, address, 22, address, 50000, 7, 0x1FFFFFFFF, 5001)
    assert (device_name(1), device_name(1 << 30)) == ("lo", "")


def test_a_kernel_without_tcp_diag_reports_so_at_the_end_of_its_answer() -> None:
    class Kernel:
        def recv(self, size: int) -> bytes:
            return struct.pack("=IHHIIi", 20, 3, 2, 0, 0, -2)

    with pytest.raises(OSError, match="sock_diag"):
        list(tcp_sockets._read_answers(Kernel()))  # type: ignore[arg-type]
