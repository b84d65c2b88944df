"""Refusals about NICs and connection profiles that could not be restored, or not get their new role."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.plan import make_plan
from tests.unit.core.refusals.samples import (
    BUNDLE,
    OTHER_NIC,
    assert_refused,
    find_codes,
    find_messages,
    links_with,
)
from tests.unit.core.samples import KEYFILES, MAC, after, before, judge, refusals_of


def rival(**facts: Any) -> ConnectionProfile:
    """Return a second connection profile that matches every NIC and has a higher priority; `facts` change it."""
    profile = ConnectionProfile("u-9", "office", "802-3-ethernet", "", f"{KEYFILES}/office.nmconnection", priority=10)
    return replace(profile, **facts)


def host_with_idle(*idle: ConnectionProfile) -> Live:
    """Return a host before kvmnet with inactive connection profiles."""
    return replace(before(), idle=idle)


RIVAL = "the connection profile office (u-9) also matches eth0 and would be activated at the next boot"


CASES: list[tuple[str, Live, str]] = [
    (
        "KVN532",
        replace(before(), profiles={"eth0": replace(before().profiles["eth0"], file="/etc/sysconfig/x/ifcfg-eth0")}),
        "is in /etc/sysconfig/x/ifcfg-eth0, which kvmnet could not restore",
    ),
    (
        "KVN532",
        replace(
            before(), idle=(ConnectionProfile("u-7", "mine", "bridge", "", "/etc/sysconfig/x/ifcfg-eth0", "eth0"),)
        ),
        "is in /etc/sysconfig/x/ifcfg-eth0, which kvmnet could not restore",
    ),
    (
        "KVN534",
        replace(before(), links=links_with(Link("macvtap0", None, "macvtap", base="eth0"))),
        "eth0 would become a port of eth0, but is the base interface of macvtap macvtap0",
    ),
    ("KVN535", host_with_idle(rival()), f"{RIVAL}: it has the higher autoconnect-priority (10)"),
    ("KVN535", host_with_idle(rival(mac=MAC)), RIVAL),
    ("KVN535", host_with_idle(rival(interface_name="peth0")), RIVAL),
    ("KVN535", host_with_idle(rival(match="peth*")), RIVAL),
    ("KVN535", host_with_idle(rival(match="!eth9")), RIVAL),
    (
        "KVN535",
        host_with_idle(
            rival(controller="u-8"), rival(uuid="u-8", type="bridge", interface_name="br8", autoconnect=False)
        ),
        RIVAL,
    ),
    ("KVN535", replace(before(), profiles={**before().profiles, "eth9": rival(device="eth9")}), RIVAL),
]


@pytest.mark.guarantee("G61")
@pytest.mark.parametrize(("code", "live", "message"), CASES, ids=[f"{c[0]} {c[2][:30]}" for c in CASES])
def test_an_unsuitable_nic_or_profile_is_refused(code: str, live: Live, message: str) -> None:
    assert_refused(code, live, message)


ACCEPTED: dict[str, Live] = {
    "a macvtap on another NIC": replace(before(), links=links_with(OTHER_NIC, Link("m", None, "macvtap", base="eth1"))),
    "a profile of the same priority": host_with_idle(rival(priority=0)),
    "a profile that does not autoconnect": host_with_idle(rival(autoconnect=False)),
    "a profile that is only in memory": host_with_idle(
        rival(file="/run/NetworkManager/system-connections/a.nmconnection")
    ),
    "another NIC's profile by its MAC": host_with_idle(rival(mac=OTHER_NIC.mac)),
    "another NIC's profile by its name": host_with_idle(rival(interface_name="eth1")),
    "a profile bound to the NIC's old name": host_with_idle(rival(interface_name="eth0")),
    "a profile for other names": host_with_idle(rival(match="wl*,ens1")),
    "a profile for all names but this": host_with_idle(rival(match="!peth0")),
    "a profile for a wireless card": host_with_idle(rival(type="802-11-wireless")),
    "a bridge's profile with another name": host_with_idle(rival(type="bridge", interface_name="br9")),
    "a profile that makes the NIC a port of the same bridge": host_with_idle(rival(controller="eth0")),
    "a port of a bridge that does not exist": host_with_idle(rival(controller="br9")),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_host_is_not_refused_for(name: str) -> None:
    assert find_codes(ACCEPTED[name]) == []


def test_only_a_higher_priority_than_that_of_the_active_profile_is_refused() -> None:
    first = replace(before().profiles["eth0"], priority=10)
    assert find_messages(replace(host_with_idle(rival()), profiles={"eth0": first})) == []
    last = replace(first, priority=-999)
    assert [c for c, _ in find_messages(replace(host_with_idle(rival(priority=0)), profiles={"eth0": last}))] == [
        "KVN535"
    ]


def test_an_inactive_profile_that_nmstate_would_use_is_no_rival() -> None:
    """nmstate may use any of several, so the one with the highest priority must be the only one."""
    own = rival(type="bridge", interface_name="eth0")
    assert find_messages(host_with_idle(own)) == []
    other = replace(own, uuid="u-8", id="lab", priority=0)
    assert [(c, m.partition(" also matches ")[0]) for c, m in find_messages(host_with_idle(own, other))] == [
        ("KVN535", "the connection profile office (u-9)")
    ]
    active = {"eth0": replace(own, uuid="u-7", device="eth0", priority=0)}
    live = replace(after(BUNDLE), settings={}, profiles=active, idle=(own,))
    assert [c for c, _ in find_messages(live)] == ["KVN535"]


def test_a_rival_is_refused_with_a_hint_and_can_be_overridden() -> None:
    live = host_with_idle(rival(), rival(uuid="u-8", id="lab", mac=MAC))
    plan = make_plan(BUNDLE, live)
    refusals = refusals_of(plan, live)
    commands = [
        f"connection modify {u} connection.autoconnect no, or nmcli connection delete {u}" for u in ("u-9", "u-8")
    ]
    assert [r.hint for r in refusals] == [f"prevent this: nmcli {command}" for command in commands]
    assert judge(plan, live, {"KVN535"}) == refusals


NETPLAN = "/run/NetworkManager/system-connections/netplan-uplink.nmconnection"


def host_with_two_nics(profile: ConnectionProfile, second: bool = False) -> Live:
    """Return a host whose first NIC has the profile; with `second` the other NIC too."""
    devices = ("eth0", "eth1") if second else ("eth0",)
    return replace(before(), links=links_with(OTHER_NIC), profiles={d: replace(profile, device=d) for d in devices})


def pattern(**facts: Any) -> ConnectionProfile:
    """Return the profile of eth0, bound to no NIC; `facts` change it."""
    return replace(before().profiles["eth0"], id="uplink", interface_name="", **facts)


def test_a_profile_of_netplan_that_would_move_to_another_nic_is_refused() -> None:
    live = host_with_two_nics(pattern(file=NETPLAN, match="eth*"))
    message = "the connection profile uplink of eth0 also fits eth1, and would be activated there"
    assert find_messages(live) == [("KVN533", message)]
    plan = make_plan(BUNDLE, live)
    assert refusals_of(plan, live)[0].hint == f"bind it to eth0: in /etc/netplan, write `match: {{macaddress: {MAC}}}`"


@pytest.mark.parametrize(
    "live",
    [
        host_with_two_nics(pattern(match="eth*")),  # in /etc: it is bound to eth0
        host_with_two_nics(pattern(file=NETPLAN, match="eth*,!eth1")),
        host_with_two_nics(pattern(file=NETPLAN, multi_connect=3)),
        host_with_two_nics(pattern(file=NETPLAN, multi_connect=2), second=True),
        host_with_two_nics(pattern(file=NETPLAN, autoconnect=False)),
        host_with_two_nics(replace(pattern(file=NETPLAN), mac=MAC)),
    ],
)
def test_a_profile_that_stays_with_its_nics_is_not_refused(live: Live) -> None:
    assert find_codes(live) == []


def test_two_nics_of_the_definition_may_share_a_profile() -> None:
    second = replace(BUNDLE.nics[0], interface="eth1", name="peth1", mac=OTHER_NIC.mac, link_file="x", bridge=None)
    bundle = replace(BUNDLE, nics=(*BUNDLE.nics, second))
    assert find_codes(host_with_two_nics(pattern(multi_connect=3), second=True), bundle) == []


def test_a_profile_that_is_only_copied_may_be_stored_anywhere() -> None:
    """As the one that an image has for all NICs."""
    file = "/usr/lib/NetworkManager/system-connections/default.nmconnection"
    assert find_codes(host_with_two_nics(pattern(file=file, multi_connect=3))) == []
    assert find_codes(host_with_two_nics(replace(before().profiles["eth0"], file=file))) == ["KVN532"]
