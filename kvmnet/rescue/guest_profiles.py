"""Keeps the connection profiles that NetworkManager makes of guests' taps in memory.

NetworkManager makes a profile in memory of each tap that another program has created, unless taps are unmanaged. When
a tap has lost its bridge, NetworkManager 1.42 writes this profile to the disk while it rolls a checkpoint back. There
it stays after the guest has ended. NetworkManager 1.52 leaves it in memory.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from kvmnet.system import networkmanager
from kvmnet.system.errors import EXPECTED_ERRORS
from kvmnet.system.types import Json


def keep_guest_profiles_in_memory(before: Json) -> list[str]:
    """Move the profiles of guests' taps that were stored since the snapshot back into memory; return their paths.

    Deleting the files would not do: when NetworkManager reads its files again, a profile without a file is removed, and
    its tap loses the bridge.
    """
    moved = []
    for path in _find_stored_profiles(before):
        with contextlib.suppress(*EXPECTED_ERRORS):  # its guest has just ended; the others must be moved
            networkmanager.move_to_memory(networkmanager.find_uuid(Path(path).read_bytes()))
            moved.append(path)
    return moved


def _find_stored_profiles(before: Json) -> list[str]:
    guests, known = before.get("guests", {}), before.get("host", {}).get("keyfiles")
    if known is None:  # the snapshot of an earlier kvmnet
        return []
    paths = []
    for path in networkmanager.list_keyfiles(networkmanager.PROFILE_FOLDERS[0]):
        with contextlib.suppress(OSError):
            if path not in known and networkmanager.concerns_interface(Path(path).read_bytes(), guests, ()):
                paths.append(path)
    return paths
