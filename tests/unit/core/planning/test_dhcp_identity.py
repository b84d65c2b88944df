"""The identity of a host for DHCP servers and routers is carried over."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.live.live_host import ConnectionProfile, Live
from kvmnet.core.planning.dhcp_identity import Identity, find_identities
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.reporting.change_text import detail_texts
from kvmnet.pipeline import load
from kvmnet.transaction.compile_steps import Terms, compile_steps
from tests.unit.core.samples import MAC, after, before, notes_of

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


CLIENT_ID, DUID, IAID = "ff:2b:50:67:35:00:02:00:00:ab:11:da", "00:04:78:0f:d8:df", "2b:50:67:35"


ROUTED = {"ip": "2001:db8::2631:e9a4:afdc:81f6", "prefix-length": 64, "valid-life-time": "3600sec"}


OTHER = {"ip": "2001:db8:1::dead:beef", "prefix-length": 64, "valid-life-time": "3600sec"}


BY_MAC = {"ip": "2001:db8::214:4fff:fe80:de00", "prefix-length": 64, "valid-life-time": "3600sec"}


LEASED = {"ip": "2001:db8::7", "prefix-length": 128, "valid-life-time": "3600sec"}


AUTO = {"ipv4": {"enabled": True, "dhcp": True}, "ipv6": {"enabled": True, "dhcp": True, "autoconf": True}}


TOKEN = "::2631:e9a4:afdc:81f6"


def bundle(ip: dict[str, Any] = AUTO) -> Bundle:
    """The bundle of the host, with dynamic addresses on its bridge."""
    state = copy.deepcopy(BUNDLE.state)
    state.pop("routes", None)
    state["interfaces"][1].update(copy.deepcopy(ip))
    state["interfaces"][1]["ipv4"]["dhcp-client-id"] = "ll"  # as it is rendered
    return replace(BUNDLE, state=state)


def asking(live: Live, *addresses: dict[str, Any], token: str = "", **profile: Any) -> Live:
    """The host with dynamic addresses on eth0 (the NIC, later the bridge); `profile`: settings of its profile."""
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
def test_a_bridge_keeps_the_identity_of_its_nic() -> None:
    live = asking(before(), ROUTED, LEASED, client_id=CLIENT_ID, duid=DUID, iaid=IAID)
    plan = make_plan(bundle(), live)
    assert sent(plan)["ipv4"]["dhcp-client-id"] == CLIENT_ID
    assert sent(plan)["ipv6"] == {**AUTO["ipv6"], "dhcp-duid": DUID, "addr-gen-mode": "eui64", "token": TOKEN}
    words = f"DHCP client id {CLIENT_ID}, DHCPv6 DUID {DUID}, DHCPv6 IAID 726689589, IPv6 token {TOKEN}"
    assert notes_of(plan, live) == [f"eth0 keeps its identity for DHCP and IPv6: {words}"]
    assert "dhcp-duid" not in bundle().state["interfaces"][1]["ipv6"], "the bundle itself is unchanged"


@pytest.mark.guarantee("G36")
def test_the_identity_is_kept_in_later_changes_and_is_no_difference_itself() -> None:
    # now NetworkManager reports the bridge's leases, and nmstate its token
    live = asking(after(bundle()), ROUTED, token=TOKEN, client_id=CLIENT_ID, duid=DUID, iaid=IAID)
    nic = next(i for i in live.state["interfaces"] if i["name"] == "eth0")
    nic["ipv4"]["dhcp-client-id"], nic["ipv6"]["dhcp-duid"] = CLIENT_ID, DUID
    assert make_plan(bundle(), live).empty
    nic["mtu"], wanted = 1500, bundle()
    wanted.state["interfaces"][1]["mtu"] = 1450
    plan = make_plan(wanted, live)
    assert [detail_texts(change) for change in plan.changes if change.name == "eth0"] == [["mtu: 1500 -> 1450"]]
    assert sent(plan)["ipv4"]["dhcp-client-id"] == CLIENT_ID
    assert (sent(plan)["ipv6"]["dhcp-duid"], sent(plan)["ipv6"]["token"]) == (DUID, TOKEN)


def test_an_iaid_is_set_after_the_trial_and_before_the_readback() -> None:
    live = asking(before(), duid=DUID, iaid=IAID)
    steps = compile_steps(make_plan(bundle(), live), live, {}, Terms(120))
    place = [step["op"] for step in steps].index("associations")
    assert [step["op"] for step in steps[place - 1 : place + 2]] == ["apply", "associations", "read back"]
    assert steps[place]["interfaces"] == {"eth0": "726689589"}


def test_an_identity_by_the_mac_is_left_to_nmstate() -> None:
    live = asking(before(), BY_MAC, client_id=f"01:{MAC}", duid=f"00:03:00:01:{MAC}", iaid="4f:80:de:00")
    plan = make_plan(bundle(), live)
    assert plan.identities == {"eth0": Identity()}
    assert (sent(plan)["ipv4"]["dhcp-client-id"], sent(plan)["ipv6"]) == ("ll", AUTO["ipv6"])
    assert notes_of(plan, live) == []
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
def test_without_a_lease_the_identity_is_taken_from_the_profile_when_it_contains_bytes(
    profile: dict[str, str], kept: dict[str, Any]
) -> None:
    plan = make_plan(bundle(), asking(before(), **profile))
    assert replace(plan.identities["eth0"], at_risk=()) == Identity(**kept)


def test_addresses_of_several_prefixes_have_no_common_token() -> None:
    live = asking(before(), ROUTED, OTHER)
    plan = make_plan(bundle(), live)
    assert "token" not in sent(plan)["ipv6"]
    assert [note.split()[2] for note in notes_of(plan, live)] == [ROUTED["ip"], OTHER["ip"]]
    live = replace(live, temporary=(str(OTHER["ip"]),))
    assert make_plan(bundle(), live).identities["eth0"].token == TOKEN, "temporary addresses are not kept"


def test_an_old_nmstate_gets_no_token() -> None:
    live = replace(asking(before(), ROUTED), nmstate="2.2.9")
    plan = make_plan(bundle(), live)
    assert "token" not in sent(plan)["ipv6"]
    assert [note.split()[2] for note in notes_of(plan, live)] == [ROUTED["ip"]]


def test_an_interface_without_dynamic_addresses_has_no_identity() -> None:
    live = asking(before(), ROUTED, client_id=CLIENT_ID, duid=DUID, iaid=IAID)
    assert make_plan(BUNDLE, live).identities == {}
    four = {"ipv4": {"enabled": True, "dhcp": True}, "ipv6": {"enabled": False}}
    assert make_plan(bundle(four), live).identities == {"eth0": Identity(client_id=CLIENT_ID)}


def test_a_nic_keeps_the_identity_of_its_removed_bridge() -> None:
    live = asking(after(bundle()), client_id=CLIENT_ID)
    desired = {"interfaces": [{"name": "eth0", "type": "ethernet", "state": "up", **copy.deepcopy(AUTO)}]}
    found = find_identities(desired, {"peth0": "eth0"}, {"eth0": "linux-bridge"}, live)
    assert found == {"eth0": Identity(client_id=CLIENT_ID)}


def test_a_bond_keeps_the_identity_of_the_port_that_uses_dhcp() -> None:
    live = asking(before(), client_id=CLIENT_ID)
    second = {"name": "eth1", "type": "ethernet", "state": "up", "ipv4": {"enabled": False}}
    state = {"interfaces": [second, *live.state["interfaces"]]}
    live = replace(
        live, state=state, profiles={**live.profiles, "eth1": ConnectionProfile("u-2", "eth1", "x", "eth1", "")}
    )
    bond = {"name": "bond0", "type": "bond", "state": "up", "link-aggregation": {"port": ["eth1", "eth0"]}, **AUTO}
    assert find_identities({"interfaces": [bond]}, {}, {}, live)["bond0"].client_id == CLIENT_ID
