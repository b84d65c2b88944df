"""Tests of kvmnet/from_host/describe.py: what of a live host becomes a definition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kvmnet.core.live.live_host import Link
from kvmnet.core.live.running_guests import Running
from kvmnet.from_host.describe import describe_host
from kvmnet.importers._draft import write_draft
from tests.unit.from_host.samples import GUESTS, br0_host, host_of, nic

MAC = "00:14:4f:80:de:00"


def test_a_bridge_keeps_its_name_and_its_guests(tmp_path: Path) -> None:
    draft, items = describe_host(br0_host(tmp_path), GUESTS)
    text = write_draft(draft)
    assert f'eth0: {{network: lan, mac: "{MAC}", addresses: [10.1.255.254], bridge: br0}}' in text
    assert 'web1: {host: kvm1, nics: [{network: lan, mac: "52:54:00:00:00:01"}]}' in text
    assert 'db1: {host: kvm1, nics: [{network: lan, mac: "52:54:00:00:00:02"}]}' in text
    assert [(i.severity, i.message) for i in items] == [
        ("note", "guest nat1: its NIC 52:54:00:00:00:03 on the libvirt network default is left out"),
        ("note", "the firewalld zone work of br0 stays in its connection profile"),
    ]


def test_vlan_filtering_is_read_from_the_kernel(tmp_path: Path) -> None:
    live = br0_host(tmp_path)
    links = {**live.links, "br0": replace(live.links["br0"], options={"vlan_filtering": 1})}
    draft, _ = describe_host(replace(live, links=links), Running())
    assert draft.hosts["kvm1"].interfaces["eth0"].values["bridge"] == {"name": "br0", "vlan_filtering": True}


def test_a_nic_that_is_not_configured_is_not_managed() -> None:
    live = host_of(
        nic("eth0", "10.1.0.7/16"),
        nic("eth1", state="down"),
        links={"eth0": Link("eth0", MAC, None), "eth1": Link("eth1", "00:14:4f:80:de:01", None)},
    )
    draft, items = describe_host(live, Running())
    assert draft.hosts["kvm7"].interfaces["eth1"].values == {"mac": "00:14:4f:80:de:01", "manage": False}
    assert "NIC eth1 is not configured by NetworkManager" in items[0].message


def test_what_another_program_created_is_left_out_and_noted() -> None:
    docker = {"name": "docker0", "type": "linux-bridge", "state": "up", "bridge": {"port": []}}
    live = host_of(
        nic("eth0", "10.1.0.7/16"),
        docker,
        {"name": "veth1", "type": "veth", "state": "up"},
        links={
            "eth0": Link("eth0", MAC, None),
            "docker0": Link("docker0", None, "bridge"),
            "veth1": Link("veth1", None, "veth"),
        },
        unsaved=("docker0", "veth1"),
    )
    draft, items = describe_host(live, Running())
    assert list(draft.hosts["kvm7"].interfaces) == ["eth0"] and "kvm" not in draft.hosts["kvm7"].settings
    assert [i.message.partition(" (")[0] for i in items] == ["docker0"]


def test_rules_and_settings_without_a_key_stay_in_the_connection_profile() -> None:
    rule = {"ip-from": "192.168.77.0/24", "priority": 100, "route-table": 77}
    routes = [
        {"destination": "0.0.0.0/0", "next-hop-address": "10.1.0.1", "next-hop-interface": "eth0", "metric": 50},
        {"destination": "0.0.0.0/0", "next-hop-address": "10.1.0.9", "next-hop-interface": "eth0", "table-id": 77},
        {"destination": "10.9.0.0/16", "next-hop-address": "192.168.77.9", "next-hop-interface": "eth0"},
    ]
    live = host_of(
        nic("eth0", "10.1.0.7/16", "192.168.77.1/24"),
        links={"eth0": Link("eth0", MAC, None)},
        routes={"config": routes},
        route_rules={"config": [rule]},
    )
    draft, items = describe_host(live, Running())
    assert draft.networks["lan"].values == {
        "subnets": ["10.1.0.0/16", "192.168.77.0/24"],
        "gateways": ["10.1.0.1"],
        "metric": 50,
    }
    assert [part.values for part in draft.hosts["kvm7"].settings["routes"]] == [
        {"to": "0.0.0.0/0", "via": "10.1.0.9", "table": 77},
        {"to": "10.9.0.0/16", "via": "192.168.77.9"},
    ]
    expected = "the routing rule ip-from 192.168.77.0/24, priority 100, route-table 77 stays in its connection profile"
    assert [i.message for i in items] == [expected]


def test_missing_guests_are_an_error(tmp_path: Path) -> None:
    _, items = describe_host(br0_host(tmp_path), Running(problem="no answer within 8 s"))
    assert ("error", "the guests may be incomplete: no answer within 8 s") in [(i.severity, i.message) for i in items]
