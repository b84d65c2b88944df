"""python3 -m benchmarks.outage: how long the management address is unreachable during the example's change.

In each lab machine, in turn: the change by kvmnet, reverted; the same change with ordinary commands
(tests/machines/by_hand.sh), reverted; and so on. A second machine on the wire sends ten pings a second. Exits with 1 if
the median of lost pings is more than one above that of the change by hand.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from tests.faults.injection import reopen_last
from tests.machines import build, picture, roots
from tests.machines.machine import Machine
from tests.machines.outage import Pings, by_hand, pings
from tests.machines.seed import host_and_peer, seed_host
from tests.machines.wire import Wire

DEFINITION = Path(__file__).parents[1] / "examples" / "rocks" / "cluster.yaml"


def by_kvmnet(host: Machine) -> None:
    host.run("kvmnet apply --yes /root/cluster.yaml", timeout=120)


def undo_kvmnet(host: Machine) -> None:
    """Roll back as after an interruption before the last event: the rescue program restores everything."""
    reopen_last(host)
    done = host.run("/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz", timeout=120, check=False)
    assert done.code == 3, done
    host.run("rm -rf /var/lib/kvmnet")


def measure(generation: str, rounds: int) -> tuple[list[Pings], list[Pings]]:
    """Return the lost pings of each round, by kvmnet and by hand."""
    with Wire() as wire, host_and_peer(generation, wire) as (host, peer):
        seed_host(host, zone="trusted", default_zone="drop")
        host.put("/root/cluster.yaml", DEFINITION.read_text(encoding="utf-8"))
        before = picture.whole(host)
        ours: list[Pings] = []
        hand: list[Pings] = []
        ways: list[tuple[list[Pings], Callable[[], None], Callable[[], None]]] = [
            (ours, lambda: by_kvmnet(host), lambda: undo_kvmnet(host)),
            (hand, lambda: by_hand(host, "do"), lambda: by_hand(host, "undo")),
        ]
        for number in range(rounds):
            for rows, do, undo in ways if number % 2 == 0 else ways[::-1]:
                with pings(peer) as seen:
                    do()
                assert seen.received, f"no ping at all was answered: {seen}"
                rows.append(seen)
                assert picture.link(host, "peth0")["master"] == "eth0"
                undo()
                _same(host, before)
            print(
                f"{generation}: round {number + 1}: {_told(ours[-1])} by kvmnet, {_told(hand[-1])} by hand",
                flush=True,
            )
        return ours, hand


def _same(host: Machine, before: dict[str, object]) -> None:
    """Check that each change starts from the same state."""
    for _ in range(20):
        after = picture.whole(host)
        if after == before:
            return
        host.run("sleep 1")
    raise AssertionError(f"not as before: {[(k, before[k], after[k]) for k in before if before[k] != after[k]]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--generation", choices=roots.GENERATIONS)
    options = parser.parse_args()
    chosen = [options.generation] if options.generation else list(roots.GENERATIONS)
    print(
        f"outage: {options.rounds} rounds in each machine, about {1 + options.rounds // 2} minutes for each", flush=True
    )
    build.prepare(chosen)
    late = []
    rows = []
    for generation in chosen:
        ours, hand = measure(generation, options.rounds)
        medians = _median(ours), _median(hand)
        for who, seen, median in (("kvmnet", ours, medians[0]), ("by hand", hand, medians[1])):
            gaps = ", ".join(f"{one.longest:.1f}" for one in seen)
            rows.append(f"| {generation} | {who} | {', '.join(str(one.lost) for one in seen)} | {median:g} | {gaps} |")
        if medians[0] > medians[1] + 1:
            late.append(generation)
    print("\n| machine | change | pings lost | median | longest gap, s |\n| --- | --- | --- | --- | --- |")
    print("\n".join(rows))
    print("\nat most one ping above the change by hand: " + (f"NO, in {', '.join(late)}" if late else "yes"))
    return 1 if late else 0


def _median(rounds: list[Pings]) -> float:
    return statistics.median(seen.lost for seen in rounds)


def _told(seen: Pings) -> str:
    return f"{seen.lost} lost (longest gap {seen.longest:.1f} s)"


if __name__ == "__main__":
    sys.exit(main())
