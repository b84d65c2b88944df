"""Who may confirm a change, and when one is asked to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.core.effects.operator_path import proving, touches
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Change, Plan
from kvmnet.core.planning.rename_order import Rename
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.host.operator_connection import Connection
from kvmnet.system.journal import Journal
from kvmnet.transaction import prepare


@pytest.mark.guarantee("G37")
def test_who_comes_by_the_web_is_no_person_at_the_console() -> None:
    sent = {"interfaces": [{"name": "eth0"}]}
    changed = Plan(Bundle("c", "h", "rocks", (), {}), (), {}, sent, (), None, {}, False, (Change("change", "x"),))
    here = Live("h", state(BRIDGE), {}, {})
    assert prepare._confirm(prepare.Wishes(), changed, here, Connection("", "", 0.0)) == prepare.CONFIRM_WITHIN
    assert prepare._callers(Connection("", "", 0.0)) == []
    noted = Plan(changed.bundle, (), {}, {}, (), None, {}, True, ())
    assert prepare._confirm(prepare.Wishes(), noted, here, Connection("", "", 0.0)) == 0, "no interface is touched"


def state(*interfaces: dict[str, Any]) -> dict[str, Any]:
    return {"interfaces": list(interfaces)}


BRIDGE: dict[str, Any] = {
    "name": "eth0",
    "type": "linux-bridge",
    "bridge": {"port": [{"name": "peth0"}]},
    "ipv4": {"address": [{"ip": "10.1.255.254", "prefix-length": 16}]},
}
ETH9 = {"name": "eth9", "ipv4": {"address": [{"ip": "192.0.2.7", "prefix-length": 24}]}}
VLAN = {"name": "eth0.5", "vlan": {"base-iface": "bond0"}, "ipv6": {"address": [{"ip": "fd00::1"}]}}
BOND = {"name": "bond0", "link-aggregation": {"port": ["eth1", "eth2"]}}


@pytest.mark.parametrize(
    ("renames", "changed", "address", "expected"),
    [
        ((), ["eth0"], "10.1.255.254", True),
        ((), ["peth0"], "10.1.255.254", True),
        ((), ["bond0"], "10.1.255.254", False),
        ((), ["eth1"], "fd00::1", True),
        ((), [], "fd00::1", False),
        ((Rename("m", "peth0", "x"),), [], "10.1.255.254", True),
        ((), ["other"], "192.0.2.1", True),
    ],
)
def test_a_change_below_the_operators_feet(
    renames: tuple[Rename, ...], changed: list[str], address: str, expected: bool
) -> None:
    bundle = Bundle("c", "h", "rocks", (), {})
    sent = {"interfaces": [{"name": name} for name in changed]}
    something = (Change("change", "something"),) if changed or renames else ()
    plan = Plan(bundle, renames, {}, sent, (), None, {}, False, something)
    assert touches(plan, state(BRIDGE, VLAN, BOND), address) is expected


@pytest.mark.parametrize(("said", "touched", "untouched"), [(None, prepare.CONFIRM_WITHIN, 0), (0, 0, 0), (30, 30, 30)])
def test_a_word_is_asked_for_where_the_callers_way_in_changes_unless_the_caller_says_otherwise(
    said: Optional[int], touched: int, untouched: int
) -> None:
    here, bundle = Live("h", state(BRIDGE), {}, {}), Bundle("c", "h", "rocks", (), {})
    changes = (Change("change", "eth0"),)
    plan = Plan(bundle, (), {}, {"interfaces": [{"name": "eth0"}]}, (), None, {}, False, changes)
    wishes = prepare.Wishes(confirm=said)
    assert prepare._confirm(wishes, plan, here, Connection("10.1.1.1", "10.1.255.254", 1.0)) == touched
    for another in (Connection("192.0.2.1", "192.0.2.7", 1.0), None):
        assert prepare._confirm(wishes, plan, Live("h", state(BRIDGE, ETH9), {}, {}), another) == untouched


OFF = {"ipv4": {"enabled": False}, "ipv6": {"enabled": False}}
STORAGE = {
    "name": "stor",
    "vlan": {"base-iface": "peth0"},
    "ipv4": {"enabled": True, "address": [{"ip": "192.0.2.7"}]},
}
GUESTS = {"name": "guests", "bridge": {"port": [{"name": "eth3"}]}, **OFF}
FREE = {"name": "eth3", "ipv6": {"enabled": True, "autoconf": True, "address": [{"ip": "fe80::3"}]}}
LOCAL = {**FREE, "name": "eth4"}


TUNNEL = {"name": "wg0", "type": "unknown", "ipv4": {"address": [{"ip": "172.16.0.1", "prefix-length": 24}]}}


@pytest.mark.guarantee("G37")
@pytest.mark.parametrize(
    ("address", "peer", "touched"),
    [
        ("192.0.2.7", "198.51.100.9", True),  # comes in by eth9, and its answers will leave by eth1
        ("192.0.2.7", "203.0.113.9", True),  # which will have a subnet that it is in
        ("192.0.2.7", "192.0.2.9", False),
        ("172.16.0.1", "172.16.0.9", True),  # over who knows what
    ],
)
def test_the_way_back_and_a_tunnel_are_the_operators_way_too(address: str, peer: str, touched: bool) -> None:
    added = {"name": "eth1", "ipv4": {"address": [{"ip": "203.0.113.1", "prefix-length": 24}]}}
    route = {"destination": "198.51.100.0/24", "next-hop-address": "203.0.113.2", "next-hop-interface": "eth1"}
    sent = {"interfaces": [added], "routes": {"config": [route]}}
    plan = Plan(Bundle("c", "h", "rocks", (), state(added)), (), {}, sent, (), None, {}, False, (Change("add", "x"),))
    live = state({**ETH9, "type": "ethernet"}, TUNNEL)
    assert touches(plan, live, address, peer) is touched
    by = proving(plan, live, address, peer)
    assert (("eth9" if address == "192.0.2.7" else "wg0") in by) is touched, by
    wide = {"interfaces": [{"name": "eth5"}], "routes": {"config": [{**route, "destination": "0.0.0.0/0"}]}}
    default = Plan(plan.bundle, (), {}, wide, (), None, {}, False, plan.changes)
    assert touches(default, live, address, peer) is (peer != "192.0.2.9"), "that one has a narrower way already"
    old = {"destination": "0.0.0.0/0", "next-hop-address": "10.0.0.1", "next-hop-interface": "eth5"}
    routed = {**live, "routes": {"running": [old]}}
    assert touches(less_of(plan, {"interfaces": [{"name": "eth5"}]}), routed, address, peer) is (peer != "192.0.2.9")
    gone = {**sent, "interfaces": [{"name": "eth5"}], "routes": {"config": [{**route, "state": "absent"}]}}
    assert not touches(less_of(plan, gone), live, "192.0.2.7", peer)


def less_of(plan: Plan, sent: dict[str, Any]) -> Plan:
    return Plan(plan.bundle, (), {}, sent, (), None, {}, False, plan.changes)


def plan_of(
    *sent: str, renames: tuple[Rename, ...] = (), routes: tuple[str, ...] = (), leaving: tuple[str, ...] = ()
) -> Plan:
    wanted = state({**BRIDGE, "ipv4": {"enabled": True, **BRIDGE["ipv4"]}}, {"name": "peth0", **OFF}, STORAGE, GUESTS)
    changed: dict[str, Any] = {"interfaces": [{"name": name} for name in sent]}
    if routes:
        changed["routes"] = {"config": [{"next-hop-interface": name} for name in routes]}
    return Plan(Bundle("c", "h", "rocks", (), wanted), renames, {}, changed, (), None, {}, False, (), leaving=leaving)


@pytest.mark.parametrize(
    ("plan", "address", "expected"),
    [
        (plan_of("stor"), "", ("stor",)),  # not eth0, which is of the definition too
        (plan_of("peth0"), "", ("eth0", "peth0", "stor")),
        (plan_of(renames=(Rename("m", "old", "peth0"),)), "", ("eth0", "old", "peth0", "stor")),
        (plan_of(routes=("stor",)), "", ("stor",)),
        (plan_of("eth1"), "", ("bond0", "eth0.5", "eth1")),  # of others, over what is changed
        (plan_of(), "", ()),  # settings alone
        (plan_of("guests", "eth3"), "", ()),  # nobody comes in by these
        (plan_of("eth4"), "", ()),
        (plan_of("eth4"), "fe80::4", ()),
        (plan_of("eth4"), "fe80::3", ("eth4",)),  # but this caller does, by one of two that have it
        (plan_of(leaving=("gone",)), "198.51.100.1", ()),  # nobody can come in by it any more
    ],
)
def test_by_which_interfaces_a_word_proves_something(plan: Plan, address: str, expected: tuple[str, ...]) -> None:
    gone = {"name": "gone", "ipv4": {"enabled": True, "address": [{"ip": "198.51.100.1"}]}}
    live = state({**BRIDGE, "name": "old", "bridge": {}}, {**VLAN, "ipv6": {"address": [{"ip": "fd00::1"}]}}, BOND)
    live["interfaces"] += [FREE, LOCAL, gone]
    assert proving(plan, live, address) == expected


def test_history_is_read_from_the_journals(tmp_path: Path) -> None:
    from kvmnet.transaction.history import adopted, before_the_last, ended

    def past(name: str, events: list[dict[str, Any]], transaction: dict[str, Any], files: dict[str, str]) -> None:
        folder = tmp_path / "history" / name
        folder.mkdir(parents=True)
        journal = Journal(folder)
        for event in events:
            journal.append(str(event["event"]), **{k: v for k, v in event.items() if k != "event"})
        (folder / "transaction.json").write_text(json.dumps({"host": "h", "changes": [{"what": "add"}], **transaction}))
        import base64

        records = [
            {"path": str(tmp_path / "applied" / n), "data": base64.b64encode(t.encode()).decode()}
            for n, t in files.items()
        ]
        (folder / "snapshot.json").write_text(json.dumps({"files": records}))

    kept: list[dict[str, Any]] = [
        {"event": "begin"},
        {"event": "kept"},
        {"event": "end", "outcome": "kept", "away": 0.3},
    ]
    past("1", kept, {"adopts": ["m1"]}, {})
    past("2", kept, {"adopts": ["m2"]}, {"nmstate.yml": "the first"})
    undone: list[dict[str, Any]] = [
        {"event": "begin"},
        {"event": "failed", "error": "no answer"},
        {"event": "undo", "why": "no answer"},
        {"event": "end", "outcome": "rolled back", "verified": True},
    ]
    past("3", undone, {"adopts": ["m3"]}, {"nmstate.yml": "the second"})
    told = [(one.id, one.outcome, one.verified, one.why, one.away, one.kept) for one in ended(tmp_path)]
    assert told == [
        ("1", "kept", None, None, 0.3, True),
        ("2", "kept", None, None, 0.3, True),
        ("3", "rolled back", True, "no answer", None, False),
    ]
    assert adopted(tmp_path) == {"m1", "m2"}
    assert before_the_last(tmp_path) == {"nmstate.yml": "the first"}
    past("4", kept, {"removes": True}, {})
    assert adopted(tmp_path) == set()
