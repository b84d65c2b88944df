"""Runs ssh. Every call opens a connection of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, Optional

from kvmnet.core.base.errors import KvmnetError
from kvmnet.remote import command_lines
from kvmnet.remote.command_lines import Target
from kvmnet.remote.decisions import SSH_FAILED

#: Called with each event that the host prints.
ShowEvent = Callable[[dict[str, Any]], None]
_NO_SSH = KvmnetError("there is no ssh on this machine", "install OpenSSH's client")


@dataclass(frozen=True)
class Answer:
    """What a command on the host has answered: its exit code (255: the connection failed), output and error text, and
    the events among the lines of the output."""

    code: int
    text: str
    error: str
    events: tuple[dict[str, Any], ...]


def complete_target(target: Target) -> Target:
    """Return the target with the name under which ssh knows the host's key. Raises KvmnetError without ssh."""
    if shutil.which("ssh") is None:
        raise _NO_SSH
    done = subprocess.run(
        command_lines.query_command(target), capture_output=True, check=False, stdin=subprocess.DEVNULL
    )
    return replace(target, alias=command_lines.find_alias(done.stdout.decode(errors="replace")))


def run(
    target: Target,
    words: Sequence[str],
    archive: bytes = b"",
    address: Optional[str] = None,
    show_event: Optional[ShowEvent] = None,
    quiet: bool = False,
) -> Answer:
    """Run a command on the host over a new connection, with `archive` as its input, and return its answer.

    `show_event` gets each event when it arrives. Error text goes to stderr, unless it is to be kept `quiet`. Ctrl-C
    does not end the connection, only this process is interrupted.
    """
    command = command_lines.ssh_command(target, words, address)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
        given.write(archive)
        given.seek(0)
        process = _start(command, given, errors if quiet else None)
        assert process.stdout is not None
        lines, events = [], []
        try:
            for raw in process.stdout:
                line = raw.decode(errors="replace")
                event = as_event(line)
                if event is None:
                    lines.append(line)
                    continue
                events.append(event)
                if show_event is not None:
                    show_event(event)
            code = process.wait()
        finally:
            _end(process)
        errors.seek(0)
        error = errors.read().decode(errors="replace").strip()
    return Answer(SSH_FAILED if code < 0 else code, "".join(lines), error, tuple(events))


def as_event(line: str) -> Optional[dict[str, Any]]:
    """Return the event of a line of output; None if it is none."""
    if not line.startswith('{"event"'):
        return None
    try:
        event = json.loads(line)
    except ValueError:  # torn, because the connection was lost
        return None
    return event if isinstance(event, dict) else None


def _start(command: list[str], given: IO[bytes], errors: Optional[IO[bytes]]) -> subprocess.Popen[bytes]:
    """Start ssh so that it ignores Ctrl-C: a program inherits that a signal is ignored."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, stderr=errors)
    finally:
        signal.signal(signal.SIGINT, handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
