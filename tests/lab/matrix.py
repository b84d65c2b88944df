"""The fault matrix: at every step of a change something terrible happens, and the machine is there again.

    python -m tests.lab.matrix [--generation G] [--shard 1/4] [--only WORDS] [--list]

A point is a place in the transaction (the worker is stopped right there) and a fault. After it the machine must be
wholly as before or wholly as defined within a time limit, and a new connection from the peer must be answered.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from tests.lab import faults, picture, roots
from tests.lab.machine import Job, Machine
from tests.lab.outage import reachable
from tests.lab.seed import PEER_ADDRESS, host_and_peer, seed_host
from tests.lab.wire import Wire

DEFINITION = Path(__file__).parents[2] / "examples" / "rocks" / "cluster.yaml"
APPLY = "exec kvmnet apply --yes --timeout 30 /root/cluster.yaml"
#: Seconds, after the deadline that `status` shows, in which the machine must be there again. These machines share two
#: cores with others: the promise is 60.
PATIENCE = 60
MANAGER = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager"

#: The steps of the seed's change, by number: what `pause` needs. `test_faults` holds it against the real journal.
STEPS = (
    "name the NICs for udev, until the next boot",
    "ask udev whose file names the NICs",
    "bind the profile of eth0 to its MAC",
    "bind peth0 to zone trusted",
    "rename eth0 to peth0",
    "make a profile for eth0",
    "apply peth0, eth0, on trial",
    "read the kernel back",
    "ask 10.1.1.1",
    "end the trial",
    "bind the profile of eth0 to its MAC, on disk",
    "name the NICs for udev, for good",
    "ask udev once more",
    "write the profiles to disk: eth0, peth0",
    "tell NetworkManager which devices are the guests'",
    "note what is applied",
)
#: After re-binding, between rename and apply, in the trial, between commit and .link, between .link and Save.
CRITICAL = (2, 4, 6, 9, 11)


@dataclass(frozen=True)
class Bench:
    """A host and its peer, and what the host is before and after the change."""

    host: Machine
    peer: Machine
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True)
class Point:
    """The worker stops at the word `event` of `step`; then the fault. `ends` are the outcomes that are right:
    "before", "after" or both."""

    fault: str
    step: int
    event: str = "done"
    ends: tuple[str, ...] = ("before",)

    @property
    def name(self) -> str:
        where = "before" if self.event == "do" else "after"
        return f"{self.fault} {where} '{STEPS[self.step]}'"


Fault = Callable[[Bench, Job], None]


def _kill(bench: Bench, job: Job) -> None:
    faults.kill_unit(bench.host, rescue_too=False)


def _kill_all(bench: Bench, job: Job) -> None:
    """The worker, what systemd starts after it, and the command that follows: the watchdog alone is left."""
    job.stop(signal.SIGKILL)
    faults.kill_unit(bench.host, rescue_too=True)


def _power(bench: Bench, job: Job) -> None:
    bench.host.power_cut()
    bench.host.boot()
    bench.host.run("nm-online -s -q -t 60", timeout=90)


def _nm(verb: str) -> Fault:
    def fault(bench: Bench, job: Job) -> None:
        was = bench.host.out("systemctl show -p MainPID --value NetworkManager")
        bench.host.run(verb, timeout=90)
        assert bench.host.out("systemctl show -p MainPID --value NetworkManager") != was, "it is the same process"
        faults.go_on(bench.host)

    return fault


def _frozen_nm(bench: Bench, job: Job) -> None:
    bench.host.run("systemctl kill --signal=STOP NetworkManager")
    faults.go_on(bench.host)


def _gone(bench: Bench, job: Job) -> None:
    """kvmnet and its venv are deleted, then the worker dies."""
    bench.host.run("mv /opt/kvmnet /opt/gone")
    try:
        faults.kill_unit(bench.host, rescue_too=False)
        _until_closed(bench.host)
    finally:
        bench.host.run("mv /opt/gone /opt/kvmnet")


def _clock(jump: str) -> Fault:
    def fault(bench: Bench, job: Job) -> None:
        bench.host.run(f"date -s '{jump}'")
        _kill_all(bench, job)
        _until_closed(bench.host)
        bench.host.run(f"date -s @{time.time():.0f}")

    return fault


def _silence(bench: Bench, job: Job) -> None:
    """The gateway is silent from here on; it answers again when all is over."""
    bench.peer.run("ip link set eth0 down")
    try:
        faults.go_on(bench.host)
        _until_closed(bench.host)
    finally:
        bench.peer.run(f"ip link set eth0 up; ip address replace {PEER_ADDRESS}/16 dev eth0")


def _full_disk(bench: Bench, job: Job) -> None:
    fill = "dd if=/dev/zero of=/var/filler bs=1M; dd if=/dev/zero of=/var/filler2 bs=1k count=9999; sync"
    bench.host.run(fill, check=False)
    assert int(bench.host.out("df --output=avail -k /var | tail -n 1")) < 8, "the disk is not full"
    try:
        faults.go_on(bench.host)
        _until_closed(bench.host)
    finally:
        bench.host.run("rm -f /var/filler /var/filler2")


def _second_apply(bench: Bench, job: Job) -> None:
    second = bench.host.run("kvmnet apply --yes /root/cluster.yaml", check=False)
    assert second.code == 5, second
    faults.go_on(bench.host)


def _terminal(bench: Bench, job: Job) -> None:
    job.stop(signal.SIGHUP)
    faults.go_on(bench.host)


def _foreign_checkpoint(bench: Bench, job: Job) -> None:
    path = bench.host.out(f"busctl call {MANAGER} CheckpointCreate aouu 0 120 0").split()[-1].strip('"')
    try:
        faults.go_on(bench.host)
        _until_closed(bench.host)
    finally:
        bench.host.run(f"busctl call {MANAGER} CheckpointDestroy o {path}", check=False)


def _rollback(bench: Bench, job: Job) -> None:
    result = bench.host.run("kvmnet rollback", check=False, timeout=120)
    assert result.code == 0, result


FAULTS: dict[str, Fault] = {
    "worker killed": _kill,
    "everything killed": _kill_all,
    "power cut": _power,
    "NetworkManager stopped": _nm("systemctl stop NetworkManager"),
    "NetworkManager killed": _nm("systemctl kill --signal=KILL NetworkManager; sleep 1"),
    "NetworkManager restarted": _nm("systemctl restart NetworkManager"),
    "NetworkManager frozen": _frozen_nm,
    "kvmnet deleted": _gone,
    "clock a day on": _clock("+1 day"),
    "clock a year back": _clock("-1 year"),
    "gateway silent": _silence,
    "disk full": _full_disk,
    "a second apply": _second_apply,
    "terminal gone": _terminal,
    "foreign checkpoint": _foreign_checkpoint,
    "rollback asked for": _rollback,
}


#: Faults after which nothing but the state from before is right.
UNDONE = ("worker killed", "power cut", "kvmnet deleted", "rollback asked for", "clock a day on", "clock a year back")


def points() -> list[Point]:
    """Every point of one generation, the worst first within a fault."""
    found = []
    for step in range(len(STEPS)):
        found += [Point(fault, step, "do") for fault in ("worker killed", "power cut")]
        found.append(Point("everything killed", step, "done"))
    either = ("before", "after")
    for step in CRITICAL:
        found += [
            Point(fault, step) for fault in ("worker killed", "power cut", "kvmnet deleted", "rollback asked for")
        ]
        found += [Point(fault, step) for fault in ("clock a day on", "clock a year back")]
        found += [Point(fault, step, ends=("after",)) for fault in ("a second apply", "terminal gone")]
        found += [
            Point(f"NetworkManager {what}", step, ends=either) for what in ("stopped", "killed", "restarted", "frozen")
        ]
        found.append(Point("gateway silent", step, ends=("before",) if step <= 7 else ("after",)))
        found.append(Point("disk full", step, ends=either))
        found.append(Point("foreign checkpoint", step, ends=either))
    return found


def run(bench: Bench, point: Point) -> str:
    """Let it happen; how it ended. Raises AssertionError when the machine is not there again."""
    host = bench.host
    assert picture.whole(host) == bench.before, "the machine is not as it must be before a point"
    faults.pause(host, point.step, event=point.event)
    job = host.start(APPLY)
    faults.wait_paused(host, timeout=90)
    told = _events(host)
    assert (told[-1]["event"], told[-1].get("step")) == (point.event, point.step), told[-1]
    FAULTS[point.fault](bench, job)
    return settled(bench, point.ends)


def settled(bench: Bench, ends: tuple[str, ...]) -> str:
    """Wait until no transaction is open, then hold the machine against what it was and what it was to be."""
    host = bench.host
    _until_closed(host)
    host.until("! systemctl list-units --no-legend --state=active,activating 'kvmnet-*' | grep -q .", timeout=60)
    limit = time.monotonic() + 20  # an address's duplicate detection may go on
    while not (found := [name for name in ends if not _differences(bench, name)]):
        assert time.monotonic() < limit, "\n".join(line for name in ends for line in _differences(bench, name))
        time.sleep(0.5)
    assert reachable(bench.peer, timeout=5), "a new connection is not answered"
    return found[0]


def back(bench: Bench, ended: str) -> None:
    """From the new state to the old one, for the next point."""
    if ended == "after":
        bench.host.run("kvmnet remove --yes", timeout=120)
    assert picture.whole(bench.host) == bench.before


def _until_closed(host: Machine) -> None:
    """The limit is the open step's deadline and PATIENCE after it; without a deadline the undo is at work."""
    limit = time.monotonic() + PATIENCE
    told = _status(host)
    if told.get("left"):
        limit += max(0.0, float(told["left"]))
    while host.run("test -e /var/lib/kvmnet/open", check=False).code == 0:
        assert time.monotonic() < limit, f"the transaction is still open: {_events(host)[-4:]}"
        time.sleep(0.3)


def _status(host: Machine) -> dict[str, Any]:
    text = host.run("kvmnet status --json", check=False).stdout
    with contextlib.suppress(ValueError, AttributeError):
        return dict(json.loads(text)["open"] or {})
    return {}


def _events(host: Machine) -> list[dict[str, Any]]:
    text = host.run("cat /var/lib/kvmnet/open/journal.jsonl", check=False).stdout
    return [json.loads(line) for line in text.splitlines()] or [{"event": "none"}]


def _differences(bench: Bench, end: str) -> list[str]:
    """How the machine differs from one of its ends, byte for byte from the old one."""
    now, wanted = picture.whole(bench.host), bench.before if end == "before" else bench.after
    parts = [part for part in wanted if end == "before" or part != "files"]
    return [f"not as {end}: {p}: is {now[p]}, not {wanted[p]}" for p in parts if now[p] != wanted[p]]


@contextlib.contextmanager
def bench_of(generation: str) -> Iterator[Bench]:
    """The seed's host, bound by name as an installer leaves it, default zone drop; and its gateway."""
    with Wire() as wire, host_and_peer(generation, wire) as (host, peer):
        yield prepare(seed_host(host, zone="trusted", default_zone="drop"), peer)


def prepare(host: Machine, peer: Machine) -> Bench:
    """Make the change once and give it back: so both ends are known."""
    host.put("/root/cluster.yaml", DEFINITION.read_bytes())
    before = picture.whole(host)
    host.run("kvmnet apply --yes /root/cluster.yaml", timeout=120)
    after = picture.whole(host)
    titles = json.loads(host.out("cat /var/lib/kvmnet/history/*/transaction.json"))["steps"]
    assert tuple(step["title"] for step in titles) == STEPS
    host.run("kvmnet remove --yes", timeout=120)
    bench = Bench(host, peer, before, after)
    assert picture.whole(host) == before
    return bench


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.lab.matrix", description=__doc__)
    parser.add_argument("--generation", choices=roots.GENERATIONS, action="append")
    parser.add_argument("--shard", default="1/1", help="of the points, the i-th of n parts")
    parser.add_argument("--only", default="", help="points whose name has these words")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    part, parts = (int(word) for word in options.shard.split("/"))
    chosen = [point for point in points() if options.only in point.name][part - 1 :: parts]
    if options.list:
        print("\n".join(point.name for point in chosen))
        return 0
    generations = options.generation or list(roots.GENERATIONS)
    with ThreadPoolExecutor() as pool:
        lost = sum(pool.map(lambda generation: _all(generation, chosen), generations))
    print(f"{len(chosen) * len(generations)} points, {lost} lost")
    return 1 if lost else 0


def _all(generation: str, chosen: list[Point]) -> int:
    """Run the points in one pair of machines; a lost one costs a new pair. How many were lost."""
    lost = 0
    todo = list(chosen)
    while todo:
        with bench_of(generation) as bench:
            while todo:
                if not _one(generation, bench, todo.pop(0)):
                    lost += 1
                    break
    return lost


def _one(generation: str, bench: Bench, point: Point) -> bool:
    start = time.monotonic()
    ended: Optional[str] = None
    try:
        ended = run(bench, point)
        back(bench, ended)
    except Exception as error:
        text = traceback.format_exc() if not isinstance(error, AssertionError) else str(error)
        print(f"{generation:8} | LOST   | {point.name}: {text}", flush=True)
        return False
    took = time.monotonic() - start
    print(f"{generation:8} | {ended:6} | {point.name} ({took:.0f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
