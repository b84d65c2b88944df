"""Output: text to stdout and stderr, and the console of a change (lines, JSON events, progress)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional, TextIO

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.base.problem import printable


def count_text(number: int, noun: str) -> str:
    """Return a number with its noun: "1 host", "2 hosts"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def escape_text(text: str) -> str:
    """Return text for a terminal or a log: in each line, control characters, characters that change the direction of
    writing, and bytes that are not UTF-8 (surrogates) are escaped. Names of guests, profiles and interfaces come from
    other users and may contain them."""
    return "\n".join(printable(line) for line in text.split("\n"))


def print_text(text: str) -> None:
    """Print lines of text on stdout, escaped."""
    print(escape_text(text), flush=True)


def print_json(data: Any, indent: Optional[int] = 2) -> None:
    """Print data as JSON on stdout: its values are exact, all characters but those of ASCII are escaped."""
    print(json.dumps(data, indent=indent), flush=True)


def write_stdout(text: str) -> None:
    """Write text to stdout as UTF-8, exactly: for the content of files. The bytes are the same in every locale."""
    _write_bytes(sys.stdout, text)


def write_text(text: str) -> None:
    """Write lines of text to stdout as UTF-8, escaped."""
    _write_bytes(sys.stdout, escape_text(text))


def write_stderr(text: str) -> None:
    """Write lines of text to stderr as UTF-8, escaped."""
    _write_bytes(sys.stderr, escape_text(text))


def _write_bytes(stream: TextIO, text: str) -> None:
    binary = getattr(stream, "buffer", None)
    if binary is None:  # a test has replaced the stream by one of text
        stream.write(text)
        return
    stream.flush()
    binary.write(text.encode("utf-8", "backslashreplace"))
    binary.flush()


class Console:
    """Output of a command that reads or changes the host.

    Either lines of text, with a spinner on a terminal while the user waits, or JSON events, one a line.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.is_terminal = not as_json and sys.stdout.isatty()
        self._spinner: Any = None

    def print_line(self, text: str) -> None:
        """Print a line of text, escaped, unless events are printed."""
        if not self.as_json:
            print_text(text)

    def print_event(self, event: str, **fields: Any) -> None:
        """Print an event as a line of JSON, unless text is printed."""
        if self.as_json:
            print_json({"event": event, **fields}, indent=None)

    def show_progress(self, activity: Optional[str]) -> None:
        """Show beside a spinner what is being done, until the next call; None ends it. Only on a terminal."""
        if not self.is_terminal:
            return
        from rich.text import Text  # a plain string would be markup: a target of a probe may contain brackets

        label = Text(escape_text(activity or ""))
        if self._spinner is None:
            from rich.console import Console as RichConsole

            self._spinner = RichConsole().status(label)
            self._spinner.start()
        if activity is None:
            self._spinner.stop()
            self._spinner = None
        else:
            self._spinner.update(label)


@contextmanager
def report_failures(console: Console) -> Iterator[None]:
    """Print an error as the event "failed" too, and raise it again: main() prints the text."""
    try:
        yield
    except KvmnetError as error:
        console.show_progress(None)
        more_refusals = [
            {"code": e.code, "reason": e.message, "hint": e.hint} for e in getattr(error, "additional", ())
        ]
        fields = {"code": error.code, "reason": error.message, "hint": error.hint, "more": more_refusals}
        console.print_event("failed", **fields, **getattr(error, "data", {}), exit=error.exit_code)
        raise
