"""How long a machine is unreachable for its peer: ten pings a second, and five new TCP connections a second."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.machines.machine import Job, Machine
from tests.machines.seed import ECHO_PORT, HOST_ADDRESS

T = TypeVar("T")
PING_EVERY = 0.1
BY_HAND = Path(__file__).with_name("by_hand.sh")
_PROBE = """
import json, signal, socket, sys, time
address, port, every = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    began = time.time()
    try:
        with socket.create_connection((address, port), 1) as call:
            ok, why = bool(call.recv(1)), ""
    except OSError as error:
        ok, why = False, str(error)
    print(json.dumps({"at": began, "ok": ok, "took": round(time.time() - began, 3), "why": why}), flush=True)
    time.sleep(max(0, began + every - time.time()))
"""


@dataclass
class Pings:
    """The result of a ping in the background; complete when its block has ended."""

    sent: int = 0
    answered: set[int] = field(default_factory=set)
    """The numbers of those that were answered; the first is 1."""

    @property
    def received(self) -> int:
        return len(self.answered)

    @property
    def lost(self) -> int:
        return self.sent - self.received

    @property
    def longest(self) -> float:
        """The longest time without a reply, in seconds, to a tenth: the interval of the pings."""
        there = sorted({0, *self.answered, self.sent + 1})
        return max(after - before - 1 for before, after in zip(there, there[1:])) * PING_EVERY


@dataclass
class Connections:
    """Attempts of new inbound connections: the time of each, whether it was answered, and why not."""

    attempts: list[dict[str, object]] = field(default_factory=list)

    @property
    def failed(self) -> list[dict[str, object]]:
        return [attempt for attempt in self.attempts if not attempt["ok"]]


@contextmanager
def pings(peer: Machine, address: str = HOST_ADDRESS, *, lead: float = 1.0) -> Iterator[Pings]:
    """Ping during the block, `lead` seconds before it and after it."""
    seen = Pings()
    job = peer.start(["ping", "-n", "-i", str(PING_EVERY), "-W", "1", address])
    time.sleep(lead)
    try:
        yield seen
        time.sleep(lead)
    finally:
        text = job.stop(signal.SIGINT).stdout
        found = re.search(r"(\d+) packets transmitted", text)
        if found:
            seen.answered = {int(number) for number in re.findall(r"bytes from .* icmp_seq=(\d+)", text)}
            # the last one may have been on its way when ping was stopped
            seen.sent = int(found[1]) if int(found[1]) in seen.answered else int(found[1]) - 1


@contextmanager
def connections(
    peer: Machine, address: str = HOST_ADDRESS, port: int = ECHO_PORT, *, every: float = 0.2
) -> Iterator[Connections]:
    """Open new connections from the peer during the block: only these show that a machine can be reached."""
    seen = Connections()
    job = peer.start(["/usr/bin/python3", "-c", _PROBE, address, str(port), str(every)])
    _first_line(job)
    try:
        yield seen
    finally:
        lines = job.stop().stdout.splitlines()
        seen.attempts = [json.loads(line) for line in lines if line.endswith("}")]


def lost_during(peer: Machine, action: Callable[[], T], address: str = HOST_ADDRESS) -> tuple[int, T]:
    """Return how many of ten pings a second were lost while the action ran, and its result."""
    with pings(peer, address) as seen:
        result = action()
    assert seen.received, f"no ping at all was answered: {seen}"
    return seen.lost, result


def reachable(peer: Machine, address: str = HOST_ADDRESS, port: int = ECHO_PORT, *, timeout: float = 2) -> bool:
    """Return whether one new connection is answered now."""
    script = f"import socket; assert socket.create_connection(({address!r}, {port}), {timeout}).recv(1)"
    return peer.run(["/usr/bin/python3", "-c", script], check=False).code == 0


def until_reachable(peer: Machine, address: str, *, seconds: float = 30) -> None:
    """Wait until a connection is answered: the ports of a bridge with spanning tree forward only after its delays.
    Raises AssertionError."""
    end = time.monotonic() + seconds
    while not reachable(peer, address):
        assert time.monotonic() < end, f"{address} is not reachable after {seconds} s"
        time.sleep(0.2)


def by_hand(host: Machine, verb: str) -> None:
    """Run the example's change with ordinary commands (`do`), or revert it (`undo`): kvmnet is compared with it."""
    host.put("/root/by_hand.sh", BY_HAND.read_bytes(), mode=0o755)
    host.run(["/root/by_hand.sh", verb], timeout=180)


def _first_line(job: Job) -> None:
    for _ in range(40):
        if job.output().stdout:
            return
        time.sleep(0.25)
