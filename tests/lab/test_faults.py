"""The worst points of the fault matrix; `make faults` runs all of it. The generations take turns."""

from __future__ import annotations

import pytest

from tests.lab import matrix, matrix_faults, matrix_hosts, picture, roots
from tests.lab.machine import Job, Machine
from tests.lab.matrix import EITHER, Point
from tests.lab.matrix_hosts import Bench

WORST = (
    Point("everything killed", 4),
    Point("power cut", 4),
    Point("NetworkManager killed", 4, ends=EITHER),
    Point("NetworkManager restarted", 6, ends=EITHER),
    Point("NetworkManager frozen", 6, ends=EITHER),
    Point("foreign checkpoint", 4, ends=EITHER),
    Point("disk full", 9, ends=EITHER),
    Point("clock a day on", 6),
    Point("gateway silent", 6),
    Point("kvmnet deleted", 11),
    Point("power cut", 11),
    Point("power cut", 13),
    Point("clock an hour on, the worker lives", 6, ends=EITHER),
    Point("clock an hour back, the worker lives", 6, ends=EITHER),
)


@pytest.fixture(scope="module")
def bench(host: Machine, peer: Machine) -> Bench:
    return matrix_hosts.prepare(host, peer)


def mine(generation: str) -> list[Point]:
    return list(WORST[roots.GENERATIONS.index(generation) :: len(roots.GENERATIONS)])


@pytest.mark.parametrize("number", range(len(WORST) // len(roots.GENERATIONS)))
def test_the_worst(bench: Bench, generation: str, number: int) -> None:
    ended = matrix.run(bench, mine(generation)[number])
    matrix.back(bench, ended)


def test_without_its_watchdog_the_matrix_sees_a_lost_machine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything of kvmnet's is killed and the watchdog is off: so nobody undoes it, and that must be told."""

    def unwatched(bench: Bench, job: Job) -> None:
        bench.host.run("systemctl stop 'kvmnet-watchdog-*'")
        matrix_faults.FAULTS["everything killed"](bench, job)

    monkeypatch.setattr(matrix_faults, "PATIENCE", 5)
    monkeypatch.setitem(matrix_faults.FAULTS, "unwatched", unwatched)
    with pytest.raises(AssertionError, match="still open"):
        matrix.run(bench, Point("unwatched", 4))
    bench.host.run("/usr/bin/python3 -I /var/lib/kvmnet/rescue.py", check=False, timeout=120)
    assert picture.whole(bench.host) == bench.before
