"""What a plan says beside its changes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.effects.plan_notes import notes
from kvmnet.core.live.live_host import UNREADABLE, Profile
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.reporting.report import plan_markdown, plan_text
from kvmnet.pipeline import load
from tests.unit.test_plan import KEYFILES, MAC, after, before, left

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
    nic["mac-address"] = MAC.upper()
    desired = copy.deepcopy(BUNDLE.state)
    desired["interfaces"][1]["ipv6"] = {"enabled": True, "dhcp": False, "autoconf": autoconf}
    live = replace(live, state=state)
    live = replace(live, nmstate="2.2.9")  # a later one is told the last half of it
    found = notes(make_plan(replace(BUNDLE, state=desired), live), live)
    words = f"the address 2001:db8::7a31 may change: eth0 has it by addr-gen-mode={mode}, and will have one"
    assert found == ([f"{words} from its MAC"] if told else [])


LEASE = {"ip": "2001:db8::5", "prefix-length": 128, "valid-life-time": "3600sec"}
KEEP = "to keep it reserve the address for the MAC at the DHCP server before, or give it in the definition"


def by_dhcp(profile: dict[str, str], address: dict[str, Any], now: str, to_be: str, place: str = "eth0") -> list[str]:
    """What is told where eth0 has its addresses by DHCP of the families `now` ("4", "46", …), and the bridge over it
    (or what else `place` is) of those `to_be`."""
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
    return notes(make_plan(replace(BUNDLE, state=desired), live), live)


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
def test_a_lease_that_goes_by_something_else_than_the_mac_may_change(profile: dict[str, str], how: str) -> None:
    words = f"the address that eth0 has from DHCP may change: it asks by {how}, eth0 will by its MAC; {KEEP}"
    assert by_dhcp(profile, FIXED, "4", "4") == ([words] if how else [])
    assert by_dhcp(profile, FIXED, "", "4") == by_dhcp(profile, FIXED, "4", "") == [], "before and afterwards"
    assert by_dhcp(profile, FIXED, "4", "4", "peth0") == [], "of a NIC that is a port"


@pytest.mark.parametrize(
    ("profile", "address", "how"),
    [
        ({}, FIXED, ""),
        ({}, BY_ITSELF, ""),
        ({}, LEASE, "a DUID and an IAID of NetworkManager's choice"),
        ({"dhcp6_duid": "ll"}, LEASE, "a DUID and an IAID of NetworkManager's choice"),
        ({"dhcp6_duid": "ll", "dhcp6_iaid": "mac"}, LEASE, ""),
        ({"dhcp6_duid": f"00:03:00:01:{MAC}", "dhcp6_iaid": "perm-mac"}, LEASE, ""),
        ({"dhcp6_duid": "uuid"}, FIXED, "ipv6.dhcp-duid=uuid"),
        ({"dhcp6_duid": "uuid", "dhcp6_iaid": "ifname"}, LEASE, "ipv6.dhcp-duid=uuid, ipv6.dhcp-iaid=ifname"),
        ({"dhcp4_client_id": "stable"}, FIXED, ""),
    ],
)
def test_so_may_one_from_dhcpv6(profile: dict[str, str], address: dict[str, Any], how: str) -> None:
    words = f"the address that eth0 has from DHCPv6 may change: it asks by {how}, eth0 will by its MAC; {KEEP}"
    assert by_dhcp(profile, address, "6", "6") == ([words] if how else [])
    assert by_dhcp(profile, address, "", "6") == by_dhcp(profile, address, "6", "") == []


def test_a_lease_of_a_host_that_is_as_defined_is_not_spoken_of() -> None:
    live = after(BUNDLE)
    profiles = {**live.profiles, "eth0": replace(live.profiles["eth0"], dhcp4_client_id="stable")}
    live = replace(live, profiles=profiles)
    assert notes(make_plan(BUNDLE, live), live) == []


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


RULE4, RULE6 = "priority 100 from 10.1.255.254 table 100", "priority 100 from 2001:db8::7 table 100"
ELSEWHERE = (
    "no definition can say them; to keep them give them to the connection profile of an interface that stays, or to a "
    "script in /etc/NetworkManager/dispatcher.d, before"
)


@pytest.mark.parametrize(
    ("profile", "rules"),
    [({}, ""), ({"rules4": RULE4}, RULE4), ({"rules4": RULE4, "rules6": RULE6}, f"{RULE4}, {RULE6}")],
)
def test_routing_rules_of_a_nic_that_becomes_a_port_are_told(profile: dict[str, str], rules: str) -> None:
    live = before()
    live = replace(live, profiles={"eth0": replace(live.profiles["eth0"], **profile)})
    words = f"eth0 becomes a port, and the routing rules of its connection profile go ({rules}): {ELSEWHERE}"
    told = f"{words}; or leave the NIC out of the definition"
    assert notes(make_plan(BUNDLE, live), live) == ([told] if rules else [])


def test_so_are_those_of_what_leaves_and_not_those_of_what_stays() -> None:
    live = left(BUNDLE)
    ruled = {name: replace(profile, rules4=f"of {name}") for name, profile in live.profiles.items()}
    live = replace(live, profiles={**ruled, "peth0": live.profiles["peth0"]})
    assert notes(make_plan(BUNDLE, live), live) == [
        f"{name} is removed, and the routing rules of its connection profile go (of {name}): {ELSEWHERE}"
        for name in ("peth0.5", "br5")
    ]
    nic = replace(before(), profiles={"eth0": replace(before().profiles["eth0"], rules4=RULE4)})
    plan = make_plan(replace(BUNDLE, nics=tuple(replace(n, name="lan") for n in BUNDLE.nics), state={}), nic)
    assert plan.touches and notes(plan, nic) == [], "only renamed"


def test_what_only_root_may_read_is_told() -> None:
    live = replace(after(BUNDLE), applied=UNREADABLE)
    plan = make_plan(BUNDLE, live)
    words = "what has left the definition is not in this plan, as only root may read what is applied: run it with sudo"
    assert plan.empty and notes(plan, live) == [words]
    told = [f"note: {words}"]
    assert plan_text(plan, told) == f"vm-container-0-0: nothing to do, as far as kvmnet can see\nnote: {words}\n"
    assert plan_markdown(plan, notes=told) == (
        f"### vm-container-0-0: nothing to do, as far as kvmnet can see\n\n- note: {words}\n"
    )
    first = replace(before(), applied=UNREADABLE)
    assert notes(make_plan(BUNDLE, first), first) == [words]
    assert notes(make_plan(BUNDLE, before()), before()) == []
