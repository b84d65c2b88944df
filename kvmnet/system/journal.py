"""The journal of a transaction: one line of JSON for each event, synced to disk before the action that it announces."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from kvmnet.system import clock
from kvmnet.system.types import Json


class Journal:
    """The journal in the folder of a transaction."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"

    def append(self, event: str, **fields: Any) -> None:
        """Write one event with its time, as seconds since the epoch and as `uptime`, and sync it. Raises OSError."""
        stamps = {"at": round(time.time(), 3), "up": clock.uptime()}
        line = json.dumps({**stamps, "event": event, **fields}, sort_keys=False)
        last_byte = b""  # no newline: a power cut left an incomplete line
        with contextlib.suppress(OSError), self.path.open("rb") as before:
            before.seek(-1, os.SEEK_END)
            last_byte = before.read(1)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if last_byte not in (b"", b"\n") else "") + line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def try_append(self, event: str, **fields: Any) -> None:
        """Write one event if possible. A rollback uses this: it can be repeated, and a full disk must not stop it."""
        with contextlib.suppress(OSError):
            self.append(event, **fields)

    def events(self) -> list[Json]:
        """Return every complete event. A line that a power cut left incomplete announces nothing.

        A value of the wrong type, from a corrupt disk, is left out. Who reads the events needs no further checks of
        these fields, except that they are there."""
        return self._read()[0]

    def count_corrupt(self) -> int:
        """Return how many lines are corrupt: no event, or with a value of the wrong type."""
        return self._read()[1]

    def begun(self) -> list[int]:
        """Return the numbers of the steps that have begun, in their order.

        Steps begin one after the other. So in a corrupt journal every step before the last known one has begun, and an
        event without its number is about the next one."""
        events, corrupt = self._read()
        numbers: list[int] = []
        for event in events:
            if event["event"] == "do":
                numbers.append(event.get("step", numbers[-1] + 1 if numbers else 0))
        return list(range(max(numbers) + 1)) if numbers and corrupt else numbers

    def _read(self) -> tuple[list[Json], int]:
        """Return the events, and the number of corrupt lines."""
        events, corrupt = [], 0
        with contextlib.suppress(FileNotFoundError):
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    event = json.loads(line)
                except (ValueError, RecursionError):
                    corrupt += bool(line.strip())
                    continue
                if not isinstance(event, dict) or not isinstance(event.get("event"), str):
                    corrupt += 1  # an incomplete line may be valid JSON too
                    continue
                valid = {key: value for key, value in event.items() if _has_right_type(key, value)}
                corrupt += len(valid) < len(event)
                events.append(valid)
        return events, corrupt


#: The types of the fields that decide about a rollback.
_TYPES: dict[str, tuple[type, ...]] = {
    "step": (int,),
    **dict.fromkeys(("at", "up", "until", "seconds"), (int, float)),
    **dict.fromkeys(("title", "op", "why", "outcome", "boot"), (str,)),
    **dict.fromkeys(("steps", "likely", "differences", "mends"), (list,)),
}


def _has_right_type(key: str, value: Any) -> bool:
    if key not in _TYPES:
        return True
    if isinstance(value, bool) or not isinstance(value, _TYPES[key]):
        return False
    if isinstance(value, (int, float)):
        return abs(value) < float("inf") and (key != "step" or value >= 0)  # NaN is not less either
    return True


def deadline(events: list[Json]) -> float:
    """Return the time limit of the step that began last, as `uptime`; 0 when there is none."""
    return next((float(e["until"]) for e in reversed(events) if "until" in e), 0.0)
