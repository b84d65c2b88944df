"""The one table of operations: what each kind of step and each kind of undo is.

A step of a transaction names its operation, and an undo its kind, by a string: in the plan's steps, in transaction.json
and in the journal (`op`). The functions belonging to them are in kvmnet/transaction/step_actions.py (operations) and
kvmnet/rescue/undo.py (kinds of undo).

The entries are named tuples: importing dataclasses takes 10 ms, a third of the rescue program's start.
"""

from __future__ import annotations

from typing import NamedTuple, Optional


class UndoKind(NamedTuple):
    """A kind of undo. `runs_before_networkmanager`: it is also done at boot, before NetworkManager starts. The others
    undo what was in memory only, which has gone with the power."""

    name: str
    runs_before_networkmanager: bool = False


class Operation(NamedTuple):
    """An operation. Only the properties that are set below hold; an operation of another version of kvmnet has none.

    undo_kinds: the kinds of undo that its steps may carry. A step carries at least one, unless this is empty.
    undone_with: the operation whose undo also undoes this one.
    interrupts_traffic: it may remove the host's addresses, or block the way to them.
    verifies: it succeeds only when the host's addresses are there.
    waits: its step has `seconds`, which are shown while it waits for a reply or a confirmation.
    opens_checkpoint: it opens a checkpoint of NetworkManager; its step has the checkpoint's `timeout` (seconds)."""

    name: str
    undo_kinds: tuple[UndoKind, ...] = ()
    undone_with: str = ""
    interrupts_traffic: bool = False
    verifies: bool = False
    waits: bool = False
    opens_checkpoint: bool = False

    @property
    def changes_host(self) -> bool:
        """Whether it changes anything that the snapshot contains."""
        return bool(self.undo_kinds or self.undone_with)


UNDO_BOND_OPTION = UndoKind("bond option")
UNDO_CHECKPOINT = UndoKind("checkpoint")
UNDO_COPY = UndoKind("profile copy")
UNDO_FILES = UndoKind("files", runs_before_networkmanager=True)
UNDO_GLOBAL_DNS = UndoKind("global dns", runs_before_networkmanager=True)
UNDO_HOSTNAME = UndoKind("hostname", runs_before_networkmanager=True)
UNDO_LINKS = UndoKind("links")
UNDO_LOOPBACK = UndoKind("loopback")
UNDO_MULTICAST = UndoKind("multicast")
UNDO_PORTS = UndoKind("ports")
UNDO_PROFILE = UndoKind("profile")
UNDO_PROFILES = UndoKind("profiles")
UNDO_RENAME = UndoKind("rename", runs_before_networkmanager=True)
UNDO_UNBIND_NAME = UndoKind("unbind name")
UNDO_ZONE = UndoKind("zone")
UNDO_ZONES = UndoKind("zones")

#: All of them by name.
UNDO_KINDS = {value.name: value for value in tuple(globals().values()) if isinstance(value, UndoKind)}

# NICs' names, for udev, the kernel and firewalld
WRITE_FILES = Operation("write files", (UNDO_FILES, UNDO_RENAME))
CHECK_LINKS = Operation("check links")
REBIND = Operation("rebind", (UNDO_FILES,))
COPY_PROFILE = Operation("copy profile", (UNDO_COPY, UNDO_FILES))
USE_COPY = Operation("use copy", undone_with="copy profile", interrupts_traffic=True)
ZONE = Operation("zone", (UNDO_ZONE,), interrupts_traffic=True)
UNBIND_ZONE = Operation("unbind zone", (UNDO_ZONE,), interrupts_traffic=True)
RENAME = Operation("rename", (UNDO_ZONE, UNDO_RENAME), interrupts_traffic=True)

# The trial in memory
CLEAR = Operation(
    "clear", (UNDO_CHECKPOINT, UNDO_GLOBAL_DNS, UNDO_FILES), interrupts_traffic=True, opens_checkpoint=True
)
BIND_NAME = Operation("bind name", (UNDO_UNBIND_NAME, UNDO_FILES))
SEED = Operation("seed", (UNDO_PROFILES,))
DROP_OPTIONS = Operation("drop options", (UNDO_FILES,))
SET_SETTINGS = Operation("set settings", (UNDO_FILES,))
APPLY = Operation(
    "apply",
    (UNDO_CHECKPOINT, UNDO_GLOBAL_DNS, UNDO_LINKS, UNDO_PORTS, UNDO_FILES),
    interrupts_traffic=True,
    opens_checkpoint=True,
)
SET_MACS = Operation("set macs", undone_with="apply", interrupts_traffic=True)
CHECK_SETTINGS = Operation("check settings", undone_with="apply", interrupts_traffic=True)
CHECK_ETHTOOL = Operation("check ethtool", undone_with="apply", interrupts_traffic=True)
ASSOCIATIONS = Operation("associations", undone_with="apply", interrupts_traffic=True)
HAND_OVER = Operation("hand over", (UNDO_PORTS,))
KEEP_SETTINGS = Operation("keep settings", undone_with="apply", interrupts_traffic=True)
BOND_OPTION = Operation("bond option", (UNDO_BOND_OPTION,), interrupts_traffic=True)

# Verification
READ_BACK = Operation("read back", verifies=True)
PROBE = Operation("probe", verifies=True, waits=True)
CONFIRM = Operation("confirm", verifies=True, waits=True)
FETCH = Operation("fetch", verifies=True, waits=True)

# Keeping the change: on disk too
COMMIT = Operation("commit")
WRITE_PROFILE = Operation("write profile", (UNDO_FILES,))
HOSTNAME = Operation("hostname", (UNDO_HOSTNAME, UNDO_FILES))
STAY_DOWN = Operation("stay down", (UNDO_FILES,))
SAVE = Operation("save", (UNDO_FILES,))
FORGET = Operation("forget", (UNDO_FILES, UNDO_LINKS))
VERIFY_BOOT = Operation("verify boot")
MULTICAST = Operation("multicast", (UNDO_MULTICAST,))

# The removal of kvmnet's configuration
GIVE_BACK = Operation(
    "give back",
    (
        *(UNDO_FILES, UNDO_LINKS, UNDO_LOOPBACK, UNDO_MULTICAST, UNDO_RENAME),
        *(UNDO_ZONE, UNDO_ZONES, UNDO_GLOBAL_DNS, UNDO_HOSTNAME),
    ),
    interrupts_traffic=True,
)
ACTIVATE = Operation("activate", undone_with="give back", interrupts_traffic=True)
AS_BEFORE = Operation("as before", verifies=True)

#: All of them by name.
OPERATIONS = {value.name: value for value in tuple(globals().values()) if isinstance(value, Operation)}


def find_operation(name: Optional[str]) -> Operation:
    """The operation of this name. A transaction of another version of kvmnet may have operations that the table does
    not contain: such an operation has a name and no properties."""
    return OPERATIONS.get(name or "", Operation(name or ""))
