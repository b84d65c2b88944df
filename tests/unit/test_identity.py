"""By what a machine gets its addresses from others, carried over to what takes an interface's place."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.effects.plan_notes import notes
from kvmnet.core.live.live_host import Live, Profile
from kvmnet.core.planning.dhcp_identity import Identity, identities
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.planning.rename_order import Rename
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load
from kvmnet.transaction.compile_steps import Terms, compile_steps
from tests.unit.test_plan import MAC, after, before

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
CLIENT_ID, DUID, IAID = "ff:2b:50:67:35:00:02:00:00:ab:11:da", "00:04:78:0f:d8:df", "2b:50:67:35"
ROUTED = {"ip": "2001:db8::2631:e9a4:afdc:81f6", "prefix-length": 64, "valid-life-time": "3600sec"}
OTHER = {"ip": "2001:db8:1::dead:beef", "prefix-length": 64, "valid-life-time": "3600sec"}
BY_MAC = {"ip": "2001:db8::214:4fff:fe80:de00", "prefix-length": 64, "valid-life-time": "3600sec"}
LEASED = {"ip": "2001:db8::7", "prefix-length": 128, "valid-life-time": "3600sec"}
AUTO = {"ipv4": {"enabled": True, "dhcp": True}, "ipv6": {"enabled": True, "dhcp": True, "autoconf": True}}
TOKEN = "::2631:e9a4:afdc:81f6"


def bundle(ip: dict[str, Any] = AUTO) -> Bundle:
    """The seed's, with its bridge getting its addresses from others."""
    state = copy.deepcopy(BUNDLE.state)
    state.pop("routes", None)
    state["interfaces"][1].update(copy.deepcopy(ip))
    state["interfaces"][1]["ipv4"]["dhcp-client-id"] = "ll"  # as it is rendered
    return replace(BUNDLE, state=state)


def asking(live: Live, *addresses: dict[str, Any], token: str = "", **profile: Any) -> Live:
    """The host with eth0 (the NIC, later the bridge) getting its addresses from others, by what `profile` says."""
    state = copy.deepcopy(live.state)
    nic = next(i for i in state["interfaces"] if i["name"] == "eth0")
    nic.update(copy.deepcopy(AUTO), **{"mac-address": MAC.upper()})
    nic["ipv6"]["address"] = list(addresses)
    nic["ipv6"]["addr-gen-mode"] = "stable-privacy"
    if token:
        nic["ipv6"]["token"] = token
    return replace(live, state=state, profiles={**live.profiles, "eth0": replace(live.profiles["eth0"], **profile)})


def sent(plan: Plan) -> dict[str, Any]:
    return next(i for i in plan.state["interfaces"] if i["name"] == "eth0")


@pytest.mark.guarantee("G36")
def test_the_bridge_is_to_the_servers_who_the_nic_was() -> None:
    live = asking(before(), ROUTED, LEASED, client_id=CLIENT_ID, duid=DUID, iaid=IAID)
    plan = make_plan(bundle(), live)
    assert sent(plan)["ipv4"]["dhcp-client-id"] == CLIENT_ID
    assert sent(plan)["ipv6"] == {**AUTO["ipv6"], "dhcp-duid": DUID, "addr-gen-mode": "eui64", "token": TOKEN}
    words = f"DHCP client id {CLIENT_ID}, DHCPv6 DUID {DUID}, DHCPv6 IAID 726689589, IPv6 token {TOKEN}"
    assert notes(plan, live) == [f"eth0 keeps what it gets addresses by: {words}"]
    assert "dhcp-duid" not in bundle().state["interfaces"][1]["ipv6"], "the bundle is as it was rendered"


@pytest.mark.guarantee("G36")
def test_so_it_is_when_it_is_changed_again_and_as_defined_it_is_left_alone() -> None:
    # NetworkManager tells the bridge's leases then, and nmstate its token
    live = asking(after(bundle()), ROUTED, token=TOKEN, client_id=CLIENT_ID, duid=DUID, iaid=IAID)
    nic = next(i for i in live.state["interfaces"] if i["name"] == "eth0")
    nic["ipv4"]["dhcp-client-id"], nic["ipv6"]["dhcp-duid"] = CLIENT_ID, DUID
    assert make_plan(bundle(), live).empty
    nic["mtu"], wanted = 1500, bundle()
    wanted.state["interfaces"][1]["mtu"] = 1450
    plan = make_plan(wanted, live)
    assert [change.details for change in plan.changes if change.name == "eth0"] == [("mtu: 1500 -> 1450",)]
    assert sent(plan)["ipv4"]["dhcp-client-id"] == CLIENT_ID
    assert (sent(plan)["ipv6"]["dhcp-duid"], sent(plan)["ipv6"]["token"]) == (DUID, TOKEN)


def test_an_iaid_is_a_step_after_the_trial_and_before_anything_is_kept() -> None:
    live = asking(before(), duid=DUID, iaid=IAID)
    steps = compile_steps(make_plan(bundle(), live), live, {}, Terms(120))
    place = [step["op"] for step in steps].index("associations")
    assert [step["op"] for step in steps[place - 1 : place + 2]] == ["apply", "associations", "read back"]
    assert steps[place]["interfaces"] == {"eth0": "726689589"}


def test_what_is_by_the_mac_is_left_to_nmstate() -> None:
    live = asking(before(), BY_MAC, client_id=f"01:{MAC}", duid=f"00:03:00:01:{MAC}", iaid="4f:80:de:00")
    plan = make_plan(bundle(), live)
    assert plan.identities == {"eth0": Identity()}
    assert (sent(plan)["ipv4"]["dhcp-client-id"], sent(plan)["ipv6"]) == ("ll", AUTO["ipv6"])
    assert notes(plan, live) == []
    assert "associations" not in [step["op"] for step in compile_steps(plan, live, {}, Terms(120))]


@pytest.mark.parametrize(
    ("profile", "kept"),
    [
        ({"dhcp4_client_id": "the host"}, {"client_id": "the host"}),
        ({"dhcp4_client_id": "ff:00:01"}, {"client_id": "ff:00:01"}),
        ({"dhcp4_client_id": "mac"}, {}),
        ({"dhcp4_client_id": "duid"}, {}),
        ({"dhcp4_client_id": "the host", "client_id": CLIENT_ID}, {"client_id": CLIENT_ID}),
        ({"dhcp6_duid": "00:01:02", "dhcp6_iaid": "7"}, {"duid": "00:01:02", "iaid": "7"}),
        ({"dhcp6_duid": "stable-uuid", "dhcp6_iaid": "stable"}, {}),
    ],
)
def test_without_a_lease_the_profile_says_it_as_far_as_it_says_bytes(
    profile: dict[str, str], kept: dict[str, Any]
) -> None:
    plan = make_plan(bundle(), asking(before(), **profile))
    assert replace(plan.identities["eth0"], lost=()) == Identity(**kept)


def test_addresses_of_several_prefixes_have_no_last_half_in_common() -> None:
    live = asking(before(), ROUTED, OTHER)
    plan = make_plan(bundle(), live)
    assert "token" not in sent(plan)["ipv6"]
    assert [note.split()[2] for note in notes(plan, live)] == [ROUTED["ip"], OTHER["ip"]]
    live = replace(live, temporary=(str(OTHER["ip"]),))
    assert make_plan(bundle(), live).identities["eth0"].token == TOKEN, "one that changes by and by is not to be kept"


def test_an_nmstate_that_takes_no_token_is_not_sent_one() -> None:
    live = replace(asking(before(), ROUTED), nmstate="2.2.9")
    plan = make_plan(bundle(), live)
    assert "token" not in sent(plan)["ipv6"]
    assert [note.split()[2] for note in notes(plan, live)] == [ROUTED["ip"]]


def test_who_gets_no_addresses_afterwards_has_no_identity() -> None:
    live = asking(before(), ROUTED, client_id=CLIENT_ID, duid=DUID, iaid=IAID)
    assert make_plan(BUNDLE, live).identities == {}
    four = {"ipv4": {"enabled": True, "dhcp": True}, "ipv6": {"enabled": False}}
    assert make_plan(bundle(four), live).identities == {"eth0": Identity(client_id=CLIENT_ID)}


def test_what_stands_on_a_bridge_that_goes_takes_its_identity() -> None:
    live = asking(after(bundle()), client_id=CLIENT_ID)
    desired = {"interfaces": [{"name": "eth0", "type": "ethernet", "state": "up", **copy.deepcopy(AUTO)}]}
    renames = [Rename(MAC, "peth0", "eth0")]
    found = identities(desired, renames, {"eth0": "linux-bridge"}, live)
    assert found == {"eth0": Identity(client_id=CLIENT_ID)}


def test_of_several_ports_the_one_that_asks_says_it() -> None:
    live = asking(before(), client_id=CLIENT_ID)
    second = {"name": "eth1", "type": "ethernet", "state": "up", "ipv4": {"enabled": False}}
    state = {"interfaces": [second, *live.state["interfaces"]]}
    live = replace(live, state=state, profiles={**live.profiles, "eth1": Profile("u-2", "eth1", "x", "eth1", "")})
    bond = {"name": "bond0", "type": "bond", "state": "up", "link-aggregation": {"port": ["eth1", "eth0"]}, **AUTO}
    assert identities({"interfaces": [bond]}, [], {}, live)["bond0"].client_id == CLIENT_ID
