"""Reads from the kernel since when an interface has an address (rtnetlink(7), IFA_CACHEINFO). iproute2 does not print
it.

An address that was created before a change was never removed by it, and one that was created in between shows when the
host had it again.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

from kvmnet.system import clock

_RTM_NEWADDR, _RTM_GETADDR, _NLMSG_ERROR, _NLMSG_DONE = 20, 22, 2, 3
_REQUEST_DUMP = 0x301
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO = 1, 2, 6
_HEADER = struct.Struct("=IHHII")
_IFADDRMSG = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
#: struct ifa_cacheinfo: preferred and valid lifetime, creation, last change (in hundredths of a second since boot).
_CACHEINFO = struct.Struct("=IIII")
_WRAP = 1 << 32


def find_last_creation(addresses: Mapping[str, Sequence[str]]) -> Optional[float]:
    """Return when the last of these addresses was created, in seconds of `clock.uptime`, on whatever interface it is
    now. Link-local addresses and those that no interface has are left out. None if there is none, or if the kernel
    cannot be asked."""
    wanted = {address.partition("/")[0] for of_link in addresses.values() for address in of_link}
    wanted = {ip for ip in wanted if not ip.lower().startswith(("fe8", "fe9", "fea", "feb", "169.254."))}
    with contextlib.suppress(OSError, ValueError, struct.error):
        times = [created for ip, created in _read_creations() if ip in wanted]
        return round(max(times), 2) if times else None
    return None


def _read_creations() -> Iterator[tuple[str, float]]:
    """Yield every address with the time of its creation. Raises OSError."""
    import socket  # here: it takes a tenth of the rescue program's start-up time

    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        channel.settimeout(2)
        channel.send(_HEADER.pack(_HEADER.size + _IFADDRMSG.size, _RTM_GETADDR, _REQUEST_DUMP, 1, 0) + bytes(8))
        uptime, ticks = clock.uptime(), int(time.monotonic() * 100)
        while True:
            for kind, body in _split_messages(channel.recv(1 << 16)):
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return
                if kind == _RTM_NEWADDR:
                    family, raw, created = _parse_address(body)
                    if raw and created is not None:
                        yield socket.inet_ntop(family, raw), uptime - ((ticks - created) % _WRAP) / 100


def _split_messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _parse_address(body: bytes) -> tuple[int, bytes, Optional[int]]:
    """Return the family of an address, its bytes, and the time of its creation in the kernel's unit."""
    family = _IFADDRMSG.unpack_from(body)[0]
    data, values = body[_IFADDRMSG.size :], {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        values[kind] = data[_ATTRIBUTE.size : length]
        data = data[max((length + 3) & ~3, _ATTRIBUTE.size) :]
    raw = values.get(_IFA_LOCAL, values.get(_IFA_ADDRESS, b""))
    return family, raw, _CACHEINFO.unpack(values[_IFA_CACHEINFO])[2] if _IFA_CACHEINFO in values else None
