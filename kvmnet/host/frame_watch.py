"""Watches which devices the frames of replies arrive on, over a packet socket (packet(7)).

The kernel shows a frame to such a socket on each device that it passes: on the port where it arrives, on the bridge, on
the VLAN over it. So it is seen whether a reply came through a guest's port; what a bridge has learned could be changed
by the next frame.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kvmnet.host.raw_sockets import receive

ETH_P_ALL, ETH_P_ARP, ETH_P_IPV6 = 0x0003, 0x0806, 0x86DD
_PACKET_OUTGOING = 4
_SO_ATTACH_FILTER = 26
#: Instructions of the kernel's socket filter (linux/filter.h): code, jump if true, jump if false, operand.
Instruction = tuple[int, int, int, int]
_LOAD_PROTOCOL: Instruction = (0x28, 0, 0, 0xFFFFF000)  # SKF_AD_OFF + SKF_AD_PROTOCOL
_ACCEPT: Instruction = (0x06, 0, 0, 256)
_REJECT: Instruction = (0x06, 0, 0, 0)
ARP_FILTER: Sequence[Instruction] = (_LOAD_PROTOCOL, (0x15, 0, 1, ETH_P_ARP), _ACCEPT, _REJECT)
#: ICMPv6 neighbour advertisements without extension headers: next header 58, type 136.
ADVERTISEMENT_FILTER: Sequence[Instruction] = (
    _LOAD_PROTOCOL,
    (0x15, 0, 5, ETH_P_IPV6),
    (0x30, 0, 0, 6),
    (0x15, 0, 3, 58),
    (0x30, 0, 0, 40),
    (0x15, 0, 1, 136),
    _ACCEPT,
    _REJECT,
)


class Frame(NamedTuple):
    """A frame that has arrived on a device: its content after the Ethernet header, and the MAC address of its
    sender."""

    device: str
    mac: str
    data: bytes


class FrameWatch:
    """The frames that arrive on any device of this host and pass a filter. Raises OSError; only root may watch."""

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        program = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
        buffer = ctypes.create_string_buffer(program)
        head = struct.pack("HP", len(instructions), ctypes.addressof(buffer))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self, seconds: float) -> Iterator[Frame]:
        """Yield the frames that arrive: waits at most `seconds` for the first one. A frame that reaches a bridge comes
        after the same frame on the bridge's port."""
        for data, sender in receive(self._socket, seconds, 256):
            name, _, direction, _, mac = sender
            if direction != _PACKET_OUTGOING:
                yield Frame(name, mac.hex(":"), data)
