"""What a plan says beside its changes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.live import UNREADABLE, Profile
from kvmnet.core.notes import notes
from kvmnet.core.plan import make_plan
from kvmnet.core.report import plan_markdown, plan_text
from kvmnet.pipeline import load
from tests.unit.test_plan import KEYFILES, after, before

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")

BY_ITSELF = {"ip": "2001:db8::7a31", "prefix-length": 64, "valid-left": "86400sec"}
FIXED = {"ip": "2001:db8::1", "prefix-length": 64}
LINK_LOCAL = {"ip": "fe80::7a31", "prefix-length": 64}


@pytest.mark.parametrize(
    ("mode", "address", "autoconf", "told"),
    [
        ("stable-privacy", BY_ITSELF, True, True),
        ("stable-privacy", BY_ITSELF, False, False),
        ("stable-privacy", FIXED, True, False),
        ("stable-privacy", LINK_LOCAL, True, False),
        ("eui64", BY_ITSELF, True, False),
    ],
)
def test_an_address_by_a_secret_is_told(
    mode: str,
    address: dict[str, Any],
    autoconf: bool,
    told: bool,
) -> None:
    live = before()
    state = copy.deepcopy(live.state)
    nic = next(i for i in state["interfaces"] if i["name"] == "eth0")
    nic["ipv6"] = {"enabled": True, "autoconf": True, "addr-gen-mode": mode, "address": [address]}
    desired = copy.deepcopy(BUNDLE.state)
    desired["interfaces"][1]["ipv6"] = {"enabled": True, "dhcp": False, "autoconf": autoconf}
    live = replace(live, state=state)
    found = notes(make_plan(replace(BUNDLE, state=desired), live), live)
    words = "the address 2001:db8::7a31 may change: eth0 has it by addr-gen-mode=stable-privacy, and will have one"
    assert found == ([f"{words} from its MAC"] if told else [])


def test_a_profile_of_the_same_priority_that_fits_too_is_told() -> None:
    second = Profile("u-9", "office", "802-3-ethernet", "", f"{KEYFILES}/office.nmconnection")
    live = replace(before(), idle=(second,))
    words = (
        "the connection profile office (u-9) fits eth0 too: once somebody has activated it NetworkManager takes it at "
        "boot, as the one that was active last; keep it out: nmcli connection modify u-9 connection.autoconnect no, "
        "or nmcli connection delete u-9"
    )
    assert notes(make_plan(BUNDLE, live), live) == [words]
    active = replace(before(), profiles={**before().profiles, "eth9": replace(second, device="eth9")})
    told = notes(make_plan(BUNDLE, active), active)
    assert [": it is active on eth9, and at boot NetworkManager may take it for either; keep" in t for t in told] == [
        True
    ]
    for other in (replace(second, priority=-1), replace(second, priority=1), replace(second, autoconnect=False)):
        live = replace(before(), idle=(other,))
        assert notes(make_plan(BUNDLE, live), live) == [], "asked last, refused, never asked"
    live = replace(after(BUNDLE), idle=(second,))
    assert make_plan(BUNDLE, live).empty and notes(make_plan(BUNDLE, live), live) == [], "nothing is to be done"


def test_what_only_root_may_read_is_told() -> None:
    live = replace(after(BUNDLE), applied=UNREADABLE)
    plan = make_plan(BUNDLE, live)
    words = "what has left the definition is not in this plan, as only root may read what is applied: run it with sudo"
    assert plan.empty and notes(plan, live) == [words]
    told = [f"note: {words}"]
    assert plan_text(plan, told) == f"vm-container-0-0: nothing to do, as far as can be seen\nnote: {words}\n"
    assert plan_markdown(plan, told=told) == (
        f"### vm-container-0-0: nothing to do, as far as can be seen\n\n- note: {words}\n"
    )
    first = replace(before(), applied=UNREADABLE)
    assert notes(make_plan(BUNDLE, first), first) == [words]
    assert notes(make_plan(BUNDLE, before()), before()) == []
