"""Tests of kvmnet/host/ping.py: the interface that an ARP request leaves by, and the measured outage.

The lab tests the sockets.
"""

from __future__ import annotations

import socket
from unittest.mock import Mock

import pytest

from kvmnet.host import ping
from kvmnet.host.frame_watch import Frame

ADDRESS, OTHER = socket.inet_aton("10.1.255.254"), socket.inet_aton("10.2.0.1")


class Probe(ping.ArpProbe):
    """A probe without sockets: `addresses` are those of the NICs, `down` the NICs that cannot send, `used` those that
    sent a request."""

    def __init__(self) -> None:
        self._source, self._target, self.device = ADDRESS, socket.inet_aton("10.1.1.1"), ""
        self._socket = Mock(sendto=self._sendto)
        self._watch = Mock(read=lambda _: iter(self.frames))
        self.frames: list[Frame] = []
        self.addresses: dict[str, bytes] = {}
        self.down: set[str] = set()
        self.used: list[str] = []
        self.listed = 0

    def _sendto(self, data: bytes, place: tuple[str, int, int, int, bytes]) -> None:
        if place[0] in self.down:
            raise OSError("Network is down")
        self.used.append(place[0])

    def _get(self, name: str, request: int, part: slice) -> bytes:
        return self.addresses.get(name, b"") if request == ping.SIOCGIFADDR else bytes(6)

    def names(self) -> list[tuple[int, str]]:
        self.listed += 1
        return list(enumerate(self.addresses, 1))


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    probe = Probe()
    monkeypatch.setattr(socket, "if_nameindex", probe.names)
    return probe


def test_the_last_interface_is_used_again_without_listing_all(probe: Probe) -> None:
    probe.addresses = {"lo": b"", "eth0": ADDRESS, "eth1": OTHER}
    assert all(probe.send(number) for number in range(5))
    assert (probe.used, probe.listed) == (["eth0"] * 5, 1)


def test_the_interface_is_found_again_after_a_rename(probe: Probe) -> None:
    probe.addresses = {"eth0": ADDRESS}
    assert probe.send(1)
    probe.addresses = {"peth0": b"", "eth0": b""}
    assert not probe.send(2)
    probe.addresses = {"peth0": b"", "br-eth0": ADDRESS}
    assert probe.send(3)
    assert probe.used == ["eth0", "br-eth0"]


def test_of_two_interfaces_with_the_address_the_one_that_can_send_is_used(probe: Probe) -> None:
    probe.addresses = {"eth0": ADDRESS, "br-eth0": ADDRESS}
    assert probe.send(1)
    probe.down = {"eth0"}
    assert probe.send(2)
    assert probe.used == ["eth0", "br-eth0"]


@pytest.mark.guarantee("G96")
def test_only_an_arp_reply_to_our_own_addresses_is_a_reply(probe: Probe) -> None:
    probe.addresses = {"eth0": ADDRESS}
    own, mac, target = bytes(6), bytes.fromhex("00144f80ee01"), socket.inet_aton("10.1.1.1")
    head = bytes.fromhex("0001080006040002")
    right = head + mac + target + own + ADDRESS
    for wrong in (
        bytes.fromhex("0001080006040001") + right[8:],  # a request
        head + mac + OTHER + own + ADDRESS,
        head + mac + target + b"\xff" * 6 + ADDRESS,
        head + mac + target + own + OTHER,
    ):
        probe.send(1)
        probe.frames = [Frame("eth0", mac.hex(":"), wrong)]
        assert probe.replies(1) == [] and probe.arrivals == {}
    probe.send(1)
    probe.frames = [Frame("vnet3", mac.hex(":"), right)]
    assert probe.replies(1) == [], "it did not reach the bridge"
    probe.send(2)
    probe.frames += [Frame("eth0", mac.hex(":"), right)]
    assert probe.replies(1) == [2]
    assert probe.arrivals == {mac.hex(":"): {"vnet3", "eth0"}}


@pytest.mark.guarantee("G96")
def test_an_echo_reply_must_have_the_token_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    pinger = object.__new__(ping.Pinger)
    pinger.address, pinger.device, pinger.family = "10.1.1.1", "", socket.AF_INET
    pinger._id, pinger._token, pinger.arrived_on, pinger._socket = 7, b"12345678", "", Mock()
    assert pinger.send(1)
    request = pinger._socket.sendto.call_args.args[0]
    assert request[8:] == b"12345678" and ping._checksum(request) == 0
    packets = [b"\x45" + bytes(19) + b"\0\0\0\0" + request[4:8] + token for token in (b"12345679", b"", b"12345678")]
    for packet, replied in zip(packets, ([], [], [1])):
        monkeypatch.setattr(ping, "receive_with_arrival", lambda *_, p=packet: iter([(p, ("10.1.1.1", 0), "eth0")]))
        assert pinger.replies(1) == replied
    assert pinger.arrived_on == "eth0"


def test_the_checksum_of_rfc_1071() -> None:
    assert ping._checksum(bytes([8, 0, 0, 0, 0, 1, 0, 1])) == 0xF7FD


def test_the_longest_gap_between_replies() -> None:
    assert ping.longest_gap([], 9.0) is None
    assert ping.longest_gap([1.0, 1.1, 1.2, 2.0, 2.1], 2.1) == 0.7
    assert ping.longest_gap([1.0, 1.1], 16.2) == 15.0, "it was still unreachable at the end"
