"""Likely reasons of a failure, from facts of the host and from the plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvmnet.core.effects.likely_reasons import LikelyReason, find_plan_reasons, find_reasons
from kvmnet.core.live.failure_facts import FailureFacts
from kvmnet.core.live.surroundings import NameUse, Surroundings
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import before

EXPECTED = [{"name": "br0", "addresses": ["10.1.255.254/16", "fd00::1/64"]}]


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        (FailureFacts(), []),
        (
            FailureFacts(unmanaged={"br-eth0": ("unmanaged-devices=br-* in x.conf", "exclude it")}),
            [LikelyReason("unmanaged", "br-eth0", {"entry": "unmanaged-devices=br-* in x.conf", "fix": "exclude it"})],
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


def test_firewall_rules_of_an_interface_whose_role_changes_are_reasons(bundle: Bundle) -> None:
    """Three of them at most; other settings explain no missing reply."""
    uses = [NameUse("direct rule of firewalld", f"-i eth0 --dport {port}", ("eth0",)) for port in (22, 80, 81, 82)]
    uses += [NameUse("setting of radvd", "interface eth0", ("eth0",)), NameUse("iptables rule", "-i eth1", ("eth1",))]
    live = replace(before(), surroundings=Surroundings(name_uses=tuple(uses)))
    reasons = list(find_plan_reasons(make_plan(bundle, live), live))
    assert [reason.values["rule"] for reason in reasons] == [f"-i eth0 --dport {port}" for port in (22, 80, 81)]
    assert {(reason.kind, reason.subject) for reason in reasons} == {("firewall rule", "eth0")}
    assert reasons[0].values["event"].startswith("becomes a bridge")


def test_a_reason_keeps_its_values_in_its_json_form() -> None:
    reason = LikelyReason("firewall rule", "eth0", {"rule": "x"})
    assert LikelyReason.from_json(reason.to_json()) == reason
