"""Tests of kvmnet/host/frame_watch.py: the filters run in an interpreter here, and on the loopback interface as root.

The lab tests the devices that a frame passes.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence

import pytest

from kvmnet.host.frame_watch import ADVERTISEMENT_FILTER, ARP_FILTER, ETH_P_ARP, ETH_P_IPV6, FrameWatch, Instruction

ADVERTISEMENT = bytes([0x60, 0, 0, 0, 0, 24, 58, 255]) + bytes(32) + bytes([136]) + bytes(23)


def run_filter(instructions: Sequence[Instruction], protocol: int, data: bytes) -> int:
    """Run a socket filter like the kernel (net/core/filter.c): the instructions that are used here."""
    value = place = 0
    while True:
        code, if_true, if_false, operand = instructions[place]
        place += 1
        if code == 0x28:
            assert operand == 0xFFFFF000
            value = protocol
        elif code == 0x30:
            value = data[operand]
        elif code == 0x15:
            place += if_true if value == operand else if_false
        else:
            assert code == 0x06
            return operand


@pytest.mark.parametrize(
    ("instructions", "protocol", "data", "passes"),
    [
        (ARP_FILTER, ETH_P_ARP, bytes(28), True),
        (ARP_FILTER, 0x0800, bytes(28), False),
        (ADVERTISEMENT_FILTER, ETH_P_IPV6, ADVERTISEMENT, True),
        (ADVERTISEMENT_FILTER, ETH_P_ARP, ADVERTISEMENT, False),
        (ADVERTISEMENT_FILTER, ETH_P_IPV6, ADVERTISEMENT[:6] + b"\x06" + ADVERTISEMENT[7:], False),
        (ADVERTISEMENT_FILTER, ETH_P_IPV6, ADVERTISEMENT[:40] + bytes([135]) + bytes(23), False),
    ],
)
def test_the_filters_pass_what_is_watched(
    instructions: Sequence[Instruction], protocol: int, data: bytes, passes: bool
) -> None:
    assert bool(run_filter(instructions, protocol, data)) is passes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may open packet sockets")
def test_the_kernel_takes_the_filter_and_shows_where_a_frame_arrives() -> None:
    try:
        watch = FrameWatch(ARP_FILTER)
    except PermissionError:
        pytest.skip("root of this machine may not open packet sockets")
    list(watch.read(0))
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sender:
        for protocol, text in ((0x88B5, b"other"), (ETH_P_ARP, b"arp")):  # 0x88B5: for experiments (IEEE 802)
            sender.sendto(struct.pack("!28s", text), ("lo", protocol, 0, 0, bytes(6)))
    seen = [(frame.device, frame.data.rstrip(b"\0")) for frame in watch.read(5)]
    watch.close()
    assert seen == [("lo", b"arp")]
