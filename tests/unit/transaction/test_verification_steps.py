"""Steps that verify a change: how long targets are probed."""

from __future__ import annotations

from typing import Optional

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.transaction import verification_steps
from tests.unit.transaction.samples import assert_steps_match_the_table

PROBES = (Probe("gateway", "10.1.1.1"), Probe("gateway", "10.1.1.2"))


@pytest.mark.parametrize(("timeout", "patience"), [(None, 60), (120, 60), (80, 50), (30, 15)])
def test_after_a_link_loss_probes_leave_room_in_the_trial(timeout: Optional[int], patience: int) -> None:
    (step,) = verification_steps.probe(PROBES, timeout)
    assert (step["seconds"], step["patience"], step["limit"]) == (15, patience, patience + 60)
    assert step["title"] == "probe 10.1.1.1, 10.1.1.2"
    assert_steps_match_the_table([step])


def test_without_targets_and_without_a_confirmation_there_is_no_step() -> None:
    assert verification_steps.probe(()) == []
    assert verification_steps.wait_for_confirmation(0) == []


def test_the_wait_for_a_confirmation_ends_before_its_time_limit() -> None:
    (step,) = verification_steps.wait_for_confirmation(90)
    assert (step["seconds"], step["limit"]) == (90, 120)
    assert_steps_match_the_table([step])


def test_targets_are_taken_out_of_the_probe_step_only() -> None:
    steps = [*verification_steps.probe(PROBES), *verification_steps.wait_for_confirmation(90)]
    (probe, confirm) = verification_steps.without_targets(steps, PROBES[:1])
    assert probe["targets"] == [PROBES[1].to_json()] and probe["title"] == "probe 10.1.1.2"
    assert confirm == steps[1]
    assert verification_steps.without_targets(steps, PROBES) == [confirm]
    assert_steps_match_the_table([probe, confirm])
