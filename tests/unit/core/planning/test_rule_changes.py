"""Routing rules in a plan: compared with the kernel and with the profiles that contain them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.planning.rule_changes import parse_profile_rules, rule_key, rule_text
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.reporting.change_text import detail_texts
from tests.unit.core.samples import PLAIN, applied, bare, bundle_of

RULE: dict[str, Any] = {"family": "ipv4", "ip-from": "10.1.255.254/32", "route-table": 100, "priority": 1000}
OTHER: dict[str, Any] = {**RULE, "priority": 1001}
SHOWN = {**RULE, "ip-from": "10.1.255.254/32", "fwmark": "0x0"}
STORED = "priority 1000 from 10.1.255.254/32 table 100"


def ruled(tmp_path: Path, *rules: dict[str, Any]) -> Bundle:
    bundle = bundle_of(tmp_path, PLAIN)
    return replace(bundle, state={**bundle.state, **({"route-rules": {"config": list(rules)}} if rules else {})})


def host(bundle: Bundle, *shown: dict[str, Any], stored: str = "", version: str = "2.2.62") -> Live:
    """The host with the bundle applied: the kernel's rules, and those of the profile of eth0."""
    live = applied(bundle, bare())
    profiles = {**live.profiles, "eth0": replace(live.profiles["eth0"], rules4=stored)}
    state = {**live.state, "route-rules": {"config": list(shown)}}
    return replace(live, state=state, profiles=profiles, nmstate=version)


def changes_of(plan: Plan) -> list[tuple[str, str, list[str]]]:
    return [(change.kind, change.name, detail_texts(change)) for change in plan.changes]


def sent(plan: Plan) -> tuple[list[str], list[Any]]:
    """Return the interfaces and the rules that nmstate is given."""
    return [i["name"] for i in plan.state.get("interfaces", [])], plan.state.get("route-rules", {}).get("config", [])


def test_a_host_with_the_rules_has_an_empty_plan(tmp_path: Path) -> None:
    bundle = ruled(tmp_path, RULE)
    assert make_plan(bundle, host(bundle, SHOWN, stored=STORED)).empty


def test_a_missing_rule_is_sent_with_an_interface_that_can_hold_it(tmp_path: Path) -> None:
    """Without one, nmstate writes it into the profile of the loopback interface."""
    bundle = ruled(tmp_path, RULE)
    plan = make_plan(bundle, host(bundle))
    assert sent(plan) == (["eth0"], [RULE])
    text = "from 10.1.255.254 lookup 100 priority 1000"
    assert changes_of(plan) == [
        ("change", "eth0", ["its connection profile gets routing rules"]),
        ("add", "rule", [text]),
    ]


def test_a_rule_that_no_profile_contains_is_sent_too(tmp_path: Path) -> None:
    """It would be gone after a reboot."""
    bundle = ruled(tmp_path, RULE)
    plan = make_plan(bundle, host(bundle, SHOWN))
    assert sent(plan) == (["eth0"], [RULE])
    assert changes_of(plan)[-1][:2] == ("save", "rule")


def test_a_rule_that_left_the_definition_is_removed_and_that_of_another_tool_stays(tmp_path: Path) -> None:
    bundle = ruled(tmp_path)
    live = host(bundle, RULE, OTHER, stored=STORED)
    live = replace(live, applied_state={**bundle.state, "route-rules": {"config": [RULE]}})
    plan = make_plan(bundle, live)
    assert sent(plan) == ([], [{"state": "absent", **RULE}])
    assert changes_of(plan) == [("remove", "rule", ["from 10.1.255.254 lookup 100 priority 1000"])]


@pytest.mark.parametrize(("version", "number"), [("2.2.24", 2), ("2.2.27", 1)])
def test_an_older_nmstate_is_given_all_rules(tmp_path: Path, version: str, number: int) -> None:
    """It replaces those of the profile."""
    bundle = ruled(tmp_path, RULE, OTHER)
    plan = make_plan(bundle, host(bundle, RULE, stored=STORED, version=version))
    assert len(sent(plan)[1]) == number


def test_a_rule_of_a_nic_that_becomes_a_port_is_sent_again(tmp_path: Path) -> None:
    """The profile of a port contains none, so the rule goes with it."""
    plain = ruled(tmp_path, RULE)
    bridged = bundle_of(tmp_path, PLAIN.replace("bridge: false", "bridge: true"))
    bridged = replace(bridged, state={**bridged.state, "route-rules": {"config": [RULE]}})
    plan = make_plan(bridged, host(plain, SHOWN, stored=STORED))
    interfaces, rules = sent(plan)
    assert "br-eth0" in interfaces and rules == [RULE]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("priority 5 from 192.0.2.0/24 to 10.0.0.0/8 table 7", {"ip-from": "192.0.2.0/24", "ip-to": "10.0.0.0/8"}),
        ("priority 5 from 192.0.2.7 table 7", {"ip-from": "192.0.2.7/32"}),
        ("priority 5 from 0.0.0.0/0 iif eth1 fwmark 0x10/0xffffffff table 7", {"iif": "eth1", "fwmark": 16}),
        ("priority 5 from 0.0.0.0/0 type prohibit table 254", {"action": "prohibit", "route-table": None}),
    ],
)
def test_the_rules_of_a_profile_are_read_as_nmcli_prints_them(text: str, rule: dict[str, Any]) -> None:
    wanted = {"family": "ipv4", "priority": 5, "route-table": 7, **rule}
    assert list(parse_profile_rules("ipv4", f"{text}, {text}")) == [rule_key(wanted)] * 2


@pytest.mark.parametrize("text", ["", "of eth0", "priority"])
def test_what_is_no_rule_is_left_out(text: str) -> None:
    assert list(parse_profile_rules("ipv4", text)) == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            {"family": "ipv6", "fwmark": 16, "route-table": 7, "priority": 5},
            "from all fwmark 16 lookup 7 priority 5 (IPv6)",
        ),
        (
            {"family": "ipv4", "ip-to": "10.0.0.0/8", "iif": "lo", "action": "blackhole", "priority": 5},
            "from all to 10.0.0.0/8 iif lo blackhole priority 5",
        ),
    ],
)
def test_a_rule_in_words(rule: dict[str, Any], text: str) -> None:
    assert rule_text(rule) == text
