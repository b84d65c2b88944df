"""Likely reasons at the moment of a failure: within two seconds, and never in the way of the rollback."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.core.live.failure_facts import FailureFacts
from kvmnet.core.live.surroundings import NameUse, Surroundings
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load
from kvmnet.transaction import failure_reasons
from kvmnet.transaction.action_context import StepFailed
from kvmnet.transaction.failure_reasons import collect_reasons, find_silent_nics, make_hints
from tests.unit.core.samples import before

HINTS = [{"kind": "firewall rule", "subject": "eth0", "values": {"what": "rule", "rule": "-i eth0", "event": "x"}}]
APPLY = {"op": "apply", "state": {"interfaces": [{"name": "br0", "type": "linux-bridge", "state": "up"}]}}
READ_BACK = {"op": "read back", "expect": [{"name": "br0", "addresses": ["10.1.255.254/16"]}, {"name": "eth0"}]}
PROBE, CONFIRM = {"op": "probe"}, {"op": "confirm"}
TRANSACTION: dict[str, Any] = {
    "steps": [APPLY, READ_BACK, PROBE, CONFIRM],
    "hints": HINTS,
    "without_carrier": ["eth1"],
    "operator": ["10.1.255.254", "10.1.0.9"],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked for; the host has the address twice, and eth0 and eth1 have no carrier."""
    calls: list[Any] = []

    def read(facts: FailureFacts, types: dict[str, str], targets: list[str]) -> None:
        calls.append((types, targets))
        facts.addresses.update({"br0": ["10.1.255.254/16"], "br1": ["10.1.255.254/16"]})
        facts.without_carrier += ["eth0", "eth1"]

    monkeypatch.setattr(failure_reasons, "read_failure_facts", read)
    return calls


def subjects(reasons: list[Any]) -> list[tuple[str, str]]:
    return [(reason["kind"], reason["subject"]) for reason in reasons]


COMMON = [("duplicate address", "10.1.255.254"), ("no carrier", "eth0")]


def test_a_failed_probe_has_reasons_about_its_targets(asked: list[Any]) -> None:
    reasons = collect_reasons(TRANSACTION, PROBE, StepFailed("no reply", ["10.1.1.1"]))
    assert subjects(reasons) == [*COMMON, ("firewall rule", "eth0")]
    assert asked == [({"br0": "bridge", "eth0": ""}, ["10.1.1.1"])]
    assert reasons[1]["text"].startswith("eth0 has no carrier")
    json.dumps(reasons)


def test_a_missing_confirmation_is_about_the_operators_machine(asked: list[Any]) -> None:
    assert subjects(collect_reasons(TRANSACTION, CONFIRM, StepFailed("no confirmation")))[-1][0] == "firewall rule"
    assert asked[0][1] == ["10.1.0.9"]


def test_nmstate_that_fails_or_hangs_has_reasons_about_its_interfaces(asked: list[Any]) -> None:
    assert subjects(collect_reasons(TRANSACTION, APPLY, TimeoutError())) == COMMON


def test_a_host_that_does_not_answer_delays_the_rollback_by_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_reasons, "TIME_LIMIT", 0.05)
    monkeypatch.setattr(failure_reasons, "read_failure_facts", lambda *_: time.sleep(1))
    start = time.monotonic()
    assert subjects(collect_reasons(TRANSACTION, PROBE, TimeoutError())) == [("firewall rule", "eth0")]
    assert time.monotonic() - start < 0.8
    assert failure_reasons.TIME_LIMIT < 2


@pytest.mark.parametrize("transaction", [{}, {"steps": None}, {"steps": [], "hints": [{}]}])
def test_a_transaction_that_cannot_be_understood_has_no_reasons(asked: list[Any], transaction: Any) -> None:
    assert collect_reasons(transaction, PROBE, KeyError("x")) == []


def test_an_older_transaction_has_no_hints(asked: list[Any]) -> None:
    old = {"steps": TRANSACTION["steps"]}
    assert subjects(collect_reasons(old, PROBE, OSError())) == [*COMMON, ("no carrier", "eth1")]


def test_hints_are_recorded_with_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle: Bundle = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
    rule = NameUse("iptables rule", "-i eth0 -j ACCEPT", ("eth0",))
    live = replace(before(), surroundings=Surroundings(name_uses=(rule,)))
    prepared: Any = SimpleNamespace(plan=make_plan(bundle, live), live=live)
    (hint,) = make_hints(prepared)
    assert hint["text"].startswith("the iptables rule `-i eth0 -j ACCEPT` names eth0, which becomes a bridge")
    monkeypatch.setattr(failure_reasons, "find_nics_without_carrier", lambda names: names)
    assert find_silent_nics(prepared) == ["lo", "peth0"], "by their names after the change"
