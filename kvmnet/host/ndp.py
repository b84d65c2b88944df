"""Probes IPv6 neighbours with neighbour solicitations (RFC 4861). A router that drops echo requests replies to them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from kvmnet.host.frame_watch import ADVERTISEMENT_FILTER, FrameWatch
from kvmnet.host.raw_sockets import source_address

SOLICITATION, ADVERTISEMENT = 135, 136
#: The hop limit of packets that no router has passed on, and the flag of an advertisement that was asked for.
UNROUTED, SOLICITED = 255, 0x40
#: Type and length (in units of 8 bytes) of the option, RFC 4861, section 4.6.1.
SOURCE_LINK_LAYER_ADDRESS = b"\1\1"


class NdpProbe:
    """Neighbour solicitations to one address, with the methods of `Pinger`.

    Without a `device` they are sent from the interface that has the address from which this host would send to the
    neighbour. The kernel's neighbour table is not used, for the reason in `ArpProbe`; `arrivals` and `device` are as
    there.
    """

    def __init__(self, address: str, device: str = "") -> None:
        self._target = socket.inet_pton(socket.AF_INET6, address)
        self._only, self.device = device, device
        self._source = b"" if device else source_address(socket.AF_INET6, address)
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        self._watch = FrameWatch(ADVERTISEMENT_FILTER)
        self._sent = 0
        self._own: set[bytes] = set()
        self.arrivals: dict[str, set[str]] = {}

    def close(self) -> None:
        """Close the sockets."""
        self._watch.close()
        self._socket.close()

    def send(self, sequence: int) -> bool:
        """Send one solicitation; return whether an interface could send it."""
        self._sent, self.arrivals = sequence, {}
        try:
            name = self.device = self._only or _find_interface(self._source)
            index = socket.if_nametoindex(name)
            self._own = {address for address, holder in _list_addresses() if holder == name}
            mac = bytes.fromhex(Path(f"/sys/class/net/{name}/address").read_text(encoding="ascii").replace(":", ""))
            option = SOURCE_LINK_LAYER_ADDRESS + mac if len(mac) == 6 else b""
            group = socket.inet_ntop(socket.AF_INET6, bytes.fromhex("ff02" + "00" * 9 + "01ff") + self._target[13:])
            # the kernel adds the checksum of ICMPv6
            packet = struct.pack("!BBHI", SOLICITATION, 0, 0, 0) + self._target + option
            self._socket.sendto(packet, (group, 0, 0, index))
        except (OSError, ValueError):
            return False
        return True

    def replies(self, seconds: float) -> list[int]:
        """Return the sequence number of the last solicitation if an advertisement for it, to an own address of the
        device from which it was sent, came in on that device within `seconds`."""
        replied: list[int] = []
        for device, mac, data in self._watch.read(seconds):
            if self._is_reply(data):
                self.arrivals.setdefault(mac, set()).add(device)
                replied = [self._sent] if device == self.device else replied
        return replied

    def _is_reply(self, packet: bytes) -> bool:
        """Whether an IPv6 packet is the neighbour's advertisement for us (RFC 4861, section 7.1.2)."""
        if len(packet) < 64 or packet[7] != UNROUTED or packet[24:40] not in self._own:
            return False
        return packet[40] == ADVERTISEMENT and bool(packet[44] & SOLICITED) and packet[48:64] == self._target


def _find_interface(address: bytes) -> str:
    """Return the interface that has an IPv6 address, or ""."""
    return next((name for own, name in _list_addresses() if own == address), "")


def _list_addresses() -> Iterator[tuple[bytes, str]]:
    """Yield the IPv6 addresses of this host with their interfaces."""
    for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
        fields = line.split()
        yield bytes.fromhex(fields[0]), fields[5]
