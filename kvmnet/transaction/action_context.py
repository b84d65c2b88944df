"""What the actions of steps work with, and how they fail."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.host.nmstate import Backend, NmstateError
from kvmnet.rescue.handover import after_hand_over
from kvmnet.system import files
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json

#: The result of `links.rename_nic` if it took the NIC down for the rename (kernels before 6.2).
DOWN_UP = "down-up"


class StepFailed(Exception):
    """A step did not reach its result: the transaction is rolled back. `targets` are the addresses that did not reply,
    where that is the reason."""

    def __init__(self, message: str, targets: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.targets = tuple(targets)


#: The exceptions that a step may fail with. Any other one is a bug in kvmnet; the transaction is rolled back as well.
ERRORS = (StepFailed, HostError, NMError, NmstateError, OSError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Context:
    """What all actions of a transaction share. `folder` is the folder of the open transaction, `carrier_changes` are
    the counters at its beginning, `nics_taken_down` the MAC addresses of NICs that kvmnet itself took down."""

    folder: Path
    backend: Backend
    manager: NetworkManager
    carrier_changes: Mapping[str, int] = field(default_factory=dict)
    nics_taken_down: set[str] = field(default_factory=set)

    def has_lost_link(self) -> bool:
        """Whether kvmnet took a NIC down, or the kernel has counted a change of a NIC's carrier since the beginning."""
        if self.nics_taken_down:
            return True
        current = read_carrier_changes()
        return any(self.carrier_changes.get(index, count) != count for index, count in current.items())


def read_carrier_changes() -> dict[str, int]:
    """How often the carrier of each NIC has changed, by the NIC's index, which stays the same when it is renamed."""
    changes = {}
    for device in Path("/sys/class/net").glob("*/device"):
        with contextlib.suppress(OSError, ValueError):
            index, count = ((device.parent / name).read_text("ascii") for name in ("ifindex", "carrier_changes"))
            changes[index.strip()] = int(count)
    return changes


def read_guest_ports(folder: Path) -> Json:
    """The guests' taps and macvtaps of the snapshot, in its format, as they are to be after the change: without those
    whose loss was allowed, and with the bridges that replace theirs."""
    transaction = files.read_json(folder / "transaction.json")
    lost, replaced = transaction.get("lost", []), transaction.get("replaced", {})
    ports = files.read_json(folder / "snapshot.json").get("guests", {})
    return {"guests": after_hand_over({name: p for name, p in ports.items() if name not in lost}, replaced)}
