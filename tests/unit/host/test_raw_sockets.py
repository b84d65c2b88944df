"""Tests of kvmnet/host/raw_sockets.py, with datagram sockets on the loopback interface."""

from __future__ import annotations

import socket
import time

import pytest

from kvmnet.host.raw_sockets import enable_arrival, receive, receive_with_arrival, source_address


def test_the_source_address_is_that_of_the_route() -> None:
    assert source_address(socket.AF_INET, "127.0.0.1") == bytes([127, 0, 0, 1])


def test_all_waiting_packets_are_received_with_their_senders() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        sender.bind(("127.0.0.1", 0))
        for data in (b"one", b"two"):
            sender.sendto(data, receiver.getsockname())
        assert list(receive(receiver, 5, 100)) == [(b"one", sender.getsockname()), (b"two", sender.getsockname())]


def test_without_a_packet_the_wait_ends_in_time() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        begin = time.monotonic()
        assert list(receive(receiver, 0.1, 100)) == []
        assert 0.05 < time.monotonic() - begin < 3
        assert list(receive(receiver, -1, 100)) == []


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_device_on_which_a_packet_arrives_is_received_with_it(family: int, address: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as receiver, socket.socket(family, socket.SOCK_DGRAM) as sender:
        try:
            receiver.bind((address, 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        enable_arrival(receiver)
        sender.sendto(b"one", receiver.getsockname())
        assert [(data, device) for data, _, device in receive_with_arrival(receiver, 5, 100)] == [(b"one", "lo")]


def test_a_sender_that_never_stops_does_not_make_the_wait_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        monkeypatch.setattr("kvmnet.host.raw_sockets.select.select", lambda *_: ([receiver], [], []))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            begin, count = time.monotonic(), 0
            sender.sendto(b"x", receiver.getsockname())
            for _ in receive(receiver, 0.1, 100):
                count += 1
                sender.sendto(b"x", receiver.getsockname())
        assert count > 1 and time.monotonic() - begin < 3
