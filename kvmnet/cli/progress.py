"""A bar on the terminal for work that takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Optional, TextIO, TypeVar

_T = TypeVar("_T")

#: Seconds before the first bar, and between two.
_DELAY, _INTERVAL = 1.0, 0.1
_WIDTH = 30
_CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Draws a bar on a stream, stderr by default, if that is a terminal. Use it as a context manager: at its end the
    bar is removed."""

    def __init__(self, stream: Optional[TextIO] = None) -> None:
        self.stream = stream or sys.stderr
        self.is_terminal = self.stream.isatty()
        self._next = time.monotonic() + _DELAY
        self._is_drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def follow(self, items: Iterable[_T], activity: str, total: int) -> Iterator[_T]:
        """Yield the items, and show how many of the total are done."""
        for number, item in enumerate(items):
            if self.is_terminal and time.monotonic() >= self._next:
                self._draw(activity, number, total)
            yield item

    def _draw(self, activity: str, number: int, total: int) -> None:
        filled = _WIDTH * number // max(total, 1)
        bar = "#" * filled + "-" * (_WIDTH - filled)
        self.stream.write(f"{_CLEAR_LINE}{activity} [{bar}] {number:,} of {total:,}")
        self.stream.flush()
        self._next, self._is_drawn = time.monotonic() + _INTERVAL, True

    def clear(self) -> None:
        """Remove the bar."""
        if self._is_drawn:
            self.stream.write(_CLEAR_LINE)
            self.stream.flush()
            self._is_drawn = False
