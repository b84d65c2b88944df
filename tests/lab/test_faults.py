"""The most critical points of the fault matrix; `make faults` runs all of it. The generations take turns."""

from __future__ import annotations

import pytest

from kvmnet.rescue import archive
from tests.faults import hosts, injection, kinds, matrix
from tests.faults.hosts import Bench
from tests.faults.matrix import EITHER, Point
from tests.machines import picture, roots
from tests.machines.machine import Job, Machine

CRITICAL = (
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
RESCUE_FILE = "/var/lib/kvmnet/rescue.pyz"
RESCUE = f"/usr/bin/python3 -I {RESCUE_FILE}"


@pytest.fixture(scope="module")
def bench(host: Machine, peer: Machine) -> Bench:
    return hosts.prepare(host, peer)


def points_of(generation: str) -> list[Point]:
    return list(CRITICAL[roots.GENERATIONS.index(generation) :: len(roots.GENERATIONS)])


@pytest.mark.guarantee("G26")
@pytest.mark.parametrize("number", range(len(CRITICAL) // len(roots.GENERATIONS)))
def test_critical_points(bench: Bench, generation: str, number: int) -> None:
    ended = matrix.run(bench, points_of(generation)[number])
    matrix.back(bench, ended)


@pytest.mark.parametrize(
    ("off", "fault", "step"),
    [
        ("systemctl stop 'kvmnet-watchdog-*'", "everything killed", 4),
        pytest.param(
            "systemctl disable kvmnet-boot-undo kvmnet-boot-verify; sync", "power cut", 6, marks=pytest.mark.long
        ),
    ],
    ids=["the watchdog", "the boot's units"],
)
@pytest.mark.make_test("bookworm")
def test_the_matrix_recognizes_a_lost_host_without_a_safeguard(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, off: str, fault: str, step: int
) -> None:
    """Nothing rolls the transaction back then, and the matrix must report that."""

    def unprotected(bench: Bench, job: Job) -> None:
        bench.host.run(off)
        kinds.FAULTS[fault](bench, job)

    monkeypatch.setattr(kinds, "PATIENCE", 5)
    monkeypatch.setitem(kinds.FAULTS, "unprotected", unprotected)
    with pytest.raises(AssertionError, match="still open"):
        matrix.run(bench, Point("unprotected", step))
    bench.host.run(RESCUE, check=False, timeout=120)
    assert picture.whole(bench.host) == bench.before


@pytest.mark.long
def test_the_matrix_recognizes_a_rollback_that_does_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It renames no NIC back and reports no difference."""

    def blind(bench: Bench, job: Job) -> None:
        sources = archive.read_sources()
        for name, line, instead in (
            ("restore", "def restore_nic_names(before: Json) -> list[str]:", "{}\n    return []"),
            ("comparison", "def find_differences(before: Json) -> list[str]:", "{}\n    return []"),
            ("undo", "operations.UNDO_RENAME.name: undo_rename,", 'operations.UNDO_RENAME.name: lambda *_: "",'),
        ):
            file = f"kvmnet/rescue/{name}.py"
            assert sources[file].count(line.encode()) == 1
            sources[file] = sources[file].replace(line.encode(), instead.format(line).encode())
        bench.host.put(RESCUE_FILE, archive.build(sources), mode=0o700)
        kinds.FAULTS["worker killed"](bench, job)

    monkeypatch.setitem(kinds.FAULTS, "blind", blind)
    with pytest.raises(AssertionError, match="not as before: links"):
        matrix.run(bench, Point("blind", 4))
    injection.reopen_last(bench.host)
    bench.host.put(RESCUE_FILE, archive.build(archive.read_sources()), mode=0o700)
    assert bench.host.run(RESCUE, check=False, timeout=120).code == 3
    assert picture.whole(bench.host) == bench.before
