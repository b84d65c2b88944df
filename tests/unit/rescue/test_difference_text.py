"""Each difference is one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.rescue import difference_text
from kvmnet.rescue.difference_text import is_runtime_only

NIC: dict[str, Any] = {
    **{"name": "eth0", "mac": "02::1", "address": "02::1", "kind": None, "master": None, "mtu": 1500, "up": True},
    **{"promiscuous": False, "altnames": ["enp1"], "over": None, "options": {}},
}


@pytest.mark.parametrize(
    ("now", "lines"),
    [
        ({"altnames": ["enp2"]}, ["the alternative name enp1 of eth0 is missing",
                                  "eth0 has the alternative name enp2, which it did not have"]),
        ({"address": "06::9"}, ["the MAC address of eth0 is 06::9, not 02::1"]),
        ({"mac": "02::2"}, ["eth0 is another NIC: its permanent MAC address is 02::2, not 02::1"]),
        ({"kind": "bridge"}, ["eth0 is a bridge, not a NIC"]),
        ({"master": "br0"}, ["eth0 is a port of br0, which it was not"]),
        ({"mtu": 9000}, ["the MTU of eth0 is 9000, not 1500"]),
        ({"up": False}, ["eth0 is down"]),
        ({"promiscuous": True}, ["the promiscuous mode of eth0 is on, not off"]),
        ({"options": {"primary": "x"}}, ["the option primary of eth0 is x, although it was not set"]),
    ],
)  # fmt: skip
def test_a_changed_link_is_described(now: dict[str, Any], lines: list[str]) -> None:
    found = difference_text.compare_links({"eth0": NIC}, {"eth0": {**NIC, **now}})
    assert found == lines
    assert all(is_runtime_only(line) for line in found)


def test_ports_name_the_bridge_that_they_lost() -> None:
    port = {**NIC, "master": "br0", "over": "eth9", "up": False}
    now = {**NIC, "master": None, "over": "eth8"}
    assert difference_text.compare_links({"eth0": port}, {"eth0": now}) == [
        "eth0 is not a port of br0",
        "eth0 is up, although it was down",
        "eth0 is based on eth8, not on eth9",
    ]
    assert difference_text.compare_links({"eth0": port}, {"eth0": {**port, "master": "br1"}}) == [
        "eth0 is a port of br1, not of br0"
    ]


def test_missing_renamed_and_new_links() -> None:
    was = {"eth0": NIC, "br0": {"name": "br0", "mac": None}}
    now = {"peth0": {**NIC, "name": "peth0"}, "br1": {"name": "br1", "mac": None}}
    lines = difference_text.compare_links(was, now)
    assert lines == [
        "interface br0 is missing",
        "interface br1 exists, which did not exist before",
        "the NIC 02::1 is called peth0, not eth0",
    ]
    assert [is_runtime_only(line) for line in lines] == [False, True, False]


def test_a_bridge_is_compared_in_the_options_that_were_recorded() -> None:
    """An earlier kvmnet recorded fewer."""
    was = {"br0": {"name": "br0", "kind": "bridge", "options": {"stp_state": 0}}}
    now = {"br0": {"name": "br0", "kind": "bridge", "options": {"stp_state": 0, "ageing_time": 30000}}}
    assert difference_text.compare_links(was, now) == []


def test_addresses_and_routes() -> None:
    lines = difference_text.compare_addresses({"br0": ["10.1.1.5/16"]}, {"br0": ["10.1.1.6/16"], "eth9": []})
    assert lines == [
        "the address 10.1.1.5/16 of br0 is missing",
        "br0 has the address 10.1.1.6/16, which it did not have",
    ]
    route = {
        "family": "4",
        "to": "default",
        "via": "10.1.1.1",
        "dev": "br0",
        "table": "main",
        "source": None,
        "rank": 0,
    }
    other = {**route, "to": "10.9.0.0/16", "via": "10.1.1.2", "table": "77", "source": "10.1.1.5"}
    sixth = {**route, "family": "6", "via": "fe80::1"}
    assert difference_text.compare_routes([route, other], [{**route, "rank": 1}, sixth]) == [
        "the route to 10.9.0.0/16 via 10.1.1.2 on br0 with source address 10.1.1.5 in table 77 is missing",
        "the default route (IPv6) via fe80::1 on br0 is new",
        "the default route via 10.1.1.1 on br0 is preferred differently to other routes to the same target",
    ]


def test_zones() -> None:
    assert difference_text.compare_zones({"eth0": "trusted", "br0": None}, {"eth0": None, "br0": "drop"}) == [
        "br0 is in firewalld zone drop, not in no firewalld zone",
        "eth0 is in no firewalld zone, not in firewalld zone trusted",
    ]
    assert difference_text.compare_zones(None, {}) == ["firewalld is running, unlike before"]
    assert difference_text.compare_zones({}, None) == ["firewalld is not running, unlike before"]


def test_profiles() -> None:
    def profile(uuid: str, **fields: Any) -> dict[str, Any]:
        return {"uuid": uuid, "id": f"p{uuid}", "device": "eth0", "file": "/etc/p", **fields}

    was = [profile("1"), profile("2"), profile("4")]
    now = [profile("1", device=None), profile("3"), profile("4", file="/etc/q", id="q")]
    lines = difference_text.compare_profiles(was, now)
    assert lines == [
        "connection profile p1 (1) is inactive, not active on eth0",
        "connection profile p2 (2) is missing",
        "connection profile p3 (3) exists, which did not exist before",
        "connection profile p4 (4) has the name q, not p4",
        "connection profile p4 (4) has the file /etc/q, not /etc/p",
    ]
    assert not any(is_runtime_only(line) for line in lines)


def test_name_servers() -> None:
    was = {"eth0": {"nameservers": ["10.0.0.53"], "domains": ["a.org"]}}
    assert difference_text.compare_name_servers(was, {"eth0": {"nameservers": ["10.0.0.53"]}}) == [
        "the search domains of eth0 are none, not a.org"
    ]
    assert difference_text.compare_global_dns({"searches": {"data": ["a"]}}, {}) == [
        "the global search domains or DNS options of NetworkManager are not as before"
    ]


def test_a_port_is_described_by_attribute_and_vlan() -> None:
    was = {
        **{"of": "br0", "settings": {"isolated": True, "new": 1}},
        **{"vlans": [[100, 100, ["Egress Untagged", "PVID"]], [200, 210, []]], "fdb": [["52:54::1", 1, False]]},
    }
    now = {"of": "br0", "settings": {"isolated": False, "new": 2}, "vlans": [[1, 1, ["PVID"]], [200, 209, []]]}
    assert difference_text.compare_port("vnet0", was, now) == [
        "isolated of the port vnet0 is off, not on",
        "the port vnet0 is not in VLAN 100 (Egress Untagged, PVID)",
        "the port vnet0 is not in VLAN 210 (tagged)",
        "the port vnet0 is in VLAN 1 (PVID), in which it was not",
        "the port vnet0 has no static FDB entry for 52:54::1",
    ]
    assert difference_text.compare_unknown_attributes("vnet0", was, now) == [
        "new of the port vnet0 is 2, not 1; kvmnet does not know this attribute"
    ]
    assert difference_text.compare_port("vnet0", {"settings": {"isolated": False}}, now) == [], "an earlier snapshot"
    assert difference_text.compare_port("br0", {"vlans": [[7, 7, []]]}, {"vlans": []}) == [
        "the bridge br0 is not in VLAN 7 (tagged)"
    ]


def test_a_file_and_an_unreadable_host_are_not_runtime_only() -> None:
    assert not is_runtime_only("file /etc/x: no longer exists")
    assert not is_runtime_only("the host cannot be read: ip: not found")


def test_options_of_any_link_that_the_snapshot_does_not_have_are_not_compared() -> None:
    """An upgrade of the operating system shows more of them. A primary port is shown only where there is one."""
    was: dict[str, Any] = {
        "bond0": {"name": "bond0", "kind": "bond", "options": {"mode": "active-backup", "miimon": 100}}
    }
    now: dict[str, Any] = {
        "bond0": {**was["bond0"], "options": {"mode": "active-backup", "miimon": 100, "lacp_active": "on"}}
    }
    assert difference_text.compare_links(was, now) == []
    now["bond0"]["options"].update(miimon=0, primary="eth1")
    assert difference_text.compare_links(was, now) == [
        "the option miimon of bond0 is 0, not 100",
        "the option primary of bond0 is eth1, although it was not set",
    ]
