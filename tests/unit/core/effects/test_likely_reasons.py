"""Likely reasons of a failure, from facts of the host and from the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.effects.likely_reasons import (
    ANSWERING,
    STARTING,
    LikelyReason,
    find_plan_reasons,
    find_reasons,
    select_plan_reasons,
)
from kvmnet.core.live.failure_facts import FailureFacts
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import before

EXPECTED = [{"name": "br0", "addresses": ["10.1.255.254/16", "fd00::1/64"]}]


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        (FailureFacts(), []),
        (
            FailureFacts(unmanaged={"br-eth0": ("unmanaged-devices=br-*", "/etc/x.conf")}),
            [LikelyReason("unmanaged", "br-eth0", {"entry": "unmanaged-devices=br-*", "file": "/etc/x.conf"})],
        ),
        (
            FailureFacts(addresses={"br0": ["10.1.255.254/16"], "br1": ["10.1.255.254/24", "10.9.9.9/8"]}),
            [LikelyReason("duplicate address", "10.1.255.254", {"interfaces": ["br0", "br1"]})],
        ),
        (FailureFacts(addresses={"br2": ["10.2.0.1/16"], "br3": ["10.2.0.1/16"]}), []),
        (FailureFacts(without_carrier=["eth0", "eth1"]), [LikelyReason("no carrier", "eth0")]),
        (FailureFacts(silent_bonds=["bond0"]), [LikelyReason("silent lacp", "bond0")]),
        (FailureFacts(routes={"10.1.1.1": ""}), [LikelyReason("no route", "10.1.1.1")]),
        (
            FailureFacts(routes={"10.9.9.9": "br0"}, neighbours={"10.9.9.9": ("10.1.1.1", "FAILED")}),
            [LikelyReason("no neighbour", "10.9.9.9", {"neighbour": "10.1.1.1", "interface": "br0"})],
        ),
        (FailureFacts(routes={"10.1.1.1": "br0"}, neighbours={"10.1.1.1": ("10.1.1.1", "REACHABLE")}), []),
    ],
)
def test_facts_give_reasons(facts: FailureFacts, reasons: list[LikelyReason]) -> None:
    """br2 is no interface of the definition, and eth1 had no carrier before the change either."""
    assert list(find_reasons(facts, EXPECTED, ["eth1"])) == reasons


@pytest.mark.parametrize(
    ("match", "is_reason"),
    [("", False), ("eth*", True), ("p* eth*", False), ("!wlan*", False), ("eth0,eth1", True), ("eth*,!eth1", True)],
)
def test_a_profile_whose_pattern_does_not_fit_the_new_name_is_a_reason(
    bundle: Bundle, match: str, is_reason: bool
) -> None:
    live = before()
    live = replace(live, profiles={"eth0": replace(live.profiles["eth0"], id="netplan-uplink", match=match)})
    values: dict[str, Any] = {"pattern": match, "profile": "netplan-uplink", "old_name": "eth0"}
    expected = [LikelyReason("profile pattern", "peth0", values)] if is_reason else []
    assert list(find_plan_reasons(make_plan(bundle, live), live)) == expected


def test_reasons_of_the_plan_count_for_the_failures_that_they_explain() -> None:
    pattern, rule = LikelyReason("profile pattern", "peth0"), LikelyReason("firewall rule", "eth0")
    assert select_plan_reasons([pattern, rule], STARTING) == [pattern]
    assert select_plan_reasons([pattern, rule], ANSWERING) == [rule]
    assert select_plan_reasons([pattern, rule], None) == [pattern, rule]
    assert LikelyReason.from_json(pattern.to_json()) == pattern
