"""Fixtures with lab machines.

`generation` runs a test in both kinds of machine; `wire`, `peer` and `host` are shared by the tests of a module. If the
lab cannot run, its tests are skipped and the summary contains the reason; with KVMNET_LAB=required, this is a failure.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.machines import build, roots
from tests.machines.cache import LabError
from tests.machines.machine import Machine
from tests.machines.seed import host_and_peer, seed_host
from tests.machines.wire import Wire

REASON = pytest.StashKey[str]()


class Pair(NamedTuple):
    host: Machine
    peer: Machine


def pytest_addoption(parser: pytest.Parser) -> None:
    with contextlib.suppress(ValueError):  # tests/contract has the same options and may be read first
        words = "spread the modules over the generations (marker make_test), without the tests marked `long`"
        parser.addoption("--take-turns", action="store_true", help=words)
        parser.addoption("--generation", choices=roots.GENERATIONS, help="lab machines of this generation only")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: not with --take-turns, so not in `make test`")
    config.addinivalue_line("markers", "make_test(*generations): with --take-turns in these generations only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "generation" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--generation", default=None)
        metafunc.parametrize("generation", [chosen] if chosen else roots.GENERATIONS, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--take-turns", default=False):
        return
    left_out = [item for item in items if not _its_turn(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _its_turn(item: pytest.Item) -> bool:
    if item.get_closest_marker("long"):
        return False
    mark = item.get_closest_marker("make_test")  # the marker of the test comes before that of its module
    call = getattr(item, "callspec", None)
    return mark is None or call is None or call.params.get("generation") in mark.args


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reason = config.stash.get(REASON, None)
    if reason:
        terminalreporter.write_line(f"lab: NOT RUN, {reason}", yellow=True)


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> None:
    """Everything that machines are built from. What the cache lacks is built."""
    reason = build.why_not()
    required = os.environ.get("KVMNET_LAB") == "required"
    if reason is None:
        chosen = pytestconfig.getoption("--generation", default=None)
        capture = pytestconfig.pluginmanager.getplugin("capturemanager")
        try:
            with capture.global_and_fixture_disabled():
                build.prepare([chosen] if chosen else roots.GENERATIONS)
        except LabError as error:
            pytest.fail(f"the lab cannot be built: {error}", pytrace=False)
        return
    pytestconfig.stash[REASON] = reason
    if required:
        pytest.fail(f"KVMNET_LAB=required, but the lab cannot run: {reason}", pytrace=False)
    pytest.skip(f"the lab cannot run: {reason}")


@pytest.fixture(scope="module")
def wire(lab: None) -> Iterator[Wire]:
    with Wire() as made:
        yield made


@pytest.fixture(scope="module")
def pair(lab: None, generation: str, wire: Wire) -> Iterator[Pair]:
    """A host that has no connection profile yet, and its gateway."""
    with host_and_peer(generation, wire) as machines:
        yield Pair(*machines)


@pytest.fixture(scope="module")
def peer(pair: Pair) -> Machine:
    return pair.peer


@pytest.fixture(scope="module")
def host(pair: Pair) -> Machine:
    """The host before kvmnet: firewalld with default zone drop, and its connection profile in zone trusted."""
    return seed_host(pair.host, zone="trusted", default_zone="drop")


@pytest.fixture(scope="session")
def definition() -> str:
    """The example's definition."""
    return (Path(__file__).parents[2] / "examples" / "rocks" / "cluster.yaml").read_text(encoding="utf-8")
