"""Tests of kvmnet/host/ndp.py with simulated sockets; the lab tests real ones."""

from __future__ import annotations

import select
import socket
from pathlib import Path
from typing import Any

import pytest

from kvmnet.host import ndp

TARGET = "fd00::1:2:3"


class Socket:
    """A raw socket that records what is sent and returns the given packets."""

    def __init__(self, *_: int) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.packets: list[tuple[bytes, Any]] = []

    def setsockopt(self, *_: int) -> None:
        pass

    def sendto(self, data: bytes, place: Any) -> None:
        self.sent.append((data, place))

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        return self.packets.pop(0)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Socket:
    one = Socket()
    monkeypatch.setattr(socket, "socket", lambda *_: one)
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: {"eth0": 7}[name])
    monkeypatch.setattr(select, "select", lambda *_: ([one] if one.packets else [], [], []))
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "00:14:4f:80:de:00\n")
    return one


def test_a_solicitation_is_sent_to_the_group_of_the_neighbour(simulated: Socket) -> None:
    """RFC 4861: the target, the source link-layer address, and the solicited-node multicast address."""
    assert ndp.NdpProbe(TARGET, "eth0").send(1)
    target = socket.inet_pton(socket.AF_INET6, TARGET)
    option = bytes([1, 1, 0x00, 0x14, 0x4F, 0x80, 0xDE, 0x00])
    assert simulated.sent == [(bytes([135, *[0] * 7]) + target + option, ("ff02::1:ff02:3", 0, 0, 7))]


def test_only_an_advertisement_of_the_neighbour_on_that_interface_is_a_reply(simulated: Socket) -> None:
    probe = ndp.NdpProbe(TARGET, "eth0")
    probe.send(5)
    target, other = (socket.inet_pton(socket.AF_INET6, address) for address in (TARGET, "fd00::9"))
    head = bytes([136, *[0] * 7])
    simulated.packets = [(head + other, ("", 0, 0, 7)), (bytes([135, *[0] * 7]) + target, ("", 0, 0, 7))]
    assert probe.replies(1) == []
    simulated.packets = [(head + target, ("", 0, 0, 8))]
    assert probe.replies(1) == []
    simulated.packets = [(head + target, ("", 0, 0, 7))]
    assert probe.replies(1) == [5]


def test_without_the_interface_nothing_is_sent(simulated: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> int:
        raise OSError("No such device")

    monkeypatch.setattr(socket, "if_nametoindex", missing)
    assert not ndp.NdpProbe(TARGET, "eth0").send(1)
    assert simulated.sent == []


def test_the_interface_of_an_address_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        "00000000000000000000000000000001 01 80 10 80       lo\nfd000000000000000001000200030004 07 40 00 80     eth0\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: rows)
    assert ndp._find_interface(socket.inet_pton(socket.AF_INET6, "fd00::1:2:3:4")) == "eth0"
    assert ndp._find_interface(socket.inet_pton(socket.AF_INET6, "fd00::5")) == ""
