"""Hosts behind a real sshd, each with a stand-in for kvmnet and a state folder."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.loopback.sshd import Sshd, running_sshd

_STAND_IN = Path(__file__).with_name("stand_in.py")


@dataclass(frozen=True)
class Host:
    """A host of a test: its sshd, and the state folder of its kvmnet."""

    sshd: Sshd
    state: Path

    def misbehave(self, kind: str) -> None:
        """Let the stand-in misbehave from now on; see stand_in.py."""
        self.state.mkdir(exist_ok=True)
        (self.state / kind).touch()

    def behave(self, kind: str) -> None:
        """End a misbehaviour."""
        (self.state / kind).unlink(missing_ok=True)

    def read(self, name: str) -> Any:
        """Return a JSON file of the state folder; None if it is not there."""
        path = self.state / name
        return json.loads(path.read_text()) if path.exists() else None

    def calls(self, command: str) -> list[list[str]]:
        """Return the arguments of the calls of a command so far."""
        path = self.state / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call for call in map(json.loads, lines) if call[0] == command]

    @property
    def outcomes(self) -> list[str]:
        """How the transactions ended."""
        return [row["outcome"] for row in self.read("history.json") or []]


@contextlib.contextmanager
def running_host(
    folder: Path, addresses: Sequence[str] = ("127.0.0.1",), settings: str = "", python: str = sys.executable
) -> Iterator[Host]:
    """Yield a host whose name is that of the folder. `settings` are lines for the client's ssh_config."""
    programs, state = folder / "bin", folder / "state"
    programs.mkdir(parents=True)
    (programs / "kvmnet").write_text(f'#!/bin/sh\nexec {python} {_STAND_IN} "$@"\n')
    (programs / "kvmnet").chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin", "STAND_IN": str(state)}
    with running_sshd(folder, environment, addresses, settings) as sshd:
        yield Host(sshd, state)
