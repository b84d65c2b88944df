"""What several tests of the command line need: the program as a function, definitions, journal events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kvmnet.cli import main as program

ROOT = Path(__file__).parents[3]
EXAMPLE = str(ROOT / "examples/rocks/cluster.yaml")
BAD = str(ROOT / "tests/golden/bad/twelve-mistakes-in-three-files/cluster.d")


def run(*arguments: str) -> int:
    """Run the program in this process. Return its exit code."""
    return program.main(list(arguments))


DATE = 1_700_000_000.0
Event = dict[str, Any]


def event(up: float, name: str, boot_date: float = DATE, **fields: Any) -> Event:
    """Return a journal event at `up` seconds of uptime of a boot at `boot_date`."""
    return {"at": boot_date + up, "up": up, "event": name, **fields}
