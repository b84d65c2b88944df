"""The state folder, /var/lib/kvmnet: names of its files, and the command of the rescue program in it."""

from __future__ import annotations

from pathlib import Path

from kvmnet.system import clock, files, programs

STATE_FOLDER = "/var/lib/kvmnet"

#: A file beside the journal whose room the undo has when the disk is full: files are given back whole, by a new
#: one in the old one's place.
BALLAST_FILE = "ballast"

BALLAST_SIZE = 1 << 20

#: How the copies of keyfiles that wait beside the journal for the keeping end.
REBOUND_SUFFIX = ".rebound"

#: A file beside the journal with the keyfiles that are not the transaction's, while NetworkManager rolls back.
OTHER_KEYFILES_FILE = "others.json"

#: How many ended transactions are remembered, besides those that first took a NIC over.
HISTORY_LIMIT = 50


#: The rescue program, and the one of the layout before it.
RESCUE_PROGRAM, PREVIOUS_RESCUE_PROGRAM = "rescue.pyz", "rescue.py"


def rescue_command(state_dir: Path, *options: str) -> list[str]:
    """The command that runs the rescue program of a state folder: the present one, or the one of the layout before it
    when a transaction was begun by that."""
    program = state_dir / RESCUE_PROGRAM
    if not program.exists() and (state_dir / PREVIOUS_RESCUE_PROGRAM).exists():
        program = state_dir / PREVIOUS_RESCUE_PROGRAM
    state = [] if str(state_dir) == STATE_FOLDER else ["--state", str(state_dir)]
    return [programs.SYSTEM_PYTHON, "-I", str(program), *state, *options]


def has_rebooted(folder: Path) -> bool:
    """Whether the machine was started since this transaction was begun."""
    return files.read_json(folder / "transaction.json").get("boot") not in (None, clock.boot_id())
