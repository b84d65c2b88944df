"""A few of the generated host states of `make states` (tests/states.py): adopted, rebooted and given back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import states
from tests.machines import host_kinds
from tests.machines.machine import Machine

pytestmark = pytest.mark.make_test("trixie")

#: br0 with spanning tree over a NIC whose profile is bound to the MAC address.
NUMBERS = (5,)


@pytest.fixture(scope="module")
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    with host_kinds.host_and_peer(generation) as (host, peer):
        states.prepare_peer(peer)
        yield host, peer


@pytest.mark.guarantee("G54")
@pytest.mark.parametrize("number", NUMBERS)
def test_a_generated_host_is_adopted_and_given_back(machines: tuple[Machine, Machine], number: int) -> None:
    assert states.check(*machines, states.generate(1, number)) == "adopted"
