"""The fault matrix: a fault at every step of a change, after which the host must be complete and reachable.

    python -m tests.faults.matrix [--generation G] [--shard 1/4] [--pairs N] [--only WORDS] [--list]
                               [--results FILE [--rest]]

A point is a place in the transaction, where the worker is paused, and a fault; or a story, a change that fails in its
own way. After it the host must be completely as before or completely as defined within a time limit, and a new
connection from the peer must be answered. tests/faults/table.py makes a table of the results.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import time
import traceback
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Optional, Union

from tests.faults import injection, kinds, table
from tests.faults.hosts import NO_RENAME, OTHERS, RENAMES, SEED, STEPS, Bench, bench_of
from tests.faults.kinds import CLOCKS, FAULTS, KEPT, STORIES
from tests.faults.table import LOST
from tests.machines import picture, roots
from tests.machines.outage import reachable

BEFORE_THE_COMMIT = ("the re-binding", "the rename", "the seeding", "the trial")
EITHER = ("before", "after")
#: Faults after which a change may be kept or rolled back.
UNDECIDED = ("disk full", "foreign checkpoint", "kvmnet deleted, the worker lives", *CLOCKS)


@dataclass(frozen=True)
class Point:
    """The worker is paused at the `event` of `step` (its number, or a critical place); then the fault happens.

    A story has no place. `ends` are the correct outcomes: "before", "after" or both.
    """

    fault: str
    step: Union[int, str, None] = None
    event: str = "done"
    ends: tuple[str, ...] = ("before",)
    kind: str = SEED

    @property
    def place(self) -> str:
        if self.step is None:
            return ""
        where = "before" if self.event == "do" else "after"
        return f"{where} '{STEPS[self.step]}'" if isinstance(self.step, int) else f"{where} {self.step}"

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.fault} {self.place}".rstrip()


def points(generation: str) -> list[Point]:
    """Return every point of one generation. The example host has all of them in both; the others take turns."""
    chosen: list[Point] = []
    for number in range(len(STEPS)):
        chosen += [Point(fault, number, "do") for fault in ("worker killed", "power cut")]
        chosen.append(Point("everything killed", number, "done"))
    chosen += _critical(SEED, RENAMES)
    others = [point for kind, places in OTHERS.items() for point in _critical(kind, places)]
    return chosen + others[roots.GENERATIONS.index(generation) :: len(roots.GENERATIONS)]


def share_of(all_points: list[Point], part: int, parts: int) -> list[Point]:
    """Return one of equal parts, in their order. The faults at each place are spread over the parts."""
    spread = sorted(all_points, key=lambda point: zlib.crc32(point.name.encode()))
    chosen = set(spread[part - 1 :: parts])
    return [point for point in all_points if point in chosen]


def _critical(kind: str, places: tuple[str, ...]) -> list[Point]:
    """Return every fault at the critical places, and the stories."""
    critical = []
    for place in places:
        late = place not in BEFORE_THE_COMMIT
        for fault in FAULTS:
            ends: tuple[str, ...] = ("before",)
            if fault in ("a second apply", "terminal gone") or (fault == "gateway silent" and late):
                ends = ("after",)
            elif fault.startswith("NetworkManager") or fault in UNDECIDED:
                ends = EITHER
            critical.append(Point(fault, place, ends=ends, kind=kind))
    renames = places != NO_RENAME
    stories = [name for name in STORIES if renames or not name.startswith("rename")]
    return critical + [Point(name, ends=("after",) if name in KEPT else ("before",), kind=kind) for name in stories]


def run(bench: Bench, point: Point) -> str:
    """Run a point and return its outcome. Raises AssertionError when the host is lost."""
    host = bench.host
    assert not (left := _differences(bench, "before")), f"the host is not in its first state before a point: {left}"
    if point.step is None:
        STORIES[point.fault](bench)
        return settled(bench, point.ends)
    number = point.step if isinstance(point.step, int) else bench.places[point.step]
    injection.pause(host, number, event=point.event)
    job = host.start(bench.apply())
    injection.wait_paused(host, job)
    events = injection.events(host)
    assert (events[-1]["event"], events[-1].get("step")) == (point.event, number), events[-1]
    FAULTS[point.fault](bench, job)
    return settled(bench, point.ends)


def settled(bench: Bench, ends: tuple[str, ...]) -> str:
    """Wait until no transaction is open, then compare the host with the correct outcomes; return its outcome."""
    host = bench.host
    kinds.until_closed(bench)
    host.until("! systemctl list-units --no-legend --state=active,activating 'kvmnet-*' | grep -q .", timeout=60)
    host.until("! pgrep -f '[b]in/kvmnet apply'", timeout=60)  # it holds the lock until it has printed the result
    limit = time.monotonic() + 20  # an address's duplicate detection may go on
    while not (outcomes := [name for name in ends if not _differences(bench, name)]):
        assert time.monotonic() < limit, "\n".join(line for name in ends for line in _differences(bench, name))
        time.sleep(0.5)
    limit = time.monotonic() + 15  # the peer's own NIC may have come up only now
    while not reachable(bench.peer, bench.address, timeout=5):
        assert time.monotonic() < limit, "a new connection is not answered"
    return outcomes[0]


def back(bench: Bench, ended: str) -> None:
    """Restore the state before the change, for the next point."""
    if ended == "after":
        bench.host.run("kvmnet remove --yes", timeout=240)
    assert not (left := _differences(bench, "before")), f"after `kvmnet remove` the host is not as before: {left}"


def _differences(bench: Bench, end: str) -> list[str]:
    """Return how the host differs from an outcome; from the old state byte for byte. In the new one NetworkManager may
    have a name server from the bridge or, until its next restart, from the bond that is its port."""
    now, wanted = bench.look(bench.host), bench.before if end == "before" else bench.after
    parts = [part for part in wanted if end == "before" or part not in ("files", "dns")]
    return [f"not as {end}: {line}" for line in picture.differences(now, wanted, parts)]


@functools.cache
def current_commit() -> Optional[str]:
    """Return the commit of this checkout, with `-dirty` when it has changes; None without git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.matrix", description=__doc__)
    parser.add_argument("--generation", choices=roots.GENERATIONS, action="append")
    parser.add_argument("--shard", default="1/1", help="run the i-th of n parts of the points")
    parser.add_argument("--pairs", type=int, default=1, help="pairs of machines at the same time in each generation")
    parser.add_argument("--only", default="", help="run points whose name contains this text")
    parser.add_argument("--results", help="append each result to this file, as a line of JSON")
    parser.add_argument("--rest", action="store_true", help="run only points without a result in that file")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.rest and not options.results:
        parser.error("--rest needs --results FILE")
    known = table.read([options.results]) if options.rest and Path(options.results).exists() else {}
    part, parts = (int(word) for word in options.shard.split("/"))
    tasks = []
    for generation in options.generation or roots.GENERATIONS:
        chosen = share_of([p for p in points(generation) if options.only in p.name], part, parts)
        chosen = [p for p in chosen if known.get((p.kind, p.fault, p.place, generation), LOST) == LOST]
        # points of one host together: each host needs a new pair of machines
        share = -(-len(chosen) // options.pairs) or 1
        tasks += [(generation, chosen[n : n + share], options.results) for n in range(0, len(chosen), share)]
    if options.list:
        print("\n".join(f"{generation:8} | {point.name}" for generation, chosen, _ in tasks for point in chosen))
        return 0
    with ThreadPoolExecutor(max_workers=len(tasks) or 1) as pool:
        lost = sum(pool.map(lambda task: _all(*task), tasks))
    print(f"{sum(len(chosen) for _, chosen, _ in tasks)} points, {lost} lost")
    return 1 if lost else 0


def _all(generation: str, chosen: list[Point], results: Optional[str]) -> int:
    """Run the points, those of one host in one pair of machines, with a new pair after a lost host; return how many
    hosts were lost."""
    lost = 0
    for kind, of_kind in groupby(chosen, key=lambda point: point.kind):
        todo = list(of_kind)
        while todo:
            with bench_of(generation, kind) as bench:
                while todo:
                    point = todo.pop(0)
                    ended = _one(generation, bench, point)
                    if results:
                        row = {"generation": generation, "kind": kind, "fault": point.fault, "place": point.place}
                        with Path(results).open("a", encoding="utf-8") as file:
                            print(json.dumps({**row, "ended": ended, "commit": current_commit()}), file=file)
                    if ended is None:
                        lost += 1
                        break
    return lost


def _one(generation: str, bench: Bench, point: Point) -> Optional[str]:
    """Run a point and return its outcome; None when the host was lost."""
    start = time.monotonic()
    try:
        ended = run(bench, point)
        back(bench, ended)
    except Exception as error:
        text = traceback.format_exc() if not isinstance(error, AssertionError) else str(error)
        print(f"{generation:8} | LOST   | {point.name}: {text}", flush=True)
        return None
    print(f"{generation:8} | {ended:6} | {point.name} ({time.monotonic() - start:.0f} s)", flush=True)
    return ended


if __name__ == "__main__":
    sys.exit(main())
