"""The whole host is compared: what depends on the transaction's interfaces, and what other tools changed meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import comparison, restore, snapshot, whole_host
from kvmnet.system import links, networkmanager, programs
from kvmnet.system.errors import HostError
from tests.unit.rescue.samples import Host, simulate_host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return simulate_host(tmp_path, monkeypatch)


@pytest.fixture
def before(host: Host) -> dict[str, Any]:
    """The snapshot, as the rescue program reads it."""
    taken = snapshot.take_snapshot(["br0", "eth0"], ["02::0"], ["u-0"], [])
    stored: dict[str, Any] = json.loads(json.dumps(taken))
    return stored


def test_an_unchanged_host_has_no_difference_and_no_note(before: dict[str, Any]) -> None:
    assert (comparison.find_differences(before), whole_host.find_notes(before)) == ([], [])
    assert set(before["guests"]) == {"vnet0"}


@pytest.mark.guarantee("G18")
def test_what_other_tools_do_meanwhile_is_only_noted(host: Host, before: dict[str, Any]) -> None:
    """Guests and containers that start and stop are not even noted."""
    host.add("vnet9", 50, "tun", master="br0")
    host.add("veth9", 51, "veth")
    del host.rows["macvtap0"]
    host.addresses["eth7"] = ["10.7.0.2"]
    host.rows["eth7"]["mtu"] = 9000
    host.add("wg0", 60, "wireguard")
    host.rules["4"].append("200:\tfrom all fwmark 0x1 lookup 51820")
    host.write_keyfile("late", "[connection]\nuuid=u-late\ninterface-name=dummy5\n")
    host.write_keyfile("eth7", "[connection]\nuuid=u-7\ninterface-name=eth7\nzone=drop\n")
    assert comparison.find_differences(before) == []
    folder = host.keyfiles
    assert whole_host.find_notes(before) == [
        "the MTU of eth7 is 9000, not 1500",
        "interface wg0 exists, which did not exist before",
        "the address 10.7.0.1/24 of eth7 is missing",
        "eth7 has the address 10.7.0.2/24, which it did not have",
        "the routing rule 200: from all fwmark 0x1 lookup 51820 is new",
        f"file {folder}/eth7.nmconnection: has changed",
        f"file {folder}/late.nmconnection: is new",
    ]


def test_the_list_of_notes_is_limited(host: Host, before: dict[str, Any]) -> None:
    for number in range(30):
        host.add(f"wg{number}", 100 + number, "wireguard")
    assert whole_host.find_notes(before)[-1] == "and 10 more"


@pytest.mark.guarantee("G18")
def test_an_interface_that_depends_on_the_transactions_is_compared(host: Host, before: dict[str, Any]) -> None:
    host.addresses["br0.50"] = []
    assert comparison.find_differences(before) == ["the address 10.50.0.1/24 of br0.50 is missing"]
    del host.rows["br0.50"]
    assert comparison.find_differences(before) == [], "its tool has removed it"
    host.rows["br0"]["ifindex"] = 99
    assert comparison.find_differences(before)[0] == "interface br0.50 is missing", "removed with its base interface"


def test_after_a_boot_interfaces_of_other_tools_are_not_expected(host: Host, before: dict[str, Any]) -> None:
    """Those that were made by hand are gone, and those that came back are new ones."""
    del host.rows["br0.50"]
    host.rows["br0"]["ifindex"] = 2
    assert comparison.find_differences(snapshot.adapt_snapshot_to_boot(before, set())) == []


def test_an_address_from_dhcp_of_a_dependent_interface_may_change(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.dynamic = {"10.50.0.1"}
    before = snapshot.take_snapshot(["br0", "eth0"], [], [], [])
    host.addresses["br0.50"] = ["10.50.0.2"]
    assert comparison.find_differences(before) == []


def test_a_removal_may_rename_what_a_dependent_interface_is_based_on(host: Host, before: dict[str, Any]) -> None:
    host.rows["br1"] = {**host.rows.pop("br0"), "ifname": "br1"}
    host.rows["br0.50"]["link"] = "br1"
    assert whole_host.compare_dependents(before, links.read_kernel()) == []


@pytest.mark.guarantee("G74")
def test_ports_and_vlans_of_the_transactions_own_interfaces_are_restored(host: Host) -> None:
    """NetworkManager sets some of them, but nobody else those that were set by hand."""
    host.port_settings["eth0"]["hairpin"] = True
    host.vlans["eth0"], host.vlans["br0"] = {1: [], 100: []}, {1: ["PVID"], 100: []}
    before = snapshot.take_snapshot(["br0", "eth0"], [], [], [])
    host.attach("eth0", "br0", {})
    host.vlans["br0"] = {1: ["PVID", "Egress Untagged"]}
    assert comparison.find_differences(before) == [
        "the bridge br0 is not in VLAN 1 (PVID)",
        "the bridge br0 is not in VLAN 100 (tagged)",
        "hairpin of the port eth0 is off, not on",
        "the port eth0 is not in VLAN 1 (tagged)",
        "the port eth0 is not in VLAN 100 (tagged)",
    ]
    assert sorted(restore.restore_own_ports(before)) == ["br0", "eth0"]
    assert comparison.find_differences(before) == []


def test_rules_of_networkmanager_and_of_own_interfaces_are_restored(host: Host, before: dict[str, Any]) -> None:
    host.rules["4"] = ["0:\tfrom all lookup local", "300:\tfrom all iif br0 lookup 9", "400:\tfrom all lookup 8"]
    assert comparison.find_differences(before) == [
        "the routing rule 100: from 10.1.1.5 lookup 77 proto static is missing",
        "the routing rule 300: from all iif br0 lookup 9 is new",
    ]
    restore.restore_rules(before)
    assert comparison.find_differences(before) == []
    assert host.commands == [
        "ip -4 rule add priority 100 from 10.1.1.5 lookup 77 proto static",
        "ip -4 rule del priority 300 from all iif br0 lookup 9",
    ]


@pytest.mark.guarantee("G18")
def test_a_rule_of_another_tool_is_noted_although_it_has_networkmanagers_mark(host: Host) -> None:
    """VPNs and systemd-networkd mark their rules in the same way. What belongs to an interface of the change has its
    address, its network or its routing table."""
    host.routes += [{"dst": "10.1.1.0/24", "dev": "br0"}, {"dst": "default", "dev": "br0", "table": "77"}]
    host.rules["4"].append("210:\tfrom all lookup 52 proto static")
    before = json.loads(json.dumps(snapshot.take_snapshot(["br0", "eth0"], ["02::0"], ["u-0"], [])))
    foreign = [
        "200: not from all fwmark 0x1 lookup 51820 proto static",
        "205: from 10.7.0.1 lookup main proto static",
    ]
    own = ["300: from 10.1.1.0/24 lookup 8 proto static", "310: from all fwmark 0x2 lookup 77 proto static"]
    host.rules["4"] = ["0:\tfrom all lookup local", "100:\tfrom 10.1.1.5 lookup 77 proto static", *foreign, *own]
    assert comparison.find_differences(before) == [f"the routing rule {rule} is new" for rule in own]
    assert whole_host.find_traces(before)["rules"] == {"missing": [], "new": [("4", rule) for rule in own]}
    assert whole_host.find_notes(before) == [
        "the routing rule 210: from all lookup 52 proto static is missing",
        *(f"the routing rule {rule} is new" for rule in foreign),
    ]
    host.rules["4"] = [rule.replace(": ", ":\t") for rule in host.rules["4"]]
    restore.restore_rules(before)
    assert [command.split()[5] for command in host.commands] == ["300", "310"], "no rule of another tool is touched"
    assert comparison.find_differences(before) == []


def test_the_rules_of_the_definition_are_the_transactions_own(host: Host, before: dict[str, Any]) -> None:
    """Also with a table and addresses that no interface had before."""
    stated = [(1000, "198.51.100.7/32", None), (30000, None, "2001:db8::/32"), (1001, "192.0.2.0/24", None)]
    before["rules"] = [{"priority": priority, "from": source, "to": to} for priority, source, to in stated]
    own = "1000: from 198.51.100.7 lookup 200 proto static"
    others = ["1000: from 198.51.100.8 lookup 52 proto static", "1001: from 192.0.2.0/24 lookup 52"]
    host.rules["4"] += [rule.replace(": ", ":\t") for rule in (own, *others)]
    host.rules["6"].append("30000:\tfrom all to 2001:db8::/32 fwmark 0x1 blackhole proto static")
    new = [own, "30000: from all to 2001:db8::/32 fwmark 0x1 blackhole proto static"]
    assert comparison.find_differences(before) == [f"the routing rule {rule} is new" for rule in new]
    assert whole_host.find_traces(before)["rules"]["new"] == [("4", new[0]), ("6", new[1])]
    assert whole_host.find_notes(before) == [f"the routing rule {rule} is new" for rule in others]
    restore.restore_rules(before)
    assert comparison.find_differences(before) == []


def test_a_new_keyfile_for_an_own_interface_is_moved_aside(host: Host, before: dict[str, Any], tmp_path: Path) -> None:
    """nmstate may create a second profile, with a UUID of its own."""
    host.write_keyfile("second", "[connection]\nuuid=U-Second\ninterface-name=eth0\n")
    host.write_keyfile("by-mac", "[connection]\nuuid=u-mac\n[ethernet]\nmac-address=02::0\n")
    files = [f"{host.keyfiles}/{name}.nmconnection" for name in ("by-mac", "second")]
    assert comparison.find_differences(before) == [f"file {file}: did not exist before" for file in files]
    assert whole_host.find_traces(before) == {
        "keyfiles": dict(zip(files, ["u-mac", "u-second"])),
        "rules": {"missing": [], "new": []},
    }
    assert whole_host.move_new_keyfiles_aside(tmp_path / "open", before) == files
    assert (tmp_path / "open" / "aside" / files[0].lstrip("/")).exists()
    assert comparison.find_differences(before) == []


def test_a_snapshot_of_an_earlier_kvmnet_has_no_such_part(host: Host, before: dict[str, Any], tmp_path: Path) -> None:
    del before["host"]
    host.write_keyfile("second", "[connection]\nuuid=u-second\ninterface-name=eth0\n")
    del host.rows["br0.50"]
    assert (comparison.find_differences(before), whole_host.find_notes(before)) == ([], [])
    assert (restore.restore_rules(before), restore.restore_own_ports(before)) == ([], [])
    assert whole_host.move_new_keyfiles_aside(tmp_path, before) == []
    assert whole_host.find_traces(before) == {}


def test_the_timers_of_a_spanning_tree_are_not_compared_and_not_restored(host: Host) -> None:
    """They are the root bridge's, and a topology change sets the ageing time for a while."""
    options = host.rows["br0"]["linkinfo"]["info_data"]
    timers = {"forward_delay": 1500, "hello_time": 200, "max_age": 2000, "ageing_time": 30000}
    options.update({"stp_state": 1, "priority": 32768, **timers})
    before = json.loads(json.dumps(snapshot.take_snapshot(["br0", "eth0"], ["02::0"], ["u-0"], [])))
    options.update(forward_delay=400, hello_time=100, max_age=600, ageing_time=3500)
    assert comparison.find_differences(before) == []
    assert restore.has_device_settings(before, snapshot.read_current_state(before), "br0")
    restore.restore_link_settings(before)
    assert host.commands == []
    options["stp_state"] = 0
    assert comparison.find_differences(before) == ["the option stp_state of br0 is 0, not 1"]
    before["links"]["br0"]["options"]["stp_state"] = 0
    assert len(comparison.find_differences(before)) == len(timers), "without spanning tree they are settings"


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("was_here", [True, False])
def test_the_route_of_a_virtual_ipv6_address_comes_and_goes(
    host: Host, monkeypatch: pytest.MonkeyPatch, was_here: bool
) -> None:
    """keepalived's address is in the network of an own one: the kernel adds a second route to that network."""
    routes = [{"dst": "fd00::/64", "dev": "br0", "metric": 425}, {"dst": "fd00::/64", "dev": "eth0", "metric": 430}]
    virtual, second = "fd00::c8", {"dst": "fd00::/64", "dev": "br0", "metric": 256}
    shown = {True: (["fd00::1", virtual], [second, *routes]), False: (["fd00::1"], routes)}

    def run_json(*argv: str) -> Any:
        if argv[:3] == ("ip", "-j", "address"):
            infos = [{"local": a, "prefixlen": 64} for a in shown[is_here][0]]
            return [{"ifname": "br0", "addr_info": infos}]
        if "route" in argv:
            return shown[is_here][1] if "-6" in argv else []
        return host.run_json(*argv)

    monkeypatch.setattr(programs, "run_json", run_json)
    is_here = was_here
    before = json.loads(json.dumps(snapshot.take_snapshot(["br0", "eth0"], [], [], [], virtual=[virtual])))
    is_here = not was_here
    assert comparison.find_differences(before) == []
    assert restore.has_device_settings(before, snapshot.read_current_state(before), "br0")
    shown[is_here] = (["fd00::1"], routes[:1])
    assert comparison.find_differences(before) == ["the route to fd00::/64 on eth0 is missing"]


def test_an_attribute_that_kvmnet_does_not_know_is_noted(host: Host) -> None:
    host.port_settings["vnet0"]["new_switch"] = True
    before = snapshot.take_snapshot(["br0", "eth0"], [], [], [])
    host.port_settings["vnet0"]["new_switch"] = False
    assert comparison.find_differences(before) == []
    assert whole_host.find_notes(before) == [
        "new_switch of the port vnet0 is off, not on; kvmnet does not know this attribute"
    ]


def test_a_foreign_port_with_a_profile_on_disk_is_no_guests(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a NIC that leaves the definition stays a port is decided by its profile."""
    host.add("eth8", 31, "dummy", master="br0")
    host.add("eth9", 32, "dummy", master="br0")
    profile = {"uuid": "u-8", "device": "eth8", "file": f"{host.keyfiles}/eth8.nmconnection", "id": "eth8"}
    monkeypatch.setattr(networkmanager, "list_profiles", lambda: [profile])
    before = snapshot.take_snapshot(["br0", "eth0"], [], [], [])
    assert {name: port["kind"] for name, port in before["guests"].items()} == {"vnet0": "tap", "eth9": "port"}
    host.detach("eth9")
    host.detach("eth8")
    assert comparison.find_differences(before) == ["eth9 is not a port of br0", "eth8 is not a port of br0"]


def test_the_ports_of_a_replaced_bridge_move(host: Host) -> None:
    host.add("br1", 70, "bridge")
    before = {"guests": links.read_guest_ports()}
    port = before["guests"]["vnet0"]
    moving = {"guests": {"vnet0": {**port, "of": "br1", "from": "br0"}}}
    assert comparison.find_guest_differences(moving) == ["vnet0 is not a port of br1"]
    assert restore.restore_guest_ports(moving) == ["vnet0"]
    assert host.rows["vnet0"]["master"] == "br1" and host.port_settings["vnet0"]["isolated"]
    assert comparison.find_guest_differences(moving) == []


def test_rules_that_cannot_be_set_do_not_stop_the_rest(host: Host, before: dict[str, Any]) -> None:
    host.rules["4"] = host.rules["6"] = []

    def refuse(*argv: str, **words: Any) -> str:
        if "add" in argv:
            raise HostError("RTNETLINK answers: File exists")
        return host.run(*argv, **words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "run", refuse)
        assert restore.restore_rules(before) == ["100: from 10.1.1.5 lookup 77 proto static"]


@pytest.mark.guarantee("G18")
def test_a_host_that_was_booted_without_ipv6_is_compared(host: Host, before: dict[str, Any], tmp_path: Path) -> None:
    """With `ipv6.disable=1` the kernel refuses to list the rules of IPv6."""
    (tmp_path / "sysctl" / "ipv6").rmdir()
    taken = snapshot.take_snapshot(["br0", "eth0"], ["02::0"], ["u-0"], [])
    assert taken["host"]["rules"]["6"] == []
    assert (comparison.find_differences(taken), whole_host.find_notes(taken)) == ([], [])
    (tmp_path / "sysctl" / "ipv6").mkdir()
    del before["host"]["rules"]["6"]
    assert whole_host.find_notes(before) == ["the routing rule 0: from all lookup local is new"]
