"""Files of the next boot for the tests of the core."""

from __future__ import annotations

from typing import Any

from kvmnet.core.boot.boot_files import ETC_FOLDER, BootFiles
from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.boot.stored_profile import StoredProfile, read_stored_profile

NICS = ("00:14:4f:80:de:00", "00:14:4f:80:de:01")


def stored(name: str, uuid: str, *lines: str, type: str = "ethernet", groups: str = "") -> StoredProfile:
    """Return a profile in /etc with these lines in [connection] and these groups."""
    text = "\n".join(["[connection]", f"id={name}", f"uuid={uuid}", f"type={type}", *lines, groups])
    return read_stored_profile(f"{ETC_FOLDER}/{name}.nmconnection", text)


def boot_files(*profiles: StoredProfile, **parts: Any) -> BootFiles:
    """Return the files of a host with the NICs eth0 and eth1."""
    nics = tuple(BootDevice(f"eth{number}", mac=mac) for number, mac in enumerate(NICS))
    return BootFiles(**{"profiles": profiles, "nics": nics, "version": (1, 52, 1), **parts})
