"""Refusals about programs that are too old or interfere, checkpoints, and free space."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

import pytest

from kvmnet.core.live.live_host import Live
from kvmnet.core.live.surroundings import Room
from tests.unit.core.refusals.samples import (
    BUNDLE,
    assert_refused,
    find_codes,
    find_messages,
    host_with,
)
from tests.unit.core.samples import after, before

CASES: list[tuple[str, Live, str]] = [
    (
        "KVN506",
        replace(before(), nmstate="2.2.8"),
        "nmstate 2.2.8 is too old for connection profiles that are bound to a MAC",
    ),
    ("KVN506", replace(before(), networkmanager="1.38.0"), "NetworkManager 1.38.0 is too old for nmstate 2.2.62"),
    ("KVN507", replace(before(), checkpoints=("/x/Checkpoint/1",)), "open checkpoint of another tool: /x/Checkpoint/1"),
    ("KVN510", host_with(room=(Room("/var/lib/kvmnet", 100 << 10),)), "/var/lib/kvmnet has 0.1 MiB of free space"),
    ("KVN510", host_with(room=(Room("/etc/NetworkManager", 1 << 30, 3),)), "has 3 free inodes"),
    ("KVN511", host_with(cluster=("corosync", "pacemaker")), "may fence this host: corosync, pacemaker"),
]


@pytest.mark.guarantee("G61")
@pytest.mark.parametrize(("code", "live", "message"), CASES, ids=[f"{c[0]} {c[2][:30]}" for c in CASES])
def test_an_unsuitable_host_is_refused(code: str, live: Live, message: str) -> None:
    assert_refused(code, live, message)


@pytest.mark.parametrize("live", [before(), after(BUNDLE)], ids=["first apply", "nothing else to do"])
def test_vlan_filtering_that_would_not_be_enabled_is_refused(live: Live) -> None:
    """Without it guests of different VLANs would reach each other."""
    settings = {"eth0": {"bridge.vlan-filtering": True}}
    assert find_messages(live, replace(BUNDLE, profile_settings=settings)) == [
        ("KVN566", "eth0 has vlan_filtering: true, which this version of kvmnet cannot apply")
    ]
    settings = {"eth0": {"bridge.vlan-filtering": False}}
    assert find_codes(live, replace(BUNDLE, profile_settings=settings)) == [], "it is off by default"


ACCEPTED: dict[str, Live] = {
    "enough free space": host_with(room=(Room("/var/lib/kvmnet", 1 << 30, None),)),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_host_is_not_refused_for(name: str) -> None:
    assert find_codes(ACCEPTED[name]) == []


@pytest.mark.parametrize(
    ("option", "nmstate", "manager", "message"),
    [
        ("arp_missed_max", "2.2.12", "1.52.1", "nmstate 2.2.12 is too old for the bond option arp_missed_max"),
        ("arp_missed_max", "2.2.33", "1.42.4", "NetworkManager 1.42.4 is too old for the bond option arp_missed_max"),
        ("balance_slb", "2.2.33", "1.40.0", "NetworkManager 1.40.0 is too old for the bond option balance_slb"),
        ("arp_missed_max", "2.2.33", "1.44.0-3.el9", None),
        ("miimon", "2.2.9", "1.36", None),
    ],
)
def test_a_bond_option_that_the_host_does_not_support_is_refused(
    option: str, nmstate: str, manager: str, message: Optional[str]
) -> None:
    bond = {"name": "bond0", "type": "bond", "state": "up", "link-aggregation": {"options": {option: 1}}}
    bundle = replace(BUNDLE, state={"interfaces": [*BUNDLE.state["interfaces"], bond]})
    messages = find_messages(replace(before(), nmstate=nmstate, networkmanager=manager), bundle)
    assert messages == ([("KVN506", message)] if message else [])
