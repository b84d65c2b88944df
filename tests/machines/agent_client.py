"""The client of a machine's agent. inside/agent.py describes the protocol."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from tests.machines.cache import LabError


class MachineGone(LabError):
    """The machine stopped (a power cut, a power off, a crash) before it answered."""


class Silent(LabError):
    """The machine runs but did not answer in time."""


@dataclass
class Request:
    number: str
    answered: threading.Event


class Desk:
    """The folder and the serial line of one boot. Each boot has new ones, so no answer of an earlier boot is read."""

    def __init__(self, folder: Path, read_fd: int, write_fd: int, alive: Callable[[], bool]) -> None:
        self.folder = folder
        self.ready = threading.Event()
        self._read, self._write, self._alive = read_fd, write_fd, alive
        self._numbers = itertools.count(1)
        self._open: dict[str, Request] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def post(self, do: str, *, data: bytes | None = None, stdin: bytes | None = None, **fields: Any) -> Request:
        """Send a request; `result` waits for its answer."""
        request = Request(str(next(self._numbers)), threading.Event())
        if data is not None:
            self._file(request, "data").write_bytes(data)
        if stdin is not None:
            self._file(request, "stdin").write_bytes(stdin)
        if do == "run":
            fields["stdin"] = stdin is not None
        self._file(request, "request").write_text(json.dumps({"do": do, **fields}))
        with self._lock:
            self._open[request.number] = request
            try:
                os.write(self._write, f"{request.number}\n".encode())
            except OSError as error:
                raise MachineGone("the machine is off") from error
        return request

    def result(self, request: Request, timeout: float) -> dict[str, Any]:
        """Return the answer. Raises Silent after `timeout` seconds, and MachineGone as soon as the machine ends."""
        until = time.monotonic() + timeout
        while not request.answered.wait(min(0.5, max(0, until - time.monotonic()))):
            if not self._alive():
                raise MachineGone("the machine stopped")
            if time.monotonic() >= until:
                raise Silent(f"no answer in {timeout:.0f} s")
        file = self._file(request, "answer")
        if not file.exists():
            raise MachineGone("the machine stopped")
        answer: dict[str, Any] = json.loads(file.read_text())
        if "error" in answer:
            raise LabError(f"the machine's agent: {answer['error']}")
        return answer

    def ask(self, do: str, *, timeout: float = 30, **fields: Any) -> Request:
        """Send a request that is answered at once, and return the answer."""
        request = self.post(do, **fields)
        self.result(request, timeout)
        return request

    def read(self, request: Request, kind: str) -> bytes:
        file = self._file(request, kind)
        return file.read_bytes() if file.exists() else b""

    def _file(self, request: Request, kind: str) -> Path:
        return self.folder / f"{request.number}.{kind}"

    def _listen(self) -> None:
        with os.fdopen(self._read, "rb", buffering=0) as line:
            rest = b""
            while chunk := line.read(4096):
                *words, rest = (rest + chunk).split(b"\n")
                for word in (word.strip().decode(errors="replace") for word in words):
                    if word == "ready":
                        self.ready.set()
                    elif word in self._open:
                        with self._lock:
                            self._open.pop(word).answered.set()
        with self._lock:  # the machine has ended: all waits end
            for request in self._open.values():
                request.answered.set()

    def close(self) -> None:
        with self._lock:
            if self._write >= 0:
                os.close(self._write)
                self._write = -1
