"""When an address was created, as the kernel reports it."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from kvmnet.system import address_times, clock

NOW = 5000.0


def message(address: str, created: int, *, kind: int = 20) -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    raw = socket.inet_pton(family, address)
    attributes = b"".join(
        struct.pack("=HH", 4 + len(value), number) + value
        for number, value in ((1, raw), (2, raw), (6, struct.pack("=IIII", 2**32 - 1, 2**32 - 1, created, created)))
    )
    body = struct.pack("=BBBBI", family, 24, 0, 0, 2) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the kernel replies; its clock shows 100 s less than the uptime, for the host was suspended."""
    data: list[bytes] = []

    class Channel:
        def __enter__(self) -> Channel:
            return self

        def __exit__(self, *_: object) -> None: ...

        def settimeout(self, _: float) -> None: ...

        def send(self, request: bytes) -> None:
            assert struct.unpack_from("=IHH", request) == (len(request), 22, 0x301)

        def recv(self, _: int) -> bytes:
            return data.pop(0)

    monkeypatch.setattr(socket, "socket", lambda *_: Channel())
    monkeypatch.setattr(clock, "uptime", lambda: NOW)
    monkeypatch.setattr(time, "monotonic", lambda: NOW - 100)
    return data


DONE = struct.pack("=IHHII", 20, 3, 2, 1, 0) + bytes(4)


def test_the_last_creation_counts(replies: list[bytes]) -> None:
    replies += [message("10.1.255.254", 480000) + message("fd00::1", 485000), message("10.9.9.9", 489000), DONE]
    assert address_times.find_last_creation({"eth0": ["10.1.255.254/16"], "br0": ["fd00::1/64"]}) == NOW - 50


def test_others_do_not_count(replies: list[bytes]) -> None:
    """Link-local addresses, those of guests' bridges that the host did not have, those that nobody has any more."""
    replies += [message("fe80::1", 489000), message("10.9.9.9", 489000), message("10.1.255.254", 480000), DONE]
    addresses = {"eth0": ["10.1.255.254/16", "fe80::1/64", "10.1.1.5/16"]}
    assert address_times.find_last_creation(addresses) == NOW - 100


def test_the_counter_of_the_kernel_wraps(replies: list[bytes]) -> None:
    replies += [message("10.1.255.254", 2**32 - 1000), DONE]
    assert address_times.find_last_creation({"eth0": ["10.1.255.254/16"]}) == round(NOW - (490000 + 1000) / 100, 2)


def test_without_an_answer_there_is_no_time(replies: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    replies += [DONE]
    assert address_times.find_last_creation({"eth0": ["10.1.255.254/16"]}) is None

    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(socket, "socket", refuse)
    assert address_times.find_last_creation({"eth0": ["10.1.255.254/16"]}) is None


def test_the_real_kernel_answers() -> None:
    since = address_times.find_last_creation({"lo": ["127.0.0.1/8"]})
    assert since is None or -1 < since <= clock.uptime() + 1
