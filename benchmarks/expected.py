"""python3 -m benchmarks.expected: the interruption that `kvmnet plan` expects, beside the measured one.

For each kind of management interface (tests/machines/host_kinds.py): the change by kvmnet, its removal, and again. A
second machine on the wire sends ten pings a second. Exits with 1 if an interruption is longer than the plan expects.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import NamedTuple

from tests.machines import build, host_kinds, roots
from tests.machines.host_kinds import WAYS
from tests.machines.machine import Machine
from tests.machines.outage import pings


class Row(NamedTuple):
    """A kind of management interface: the seconds that the plan expects at most, and the longest gap of each round
    during the change and during its removal."""

    name: str
    expected: float
    measured: list[float]
    removal_expected: float
    removal_measured: list[float]


def measure(generation: str, rounds: int) -> list[Row]:
    """Return a row for each kind."""
    rows = []
    with host_kinds.host_and_peer(generation) as (host, peer):
        for name in WAYS:
            way = host_kinds.lay_out(host, peer, WAYS[name])
            row = Row(name, 0.0, [], 0.0, [])
            for _ in range(rounds):
                row = row._replace(expected=_read_expected(host, f"plan {way.allow} /root/cluster.yaml"))
                row.measured.append(
                    _measure_gap(host, peer, way.address, f"apply --yes {way.allow} /root/cluster.yaml")
                )
                row = row._replace(removal_expected=_read_expected(host, "remove --dry-run"))
                row.removal_measured.append(_measure_gap(host, peer, way.address, "remove --yes"))
            rows.append(row)
            print(f"{generation}: {_row_text(row)}", flush=True)
    return rows


def _read_expected(host: Machine, command: str) -> float:
    output = host.out(f"kvmnet {command} --json", timeout=120)
    plan = json.loads(output if output.startswith("{\n") else output.splitlines()[0])
    return float(plan["this_host"]["interruption"]["seconds_at_most"])


def _measure_gap(host: Machine, peer: Machine, address: str, command: str) -> float:
    with pings(peer, address) as seen:
        host.run(f"kvmnet {command}", timeout=240)
    assert seen.received, f"no ping at all was answered: {seen}"
    return round(seen.longest, 1)


def _row_text(row: Row) -> str:
    gaps, removal_gaps = (", ".join(map(str, values)) for values in (row.measured, row.removal_measured))
    return f"{row.name}: expected {row.expected} s, {gaps}; removal: expected {row.removal_expected} s, {removal_gaps}"


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--generation", choices=roots.GENERATIONS)
    options = parser.parse_args()
    reason = build.why_not()
    if reason:
        print(f"the lab cannot run: {reason}", file=sys.stderr)
        return 2
    generations = [options.generation] if options.generation else list(roots.GENERATIONS)
    build.prepare(generations)
    is_longer = False
    for generation in generations:
        for row in measure(generation, options.rounds):
            is_longer |= max(row.measured) > row.expected or max(row.removal_measured) > row.removal_expected
    return int(is_longer)


if __name__ == "__main__":
    sys.exit(main())
