"""Fixtures of the contract tests: those of the lab, and each access to nmstate as a backend.

By default that is nmstatectl of the current version; `--backends all` adds older versions and the library.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import library, tools
from tests.lab.conftest import (  # noqa: F401 - pytest finds fixtures by their names here
    definition,
    host,
    lab,
    pair,
    peer,
    pytest_configure,
    wire,
)
from tests.lab.conftest import pytest_addoption as lab_options
from tests.lab.conftest import pytest_generate_tests as generations
from tests.lab.machine import Machine

CURRENT = f"nmstatectl-{tools.NMSTATE}"
PROGRAMS = (CURRENT, *(f"nmstatectl-{version}" for version in tools.OLDER))
BACKENDS = (*PROGRAMS, f"libnmstate-{tools.NMSTATE}")
PROGRAM = "/usr/local/bin/nmstatectl"


def pytest_addoption(parser: pytest.Parser) -> None:
    description = "only nmstatectl of the current version, or also older ones and the library"
    lab_options(parser)
    parser.addoption("--backends", choices=["today", "all"], default="today", help=description)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = metafunc.config.getoption("--backends") == "all"
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", BACKENDS if everything else [CURRENT], indirect=True, scope="module")
    if "version" in metafunc.fixturenames:
        older = tools.OLDER if everything else ()
        metafunc.parametrize("version", [tools.NMSTATE, tools.EARLY, *older])
    generations(metafunc)


@pytest.fixture(scope="module")
def backend(host: Machine, request: pytest.FixtureRequest) -> Iterator[str]:  # noqa: F811 - the fixture of above
    """The name of the backend in kvmnet. The machine has only this access to nmstate, in this version."""
    name, _, version = str(request.param).partition("-")
    host.run(f"cp -n {PROGRAM} {PROGRAM}.today && rm {PROGRAM}")
    if name == "nmstatectl":
        host.put(PROGRAM, tools.program(version).read_bytes(), mode=0o755)
    else:
        library.install(host)
    assert host.out(f"test -e {PROGRAM} && echo there || echo gone") == ("there" if name == "nmstatectl" else "gone")
    yield name
    host.run(f"mv {PROGRAM}.today {PROGRAM}")
    library.remove(host)
