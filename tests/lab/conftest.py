"""Lab machines for tests.

`generation` runs a test in both kinds of machine, `wire`, `peer` and `host` are shared by the tests of a module.
KVMNET_LAB=required makes a lab that cannot run a failure; otherwise its tests are skipped, and the summary says why.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab import build, roots
from tests.lab.cache import LabError
from tests.lab.machine import Machine
from tests.lab.seed import host_and_peer, seed_host
from tests.lab.wire import Wire

REASON = pytest.StashKey[str]()


class Pair(NamedTuple):
    host: Machine
    peer: Machine


TURNS: dict[str, tuple[str, ...]] = {
    "test_keyfiles": ("trixie",),
    "test_language": ("trixie",),
    "test_undo": ("trixie",),
    "test_guard": ("bookworm",),
    "test_guests": ("bookworm",),
    # the manual's two pictures, and what the hook is for, in both
    "test_guests::test_apply_and_the_hook": roots.GENERATIONS,
    "test_guests::test_the_pictures_of_the_manual": roots.GENERATIONS,
    "test_guests::test_two_guests_on_one_tag": roots.GENERATIONS,
    "test_guests::test_what_the_definition_does_not_allow_is_said_by_virsh": roots.GENERATIONS,
    "test_impact": ("trixie",),
    "test_lab": (),
    "test_by_hand": (),
    "test_examples": (),
    "test_identity": (),
    "test_leaving": (),
    "test_management": (),
    "test_planfile": (),
    "test_probes": (),
    "test_refusals": (),
    "test_secrets": (),
    "test_tutorial": ("trixie",),
    "test_two_nics": (),
    "test_upgrade": ("bookworm",),
    # two minutes, and test_undo has the same of the seed's host
    "test_language::test_a_mistyped_network_undoes_it_all": (),
    # a minute each
    "test_guard::test_the_state_folder_is_mounted_late": (),
    "test_guard::test_the_nic_appears_late": (),
    "test_guard::test_a_stalled_rollback_is_taken_over": (),
    "test_guard::test_power_loss_in_a_removal": (),
    "test_guard::test_power_loss_in_a_rollback_command": (),
    "test_guard::test_power_loss_while_a_change_is_rolled_back": (),
    # the two that have most of the refusals in them
    "test_refusals::test_networkmanager_does_not_run": ("trixie",),
    "test_refusals::test_all_reasons_at_once_and_what_is_allowed": ("trixie",),
    # the fault matrix has these too
    "test_undo::test_nmstate_fails": (),
    "test_undo::test_nmstate_applies_another_state": (),
    "test_guard::test_the_watchdog_rolls_back_without_worker_and_unit": (),
    "test_guard::test_power_loss_in_the_trial": (),
}
"""With --take-turns, as in `make test`, which must not take too long: the generations that a module's tests, or one of
them, run in. What is not named runs in both, as all does in `make lab-tests-all`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    with contextlib.suppress(ValueError):  # tests/contract has them too, and was read first
        words = "spread the modules over the generations (see TURNS), without the tests marked `long`"
        parser.addoption("--take-turns", action="store_true", help=words)
        parser.addoption("--generation", choices=roots.GENERATIONS, help="lab machines of this generation only")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: not with --take-turns, so not in `make test`")


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
    module = item.path.stem
    turns = TURNS.get(f"{module}::{item.originalname}" if isinstance(item, pytest.Function) else "", TURNS.get(module))
    call = getattr(item, "callspec", None)
    return turns is None or call is None or call.params.get("generation") in turns


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reason = config.stash.get(REASON, None)
    if reason:
        terminalreporter.write_line(f"lab: NOT RUN, {reason}", yellow=True)


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> None:
    """All that machines are made of, built when the cache lacks it."""
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
    """A host without a profile yet and its gateway."""
    with host_and_peer(generation, wire) as machines:
        yield Pair(*machines)


@pytest.fixture(scope="module")
def peer(pair: Pair) -> Machine:
    return pair.peer


@pytest.fixture(scope="module")
def host(pair: Pair) -> Machine:
    """The host before kvmnet, firewalld with default zone drop and the profile's zone trusted."""
    return seed_host(pair.host, zone="trusted", default_zone="drop")


@pytest.fixture(scope="session")
def definition() -> str:
    """The seed's definition."""
    return (Path(__file__).parents[2] / "examples" / "rocks" / "cluster.yaml").read_text(encoding="utf-8")
