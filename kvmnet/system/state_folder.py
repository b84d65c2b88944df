"""The state folder, /var/lib/kvmnet: the names of its files, and the command of the rescue program in it."""

from __future__ import annotations

import re
from pathlib import Path

from kvmnet.system import clock, files, programs

STATE_FOLDER = "/var/lib/kvmnet"

#: A file beside the journal that reserves space. A rollback removes it first, so that it can write files on a full
#: disk: a file is restored by a new one that replaces it.
BALLAST_FILE = "ballast"

BALLAST_SIZE = 1 << 20

#: The suffix of the copies of keyfiles beside the journal. They are written to NetworkManager's folder when the change
#: is kept.
REBOUND_SUFFIX = ".rebound"

#: A file beside the journal with the keyfiles of other tools, while NetworkManager rolls a checkpoint back.
OTHER_KEYFILES_FILE = "others.json"

#: How many ended transactions the history has, besides those that `rollback` and `remove` need.
HISTORY_LIMIT = 50


#: The rescue program, and its name in the previous layout.
RESCUE_PROGRAM, PREVIOUS_RESCUE_PROGRAM = "rescue.pyz", "rescue.py"


def rescue_command(state_dir: Path, *options: str) -> list[str]:
    """Return the command that runs the rescue program of a state folder: rescue.pyz, or rescue.py where only that
    exists (the previous layout)."""
    program = state_dir / RESCUE_PROGRAM
    if not program.exists() and (state_dir / PREVIOUS_RESCUE_PROGRAM).exists():
        program = state_dir / PREVIOUS_RESCUE_PROGRAM
    state = [] if str(state_dir) == STATE_FOLDER else ["--state", str(state_dir)]
    return [programs.SYSTEM_PYTHON, "-I", str(program), *state, *options]


def is_identity(value: object) -> bool:
    """Return whether a value can be the ID of a transaction: it is the name of a folder and part of names of units."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", value) is not None


def has_rebooted(folder: Path) -> bool:
    """Return whether the host was booted since this transaction began."""
    return files.read_json(folder / "transaction.json").get("boot") not in (None, clock.boot_id())
