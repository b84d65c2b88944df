"""Notes on a plan."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.live.live_host import UNREADABLE, ConnectionProfile
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.reporting.report import format_plan, format_plan_markdown
from kvmnet.pipeline import load
from tests.unit.core.samples import KEYFILES, MAC, after, before, notes_of, with_leaving

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


BY_ITSELF = {"ip": "2001:db8::7a31", "prefix-length": 64, "valid-left": "86400sec"}


FIXED = {"ip": "2001:db8::1", "prefix-length": 64}


BY_MAC = {**BY_ITSELF, "ip": "2001:db8::214:4fff:fe80:de00"}


LINK_LOCAL = {"ip": "fe80::7a31", "prefix-length": 64}


@pytest.mark.parametrize(
    ("mode", "address", "autoconf", "told"),
    [
        ("stable-privacy", BY_ITSELF, True, True),
        ("stable-privacy", BY_ITSELF, False, False),
        ("stable-privacy", FIXED, True, False),
        ("stable-privacy", LINK_LOCAL, True, False),
        ("eui64", BY_ITSELF, True, True),
        ("eui64", BY_MAC, True, False),
    ],
)
def test_an_address_that_is_not_from_the_mac_may_change(
    mode: str,
    address: dict[str, Any],
    autoconf: bool,
    told: bool,
) -> None:
    live = before()
    state = copy.deepcopy(live.state)
    nic = next(i for i in state["interfaces"] if i["name"] == "eth0")
    nic["ipv6"] = {"enabled": True, "autoconf": True, "addr-gen-mode": mode, "address": [address]}
    nic["mac-address"] = MAC.upper()
    desired = copy.deepcopy(BUNDLE.state)
    desired["interfaces"][1]["ipv6"] = {"enabled": True, "dhcp": False, "autoconf": autoconf}
    live = replace(live, state=state)
    live = replace(live, nmstate="2.2.9")  # a later one gets a token
    found = notes_of(make_plan(replace(BUNDLE, state=desired), live), live)
    words = f"the address 2001:db8::7a31 of eth0 may change: it was generated with addr-gen-mode={mode}, but the new"
    assert found == ([f"{words} one will be generated from the MAC address"] if told else [])


LEASE = {"ip": "2001:db8::5", "prefix-length": 128, "valid-life-time": "3600sec"}


KEEP = "to keep the address, reserve it for this MAC address on the DHCP server first, or define it as a static address"


def by_dhcp(profile: dict[str, Any], address: dict[str, Any], now: str, to_be: str, place: str = "eth0") -> list[str]:
    """Return the notes when eth0 uses DHCP for the families `now` ("4", "46", …), and `place` will for those in
    `to_be`."""
    live = before()
    families = {
        f"ipv{n}": {"enabled": True, "dhcp": n in now, "address": [address] if n == "6" else []} for n in ("4", "6")
    }
    state = copy.deepcopy(live.state)
    nic = next(i for i in state["interfaces"] if i["name"] == "eth0")
    nic.update(copy.deepcopy(families), **{"mac-address": MAC.upper()})
    live = replace(live, state=state, profiles={"eth0": replace(live.profiles["eth0"], **profile)})
    desired = copy.deepcopy(BUNDLE.state)
    for interface in desired["interfaces"]:
        if interface["name"] == place:
            interface.update({f"ipv{n}": {"enabled": True, "dhcp": n in to_be} for n in ("4", "6")})
    return notes_of(make_plan(replace(BUNDLE, state=desired), live), live)


@pytest.mark.parametrize(
    ("profile", "how"),
    [
        ({}, ""),
        ({"dhcp4_client_id": "mac", "dhcp4_iaid": "stable"}, ""),
        ({"dhcp4_client_id": "perm-mac"}, ""),
        ({"dhcp4_client_id": f"01:{MAC}"}, ""),
        ({"dhcp4_client_id": "stable"}, "ipv4.dhcp-client-id=stable"),
        ({"dhcp4_client_id": "duid", "dhcp4_iaid": "7"}, "ipv4.dhcp-client-id=duid, ipv4.dhcp-iaid=7"),
        ({"dhcp4_iaid": "7"}, "ipv4.dhcp-iaid=7"),
        ({"dhcp6_duid": "uuid", "dhcp6_iaid": "stable"}, ""),
    ],
)
def test_a_dhcp_lease_that_is_not_by_the_mac_may_change(profile: dict[str, Any], how: str) -> None:
    words = (
        f"the DHCP address of eth0 may change: eth0 identifies itself by {how}; "
        f"after the change, eth0 will identify itself by its MAC address; {KEEP}"
    )
    assert by_dhcp(profile, FIXED, "4", "4") == ([words] if how else [])
    assert by_dhcp(profile, FIXED, "", "4") == by_dhcp(profile, FIXED, "4", "") == [], "before and afterwards"
    assert by_dhcp(profile, FIXED, "4", "4", "peth0") == [], "the NIC is a port"


@pytest.mark.parametrize(
    ("profile", "address", "how"),
    [
        ({}, FIXED, ""),
        ({}, BY_ITSELF, ""),
        ({}, LEASE, "a DUID and an IAID that NetworkManager chose"),
        ({"dhcp6_duid": "ll"}, LEASE, "a DUID and an IAID that NetworkManager chose"),
        ({"dhcp6_duid": "ll", "dhcp6_iaid": "mac"}, LEASE, ""),
        ({"dhcp6_duid": f"00:03:00:01:{MAC}", "dhcp6_iaid": "perm-mac"}, LEASE, ""),
        ({"dhcp6_duid": "uuid"}, FIXED, "ipv6.dhcp-duid=uuid"),
        ({"dhcp6_duid": "uuid", "dhcp6_iaid": "ifname"}, LEASE, "ipv6.dhcp-duid=uuid, ipv6.dhcp-iaid=ifname"),
        ({"dhcp4_client_id": "stable"}, FIXED, ""),
    ],
)
def test_a_dhcpv6_lease_that_is_not_by_the_mac_may_change(
    profile: dict[str, Any], address: dict[str, Any], how: str
) -> None:
    words = (
        f"the DHCPv6 address of eth0 may change: eth0 identifies itself by {how}; "
        f"after the change, eth0 will identify itself by its MAC address; {KEEP}"
    )
    assert by_dhcp(profile, address, "6", "6") == ([words] if how else [])
    assert by_dhcp(profile, address, "", "6") == by_dhcp(profile, address, "6", "") == []


def test_an_empty_plan_has_no_note_about_leases() -> None:
    live = after(BUNDLE)
    profiles = {**live.profiles, "eth0": replace(live.profiles["eth0"], dhcp4_client_id="stable")}
    live = replace(live, profiles=profiles)
    assert notes_of(make_plan(BUNDLE, live), live) == []


def test_another_profile_of_the_same_priority_that_matches_is_noted() -> None:
    second = ConnectionProfile("u-9", "office", "802-3-ethernet", "", f"{KEYFILES}/office.nmconnection")
    live = replace(before(), idle=(second,))
    words = (
        "the connection profile office (u-9) also matches eth0: once it has been activated, NetworkManager prefers it "
        "at the next boot; to prevent this: nmcli connection modify u-9 connection.autoconnect no, or nmcli connection "
        "delete u-9"
    )
    assert notes_of(make_plan(BUNDLE, live), live) == [words]
    active = replace(before(), profiles={**before().profiles, "eth9": replace(second, device="eth9")})
    told = notes_of(make_plan(BUNDLE, active), active)
    assert [
        ": it is active on eth9, and at boot NetworkManager may use it for any of these interfaces; to" in t
        for t in told
    ] == [True]
    for other in (replace(second, priority=-1), replace(second, priority=1), replace(second, autoconnect=False)):
        live = replace(before(), idle=(other,))
        assert notes_of(make_plan(BUNDLE, live), live) == [], "chosen last, refused, never activated"
    live = replace(after(BUNDLE), idle=(second,))
    assert make_plan(BUNDLE, live).empty and notes_of(make_plan(BUNDLE, live), live) == [], "nothing is to be done"


RULE4, RULE6 = "priority 100 from 10.1.255.254 table 100", "priority 100 from 2001:db8::7 table 100"


ELSEWHERE = "to keep them, write them into the definition (`rules`)"


@pytest.mark.parametrize(
    ("profile", "rules"),
    [({}, ""), ({"rules4": RULE4}, RULE4), ({"rules4": RULE4, "rules6": RULE6}, f"{RULE4}, {RULE6}")],
)
def test_routing_rules_of_a_nic_that_becomes_a_port_are_noted(profile: dict[str, Any], rules: str) -> None:
    live = before()
    live = replace(live, profiles={"eth0": replace(live.profiles["eth0"], **profile)})
    words = f"eth0 becomes a port, so the routing rules of its connection profile are removed ({rules}): {ELSEWHERE}"
    told = f"{words}; or leave the NIC out of the definition"
    assert notes_of(make_plan(BUNDLE, live), live) == ([told] if rules else [])


def test_routing_rules_that_the_definition_has_are_not_noted() -> None:
    live = before()
    live = replace(live, profiles={"eth0": replace(live.profiles["eth0"], rules4=RULE4)})
    rule = {"family": "ipv4", "ip-from": "10.1.255.254/32", "route-table": 100, "priority": 100}
    bundle = replace(BUNDLE, state={**BUNDLE.state, "route-rules": {"config": [rule]}})
    assert notes_of(make_plan(bundle, live), live) == []


def test_routing_rules_of_a_removed_interface_are_noted_and_of_one_that_stays_not() -> None:
    live = with_leaving(BUNDLE)
    ruled = {name: replace(profile, rules4=f"of {name}") for name, profile in live.profiles.items()}
    live = replace(live, profiles={**ruled, "peth0": live.profiles["peth0"]})
    assert notes_of(make_plan(BUNDLE, live), live) == [
        f"{name} is removed, so the routing rules of its connection profile are removed (of {name}): {ELSEWHERE}"
        for name in ("peth0.5", "br5")
    ]
    nic = replace(before(), profiles={"eth0": replace(before().profiles["eth0"], rules4=RULE4)})
    plan = make_plan(replace(BUNDLE, nics=tuple(replace(n, name="lan") for n in BUNDLE.nics), state={}), nic)
    assert plan.changes_host and notes_of(plan, nic) == [], "only renamed"


def test_a_plan_of_another_user_than_root_is_noted_as_incomplete() -> None:
    live = replace(after(BUNDLE), applied=UNREADABLE)
    plan = make_plan(BUNDLE, live)
    words = "this plan does not show interfaces that are no longer in the definition: run as root to see them"
    assert plan.empty and notes_of(plan, live) == [words]
    told = [f"note: {words}"]
    assert (
        format_plan(plan, told)
        == f"vm-container-0-0: nothing to do, but kvmnet could not check everything\nnote: {words}\n"
    )
    assert format_plan_markdown(plan, notes=told) == (
        f"### vm-container-0-0: nothing to do, but kvmnet could not check everything\n\n- note: {words}\n"
    )
    first = replace(before(), applied=UNREADABLE)
    assert notes_of(make_plan(BUNDLE, first), first) == [words]
    assert notes_of(make_plan(BUNDLE, before()), before()) == []
