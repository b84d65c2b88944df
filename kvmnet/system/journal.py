"""The journal of a transaction: lines of JSON, each on disk before the effect that it announces."""

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
    """Lines of JSON, each on disk before the effect that it announces."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"

    def append(self, event: str, **fields: Any) -> None:
        """Write one event with its time, by the date (seconds since the epoch) and by `uptime`, fsynced."""
        stamps = {"at": round(time.time(), 3), "up": clock.uptime()}
        line = json.dumps({**stamps, "event": event, **fields}, sort_keys=False)
        torn = b""
        with contextlib.suppress(OSError), self.path.open("rb") as before:
            before.seek(-1, os.SEEK_END)
            torn = before.read(1)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn not in (b"", b"\n") else "") + line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def try_append(self, event: str, **fields: Any) -> None:
        """The same for the undo, which a full disk must not stop: what it does it may do twice."""
        with contextlib.suppress(OSError):
            self.append(event, **fields)

    def events(self) -> list[Json]:
        """Every whole line; the last may be torn by a power cut, and announces nothing then."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict) and "event" in event:  # half a line may be JSON too
                        found.append(event)
        return found

    def begun(self) -> list[int]:
        """The numbers of the steps that were announced, in order."""
        return [e["step"] for e in self.events() if e["event"] == "do"]


def deadline(events: list[Json]) -> float:
    """Until when (see `uptime`) the step that was begun last may take."""
    return next((float(e["until"]) for e in reversed(events) if "until" in e), 0.0)
