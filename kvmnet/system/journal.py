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
        """Return every complete event. A line that a power cut left incomplete announces nothing."""
        events = []
        with contextlib.suppress(FileNotFoundError):
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict) and "event" in event:  # an incomplete line may be valid JSON too
                        events.append(event)
        return events

    def begun(self) -> list[int]:
        """Return the numbers of the steps that have begun, in their order."""
        return [e["step"] for e in self.events() if e["event"] == "do"]


def deadline(events: list[Json]) -> float:
    """Return the time limit of the step that began last, as `uptime`; 0 when there is none."""
    return next((float(e["until"]) for e in reversed(events) if "until" in e), 0.0)
