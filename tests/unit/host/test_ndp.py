"""Tests of kvmnet/host/ndp.py with simulated sockets; the lab tests real ones."""

from __future__ import annotations

import select
import socket
from pathlib import Path
from typing import Any

import pytest

from kvmnet.host import frame_watch, ndp

TARGET, OWN = "fd00::1:2:3", "fe80::214:4fff:fe80:de00"
MAC = bytes.fromhex("00144f80ee01")
ADDRESSES = (
    "fe8000000000000002144ffffe80de00 07 40 20 80     eth0\nfd000000000000000000000000000009 08 40 00 80     eth1\n"
)


class Socket:
    """A raw socket that records what is sent and returns the given packets."""

    def __init__(self, *_: int) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.packets: list[tuple[bytes, Any]] = []

    def setsockopt(self, *_: object) -> None:
        pass

    def arrive(self, *rows: tuple[str, bytes]) -> None:
        """Let packets arrive on these devices."""
        self.packets = [(data, (device, frame_watch.ETH_P_IPV6, 0, 1, MAC)) for device, data in rows]

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
    monkeypatch.setattr(
        Path, "read_text", lambda path, **_: ADDRESSES if path.name == "if_inet6" else "00:14:4f:80:de:00\n"
    )
    return one


def test_a_solicitation_is_sent_to_the_group_of_the_neighbour(simulated: Socket) -> None:
    """RFC 4861: the target, the source link-layer address, and the solicited-node multicast address."""
    assert ndp.NdpProbe(TARGET, "eth0").send(1)
    target = socket.inet_pton(socket.AF_INET6, TARGET)
    option = bytes([1, 1, 0x00, 0x14, 0x4F, 0x80, 0xDE, 0x00])
    assert simulated.sent == [(bytes([135, *[0] * 7]) + target + option, ("ff02::1:ff02:3", 0, 0, 7))]


def advertisement(target: str = TARGET, to: str = OWN, kind: int = 136, flags: int = 0x60, hops: int = 255) -> bytes:
    addresses = [socket.inet_pton(socket.AF_INET6, address) for address in (target, to, target)]
    return (
        bytes([0x60, 0, 0, 0, 0, 24, 58, hops])
        + addresses[0]
        + addresses[1]
        + bytes([kind, 0, 0, 0, flags, 0, 0, 0])
        + addresses[2]
    )


@pytest.mark.guarantee("G96")
def test_only_an_advertisement_of_the_neighbour_for_us_on_that_interface_is_a_reply(simulated: Socket) -> None:
    probe = ndp.NdpProbe(TARGET, "eth0")
    for wrong in (
        advertisement(target="fd00::9"),
        advertisement(kind=135),
        advertisement(to="fd00::9"),  # of another interface
        advertisement(to="ff02::1", flags=0x20),  # not asked for
        advertisement(flags=0x20),
        advertisement(hops=254),  # from another network
        advertisement()[:60],
    ):
        probe.send(5)
        simulated.arrive(("eth0", wrong))
        assert probe.replies(1) == [] and probe.arrivals == {}
    probe.send(5)
    simulated.arrive(("eth1", advertisement()))
    assert probe.replies(1) == []
    simulated.arrive(("vnet3", advertisement()), ("eth0", advertisement()))
    probe.send(6)
    assert probe.replies(1) == [6]
    assert probe.arrivals == {MAC.hex(":"): {"vnet3", "eth0"}}


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
