"""For how long a change interrupts the way to the host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.assessment import Assessment
from kvmnet.core.effects.holdings import Facts
from kvmnet.core.effects.host_effects import find_host_effects
from kvmnet.core.effects.interruption import SECONDS, Cause, Interruption
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.effects.test_host_effects import with_dhcp
from tests.unit.core.samples import NIC_LINE, before, live_of


def interruption_of(bundle: Bundle, live: Live, renames_while_up: bool = True) -> Interruption:
    plan = make_plan(bundle, live)
    facts = Facts("10.1.255.254", renames_while_up)
    effects = find_host_effects(plan, live, Assessment(plan, live).view_after_renames, facts)
    assert effects is not None
    return effects.interruption


@pytest.mark.parametrize(
    ("is_up", "cause", "link_down"), [(True, Cause.RENAMED_UP, False), (False, Cause.RENAMED_DOWN, True)]
)
def test_a_rename_interrupts_by_the_kernels_generation(
    bundle: Bundle, is_up: bool, cause: Cause, link_down: bool
) -> None:
    interruption = interruption_of(bundle, before(), is_up)
    assert {cause_name for cause_name, _ in interruption.causes} == {cause, Cause.MOVES, Cause.APPLIED_AGAIN}
    assert interruption.at_most == round(SECONDS[cause] + SECONDS[Cause.MOVES], 1)
    assert interruption.takes_link_down is link_down


def test_a_change_of_other_interfaces_interrupts_nothing(make_bundle: Any) -> None:
    interruption = interruption_of(make_bundle(NIC_LINE), live_of(make_bundle()))
    assert interruption == Interruption() and interruption.at_most == 0


def test_an_interface_that_is_applied_again_in_place_is_no_interruption(make_bundle: Any) -> None:
    interruption = interruption_of(make_bundle(NIC_LINE, mtu=", mtu: 1400"), live_of(make_bundle(NIC_LINE)))
    assert {cause for cause, _ in interruption.causes} == {Cause.APPLIED_AGAIN} and interruption.at_most == 0


def test_an_address_from_dhcp_is_requested_again(make_bundle: Any) -> None:
    bundle = make_bundle("      eth0: {network: private, mac: 00:14:4f:80:de:00, ipv4: dhcp}\n")
    assert Cause.DHCP in {cause for cause, _ in interruption_of(bundle, with_dhcp(before())).causes}


def test_a_nic_that_joins_a_bond_loses_its_link(make_bundle: Any) -> None:
    bond = (
        "      eth0: {mac: 00:14:4f:80:de:00}\n"
        "      bond0: {network: private, ports: [eth0], addresses: [10.1.255.254]}\n"
    )
    interruption = interruption_of(make_bundle(bond), before())
    assert (Cause.JOINS_BOND, "eth0") in interruption.causes and interruption.takes_link_down


def test_every_cause_has_a_duration_and_json_a_name() -> None:
    assert set(SECONDS) == set(Cause)
    data = replace(Interruption(), causes=((Cause.JOINS_BOND, "eth0"),)).to_json()
    assert data["causes"] == [{"cause": "joins bond", "interface": "eth0"}]
    assert (data["seconds_at_most"], data["lost"]) == (2.0, False)
    assert Interruption(lost=True).to_json()["seconds_at_most"] is None
