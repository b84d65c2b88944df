"""A wire: an Ethernet switch in a process, to which NICs of several machines are connected."""

from __future__ import annotations

import subprocess
import time

from tests.machines import scratch, spawn
from tests.machines.cache import LabError


class Wire:
    """Machines on the same wire can communicate. It drops frames over 1514 bytes: a tagged interface needs an MTU of
    1496 or less."""

    def __init__(self) -> None:
        self.folder = scratch.make("wire")
        self.socket = self.folder / "socket"
        # It also ends by itself at the end of its standard input, which is a pipe of ours.
        self._process = spawn.spawn(["uml_switch", "-unix", self.socket], stdin=subprocess.PIPE)
        until = time.monotonic() + 60
        while not self.socket.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.close()
                raise LabError("uml_switch does not start (package uml-utilities)")
            time.sleep(0.02)

    def close(self) -> None:
        spawn.end(self._process)
        if self._process.stdin:
            self._process.stdin.close()
        scratch.remove(self.folder)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
