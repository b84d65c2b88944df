"""At the end of a removal the host is compared with the one before kvmnet, and with the one just before the removal."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.rescue import restore, snapshot
from kvmnet.system import files, firewalld, links
from kvmnet.system.journal import Journal
from kvmnet.transaction import removal_actions
from kvmnet.transaction.action_context import StepFailed
from kvmnet.transaction.removal_check import RemovalCheck
from tests.unit.rescue.samples import Host, simulate_host

PROFILE = """[connection]
uuid=u-br0
interface-name=br0
zone=trusted
[ipv4]
address1=10.1.1.5/24,10.1.1.1
route1=10.9.0.0/16,10.1.1.2
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host after a removal: br0 has what its original profile states."""
    return simulate_host(tmp_path, monkeypatch)


@pytest.fixture
def check(host: Host) -> RemovalCheck:
    """The comparison at the end of a removal that has restored everything."""
    host.write_keyfile("br0", PROFILE)
    route = {"family": "4", "dev": "br0", "table": "main", "source": None, "rank": 0}
    keyfile = f"{host.keyfiles}/br0.nmconnection"
    original = {
        "files": [files.record_file(keyfile)],
        "links": {"br0": links.read_links(links.read_ip_links())["br0"]},
        "names": ["br0"],
        "addresses": {"br0": ["10.1.1.5/24", "10.1.1.100/32"]},
        "routes": [{**route, "to": "default", "via": "10.1.1.1"}, {**route, "to": "10.9.0.0/16", "via": "10.1.1.2"},
                   {**route, "to": "10.8.0.0/16", "via": "10.1.1.3"}, {**route, "to": "10.1.1.0/24", "via": None}],
        "zones": {"br0": "trusted"},
        "uuids": ["u-br0"],
        "profiles": [{"uuid": "u-br0", "device": "br0"}],
        "host": {"addresses": {"br0": ["10.1.1.5/24", "10.1.1.100/32"]}, "ports": {}},
    }  # fmt: skip
    before: dict[str, Any] = json.loads(json.dumps(snapshot.take_snapshot(["br0", "eth0"], [], ["u-br0"], [])))
    host.routes = [
        {"dst": "default", "gateway": "10.1.1.1", "dev": "br0", "metric": 425},
        {"dst": "10.9.0.0/16", "gateway": "10.1.1.2", "dev": "br0"},
    ]
    step = {"gone": ["u-kvmnet"], "removed": ["br-eth0"], "rules": {"missing": [], "new": []}}
    return RemovalCheck(original, before, {"guests": before["guests"]}, step)


def test_a_restored_host_has_no_difference(host: Host, check: RemovalCheck) -> None:
    """What no profile states is not required but listed: an address that keepalived or a person had added."""
    assert check.find_differences() == []
    path = f"{host.keyfiles}/br0.nmconnection"
    del check.before["host"]["keyfiles"][path]
    check.before["files"] = []
    assert check.find_differences() == [], "a keyfile that the removal has restored is new"
    assert check.find_unrestored() == [
        "br0 had the address 10.1.1.100/32 before kvmnet, which no connection profile states"
    ]
    check.before["virtual"] = ["10.1.1.100"]
    assert check.find_unrestored() == [], "a service sets it where it belongs"


@pytest.mark.guarantee("G51")
def test_what_kvmnet_changed_must_be_as_its_original_profile_states(
    host: Host, check: RemovalCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.addresses["br0"] = ["10.1.1.6"]
    host.routes.pop()
    host.rows["br0"]["mtu"] = 9000
    host.add("br-eth0", 99, "bridge")
    host.write_keyfile("br-eth0", "[connection]\nuuid=u-kvmnet\ninterface-name=br-eth0\n")
    host.write_keyfile("second", "[connection]\nuuid=u-second\ninterface-name=eth0\n")
    host.write_keyfile("br0", PROFILE.replace("trusted", "drop"))
    monkeypatch.setattr(firewalld, "is_running", lambda: True)
    monkeypatch.setattr(firewalld, "read_zones", lambda: {"br0": "drop"})
    folder = host.keyfiles
    assert check.find_differences() == [
        f"file {folder}/br0.nmconnection: differs in data",
        f"file {folder}/br-eth0.nmconnection: kvmnet created it, and it still exists",
        f"file {folder}/second.nmconnection: kvmnet created it, and it still exists",
        "the MTU of br0 is 9000, not 1500",
        "interface br-eth0 still exists",
        "the address 10.1.1.5/24 of br0 is missing",
        "the route to 10.9.0.0/16 via 10.1.1.2 on br0 is missing",
        "br0 is in firewalld zone drop, not in firewalld zone trusted",
    ]


def test_routing_rules_that_kvmnet_changed_must_be_as_before(host: Host, check: RemovalCheck) -> None:
    rules = {
        "missing": [
            ["4", "7: to 10.9.0.0/16 lookup 5 proto static"],
            ["4", "8: from all lookup 6 proto static"],
        ],
        "new": [["4", "100: from 10.1.1.5 lookup 77 proto static"], ["4", "200: from all lookup 51820 proto static"]],
    }
    check.step["rules"] = rules
    host.rules["4"].append("200:\tfrom all lookup 51820 proto static")
    assert check.find_differences() == [
        "the routing rule 7: to 10.9.0.0/16 lookup 5 proto static is missing",
        "the routing rule 100: from 10.1.1.5 lookup 77 proto static is left",
    ]
    assert check.find_other_rules() == [
        "the routing rule 8: from all lookup 6 proto static is missing",
        "the routing rule 200: from all lookup 51820 proto static is left",
    ], "an earlier kvmnet recorded rules of VPNs"


@pytest.mark.guarantee("G74")
def test_taps_must_be_ports_of_their_bridge_with_every_attribute(host: Host, check: RemovalCheck) -> None:
    """Not those whose bridge is removed; their loss was allowed."""
    host.vlans["vnet0"] = {7: []}
    assert check.find_differences() == [
        "the port vnet0 is not in VLAN 1 (Egress Untagged, PVID)",
        "the port vnet0 is in VLAN 7 (tagged), in which it was not",
    ]
    host.detach("vnet0")
    assert check.find_differences() == ["vnet0 is not a port of br0"]
    check.guests["guests"]["vnet0"]["of"] = "br-eth0"
    assert check.find_differences() == []


def test_everything_else_must_be_as_just_before_the_removal(host: Host, check: RemovalCheck) -> None:
    host.addresses["br0.50"] = []
    host.addresses["eth7"] = []
    assert check.find_differences() == ["the address 10.50.0.1/24 of br0.50 is missing"]


@pytest.mark.guarantee("G74")
@pytest.mark.parametrize("has_nic", [False, True])
def test_what_used_a_removed_interface_is_gone_or_no_port_any_more(
    host: Host, check: RemovalCheck, has_nic: bool
) -> None:
    """`--allow KVN525` permits it. The profile rocks gives the NIC the name that the bridge had."""
    host.add("eth0.7", 40, "vlan", link="eth0")
    host.add("br-eth0", 41, "bridge")
    host.add("br-eth0.9", 42, "vlan", link="br-eth0")
    host.add("br-eth0.9.1", 43, "vlan", link="br-eth0.9")
    host.add("vnet1", 44, "tun", master="br-eth0")
    host.attach("eth0.7", "br-eth0", {})
    check.before.update(json.loads(json.dumps(snapshot.take_snapshot(["br0", "br-eth0", "eth0"], [], ["u-br0"], []))))
    check.guests["guests"] = {"vnet1": check.before["guests"]["vnet1"]}
    del check.before["guests"]["eth0.7"]
    for name in ("vnet1", "eth0.7"):
        host.detach(name)
    for name in ("br-eth0", "br-eth0.9", "br-eth0.9.1"):
        del host.rows[name]
    if has_nic:
        host.add("br-eth0", 45, "")
        del host.rows["br-eth0"]["linkinfo"]["info_kind"]
    assert check.find_differences() == []
    host.addresses["br0.50"] = []
    del host.rows["eth0.7"]
    host.rows["eth0"]["ifindex"] = 46
    assert check.find_differences() == [
        "interface eth0.7 is missing",
        "the address 10.50.0.1/24 of br0.50 is missing",
    ]


@pytest.mark.guarantee("G74")
def test_a_lower_mtu_lowers_that_of_other_tools_interfaces(host: Host, check: RemovalCheck, tmp_path: Path) -> None:
    """The kernel does not let a VLAN have a greater MTU than the bridge below it. One that fits is restored."""
    host.add("br0.60", 61, "vlan", link="br0")
    host.add("br0.60.1", 62, "vlan", link="br0.60")
    host.add("br0.70", 63, "vlan", link="br0")
    mtus = {"br0": 9000, "br0.60": 9000, "br0.60.1": 8000, "br0.70": 1400}
    for name, mtu in mtus.items():
        host.rows[name]["mtu"] = mtu
    check.before.update(json.loads(json.dumps(snapshot.take_snapshot(["br0", "eth0"], [], ["u-br0"], []))))
    for name, mtu in mtus.items():
        host.rows[name]["mtu"] = min(mtu, 1500)
    assert check.find_differences() == []
    notes = [
        f"the MTU of {name} is 1500, not {mtus[name]}: the interface below it has no greater one"
        for name in ("br0.60", "br0.60.1")
    ]
    assert check.find_lowered_mtus() == notes
    host.rows["br0.70"]["mtu"] = 1300
    assert check.find_differences() == ["the MTU of br0.70 is 1300, not 1400"]
    run_step(check, tmp_path)
    assert host.rows["br0.70"]["mtu"] == 1400
    assert Journal(tmp_path).events()[0]["unrestored"][-2:] == notes


def run_step(check: RemovalCheck, folder: Path) -> str:
    """Run the step of the comparison in the folder of a transaction."""
    (folder / "original").mkdir()
    for name, content in (("original/snapshot.json", check.original), ("snapshot.json", check.before)):
        (folder / name).write_text(json.dumps(content))
    context: Any = SimpleNamespace(folder=folder)
    return removal_actions.compare_with_original(context, check.step)


def test_the_step_attaches_taps_and_notes_what_it_cannot_restore(
    host: Host, check: RemovalCheck, tmp_path: Path
) -> None:
    host.vlans["vnet0"] = {100: ["PVID", "Egress Untagged"]}
    check.before["guests"] = links.read_guest_ports()
    del check.before["guests"]["macvtap0"], check.before["guests"]["eth0"]
    host.detach("vnet0")
    host.addresses["eth7"] = ["10.7.0.2"]
    assert run_step(check, tmp_path) == "1 interfaces, 1 files, 1 guests' ports as before"
    assert host.vlans["vnet0"] == {100: ["PVID", "Egress Untagged"]}
    (event,) = Journal(tmp_path).events()
    assert event["unrestored"] == check.find_unrestored()
    assert "the address 10.7.0.1/24 of eth7 is missing" in event["lines"]


def test_a_difference_fails_the_removal(
    host: Host, check: RemovalCheck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "SETTLE_SECONDS", 0)
    host.write_keyfile("br-eth0", "[connection]\nuuid=u-kvmnet\n")
    with pytest.raises(StepFailed, match=r"br-eth0.nmconnection: kvmnet created it, and it still exists$"):
        run_step(check, tmp_path)


def test_the_original_of_an_earlier_kvmnet_is_compared(host: Host, check: RemovalCheck) -> None:
    """Its snapshots have no whole host."""
    for key in ("host", "routes", "names"):
        del check.original[key]
    del check.before["host"]
    assert check.find_lowered_mtus() == []
    host.routes.clear()
    assert (check.find_differences(), check.find_unrestored()) == ([], [])


def test_the_loopback_interface_must_not_have_an_address_of_kvmnets(host: Host, check: RemovalCheck) -> None:
    host.addresses["lo"] = ["127.0.0.1", "10.9.9.1", "10.9.9.2"]
    check.step["released"] = ["10.9.9.1/24", "10.9.9.3/24"]
    assert check.find_differences() == ["lo still has the address 10.9.9.1/24"]
