"""What a rollback restores besides the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import comparison, restore, snapshot
from kvmnet.system import files, firewalld, links, networkmanager, programs
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from tests.unit.rescue.samples import (
    GLOBAL,
    BondedNics,
    GlobalDns,
    make_snapshot,
    simulate_host,
)
from tests.unit.system.samples import GuestPorts


def test_a_nic_whose_name_is_in_use_does_not_stop_the_other_nics(monkeypatch: pytest.MonkeyPatch) -> None:
    current = {"m1": "eth0", "m2": "eth1", "new": "peth0"}

    def rename(mac: str, to: str) -> None:
        if to in current.values():
            raise HostError("taken")
        current[mac] = to

    monkeypatch.setattr(links, "find_nic", current.get)
    monkeypatch.setattr(links, "rename_nic", rename)
    assert restore.restore_nic_names({"links": {"peth0": {"mac": "m1"}, "peth1": {"mac": "m2"}}}) == ["peth1"]
    assert current == {"m1": "eth0", "m2": "peth1", "new": "peth0"}, "no temporary name is left"


@pytest.mark.guarantee("G13")
def test_configured_global_name_servers_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NetworkManager reports those of its configuration files by the same property, which cannot be set then."""
    manager = GlobalDns(tmp_path, monkeypatch, GLOBAL)
    for text in ("[.intern.other]\nglobal-dns=1\n", ""):
        Path(networkmanager.INTERN_FILE).write_text(text)
        assert networkmanager.read_global_dns() == {}
    Path(networkmanager.INTERN_FILE).unlink()
    assert restore.restore_global_dns({"global dns": {}}) == "unchanged"
    assert manager.set == [""]


def test_only_zones_that_differ_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = {"eth0": "trusted", "br0": "trusted", "eth1": "public", "vnet0": "drop"}
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(firewalld, "is_running", lambda: True)
    monkeypatch.setattr(firewalld, "read_zones", lambda: bound)
    monkeypatch.setattr(firewalld, "call", lambda *argv: calls.append(argv) or "")
    restore.restore_zones({"zones": {"eth0": "trusted", "br0": None, "eth1": "internal", "eth2": "work", "eth3": None}})
    assert calls == [
        ("removeInterface", "trusted", "br0"),
        ("changeZoneOfInterface", "internal", "eth1"),
        ("changeZoneOfInterface", "work", "eth2"),
    ]
    restore.restore_zones({"zones": None})
    assert len(calls) == 3


@pytest.mark.guarantee("G35")
@pytest.mark.parametrize("busy", [False, True])
def test_the_mac_of_a_bond_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    """It is announced to the neighbours. Other settings of the kernel stay as they are."""
    was, now = BondedNics("02::1", busy), BondedNics("06::99", busy)
    settings = [tmp_path / "ipv4/conf/bond0/arp_notify", tmp_path / "ipv6/conf/bond0/ndisc_notify"]
    for path in settings:
        files.write_file(str(path), b"0\n")
    announced: list[list[str]] = []

    def run(*argv: str) -> str:
        if argv[:2] == ("ip", "link"):
            announced.append([path.read_text() for path in settings])
        return now.run(*argv)

    profiles = [{"uuid": f"u-{name}", "device": name} for name in ("bond0", "eth0", "eth1")]
    monkeypatch.setattr(links, "read_links", now.links)
    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(links, "SYSCTL", str(tmp_path))
    restore.restore_macs({"links": was.links(), "profiles": profiles})
    assert announced == [["1", "1"]] * (2 if busy else 1)
    assert [path.read_text() for path in settings] == ["0\n", "0\n"]
    assert now.commands[0] == "ip link set dev bond0 address 02::1"
    assert now.commands[1:] == (
        [
            *(f"nmcli -w 20 connection down uuid u-eth{n}" for n in (0, 1)),
            "ip link set dev bond0 address 02::1",
            *(f"nmcli -w 20 connection up uuid u-eth{n} ifname eth{n}" for n in (0, 1)),
        ]
        if busy
        else []
    )


def test_a_bond_with_the_right_mac_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = BondedNics("02::1", False)
    monkeypatch.setattr(links, "read_links", now.links)
    monkeypatch.setattr(programs, "run", now.run)
    restore.restore_macs({"links": now.links(), "profiles": []})
    assert now.commands == []


def test_the_profile_of_a_missing_nic_is_not_activated(
    host_state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be bound to no NIC, and NetworkManager would choose another one for it."""
    before, commands = make_snapshot(host_state), list[str]()
    del host_state["links"]["eth0"]
    host_state["profiles"] = []
    monkeypatch.setattr(links, "read_links", lambda: host_state["links"])
    monkeypatch.setattr(programs, "run", lambda *argv: commands.append(" ".join(argv)) or "")
    restore.reactivate_profiles(before)
    assert commands == ["nmcli -w 20 connection up uuid u-b ifname bond0"]


def test_a_missing_bond_is_activated_before_its_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be named as a device, because it does not exist. A failure does not stop the others. A port that is
    active but waits for its bond is activated again."""
    commands: list[str] = []

    def run(*argv: str) -> str:
        commands.append(" ".join(argv[3:]))
        raise HostError("no")

    profiles = [{"uuid": f"u-{name}", "device": name} for name in ("eth0", "bond0", "eth1", "eth9")]
    before: dict[str, Any] = {
        "names": [],
        "macs": [],
        "uuids": [],
        "links": BondedNics("02::1", False).links(),
        "routes": [],
    }
    before |= {"profiles": profiles, "addresses": {"eth9": ["10.0.0.9/24"]}}
    current = {"profiles": profiles[2:], "addresses": {"eth9": ["10.0.0.9/24"]}, "routes": [], "links": {"eth1": {}}}
    monkeypatch.setattr(snapshot, "read_host_state", lambda *_: current)
    monkeypatch.setattr(links, "read_links", lambda: {"eth0": {}, "eth1": {}, "eth9": {}})
    monkeypatch.setattr(programs, "run", run)
    restore.reactivate_profiles(before)
    ports = [f"connection up uuid u-eth{n} ifname eth{n}" for n in (0, 1)]
    assert commands == ["connection up uuid u-bond0", *ports]


@pytest.mark.guarantee("G11")
def test_the_path_to_the_gateway_is_activated_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of sixty profiles comes up minutes later."""
    over = {"eth0.2": "eth0", "eth0.3": "eth0", "eth0.4": "eth0", "eth0": None, "eth1": None}
    master = {"eth0.2": "br2", "eth0.3": "br3", "eth0.4": "br4", "eth0": None, "eth1": None}
    bridges = dict.fromkeys(("br2", "br3", "br4"))
    rows = {name: {"master": master.get(name), "over": over.get(name)} for name in {**over, **bridges}}
    before: dict[str, Any] = {"links": rows, "names": [], "macs": [], "uuids": []}
    before["profiles"] = [{"uuid": f"u-{name}", "device": name} for name in (None, *bridges, *over)]
    before["addresses"] = {"br2": [], "br4": ["10.4.0.1/24"], "eth1": ["10.9.0.1/24"]}
    before["routes"] = [{"to": "default", "dev": "br3", "via": "10.3.0.254"}, {"to": "10.9.0.0/24", "dev": "eth1"}]
    before["routes"].append({"to": "default", "dev": None, "via": None})
    commands: list[str] = []
    monkeypatch.setattr(
        snapshot, "read_host_state", lambda *_: {"profiles": [], "links": {}, "addresses": {}, "routes": []}
    )
    monkeypatch.setattr(links, "read_links", lambda: rows)
    monkeypatch.setattr(programs, "run", lambda *argv: commands.append(argv[-1]) or "")
    restore.reactivate_profiles(before)
    assert commands == ["br3", "eth0", "eth0.3", "br4", "eth1", "eth0.4", "br2", "eth0.2"]


def test_a_tap_that_lost_its_bridge_is_attached_again_with_the_bridges_settings(ports: GuestPorts) -> None:
    before = {"guests": links.read_guest_ports()}
    assert set(before["guests"]) == {"vnet0", "macvtap0"}
    assert (comparison.find_guest_differences(before), restore.restore_guest_ports(before), ports.commands) == (
        [],
        [],
        [],
    )
    ports.detach("vnet0")
    assert comparison.find_guest_differences(before) == ["vnet0 is not a port of br0"]
    bridge = ports.rows.pop("br0")
    assert restore.restore_guest_ports(before) == [], "the bridge does not exist yet"
    ports.rows["br0"] = {**bridge, "ifindex": 99}
    assert restore.restore_guest_ports(before) == ["vnet0"]
    assert ports.commands == [
        "ip link set dev vnet0 master br0",
        "ip link set dev vnet0 type bridge_slave state 0",
        "ip link set dev vnet0 type bridge_slave learning off isolated on state 3",
    ]
    assert comparison.find_guest_differences(before) == []


def test_the_mtu_of_upper_devices_is_restored(ports: GuestPorts) -> None:
    """The kernel reduces the MTU of another tool's VLAN, and of a guest's macvtap on that, with the link's MTU."""
    ports.add("eth0.7", 20, "vlan", link="eth0", mtu=9000)
    for name, mtu in (("bond0.2", 9000), ("macvtap0", 9000), ("eth0.7", 9000)):
        ports.rows[name]["mtu"] = mtu
    ports.rows["bond0.2"]["link"] = "bond0"
    above = links.read_upper_devices(["eth0", "bond0"])
    assert above == {n: {"index": i, "mtu": 9000} for n, i in (("eth0.7", 20), ("bond0.2", 4), ("macvtap0", 8))}
    assert set(links.read_upper_devices(["bond0", "bond0.2"])) == {"macvtap0"}, "others are compared as a whole"
    before = {"above": above}
    assert restore.restore_upper_mtus(before) == []
    for name, mtu in (("bond0.2", 1500), ("macvtap0", 1500), ("eth0.7", 9200)):
        ports.rows[name]["mtu"] = mtu
    ports.rows["macvtap0"]["ifindex"] = 30  # its guest was restarted
    assert restore.restore_upper_mtus(before) == ["bond0.2"]
    assert ports.commands == ["ip link set dev bond0.2 mtu 9000"]
    assert restore.restore_upper_mtus({}) == []


@pytest.mark.guarantee("G18")
def test_the_mtu_of_another_tools_vlan_is_restored_before_the_host_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reduced it with the MTU of the bridge, and nobody else raises it again."""
    host, journal = simulate_host(tmp_path, monkeypatch), Journal(tmp_path)
    for name in ("br0", "br0.50"):
        host.rows[name]["mtu"] = 9000
    before = snapshot.take_snapshot(["br0", "eth0"], ["02::0"], ["u-0"], [])
    for name in ("br0", "br0.50"):
        host.rows[name]["mtu"] = 1500
    differences = ["the MTU of br0.50 is 1500, not 9000", "the MTU of br0 is 1500, not 9000"]
    assert restore.restore_until_equal(before, journal, 0) == differences
    host.rows["br0"]["mtu"] = 9000  # by the rollback of the checkpoint
    assert restore.restore_until_equal(before, journal, 0) == []
    assert [event["given_back"] for event in journal.events()] == [["br0.50"]]


@pytest.mark.guarantee("G10")
def test_a_device_with_other_settings_is_activated_again(
    host_state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, commands = make_snapshot(host_state), list[str]()
    monkeypatch.setattr(links, "read_links", lambda: host_state["links"])
    monkeypatch.setattr(programs, "run", lambda *argv: commands.append(" ".join(argv)) or "")
    restore.reactivate_profiles(before)
    assert commands == []
    host_state["links"]["bond0"]["options"]["miimon"] = 0
    host_state["dns"] = {}
    restore.reactivate_profiles(before)
    assert commands == [
        f"nmcli -w 20 connection up uuid {u} ifname {d}" for u, d in (("u-0", "eth0"), ("u-b", "bond0"))
    ]


def test_the_port_of_a_container_is_restored_too(ports: GuestPorts) -> None:
    ports.add("veth1", 77, "veth", master="br0")
    before = {"guests": links.read_guest_ports()}
    ports.detach("veth1")
    assert comparison.find_guest_differences(before) == ["veth1 is not a port of br0"]
    assert restore.restore_guest_ports(before) == ["veth1"]


def test_the_loopback_interface_gets_its_addresses_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NetworkManager leaves the addresses of a profile that it no longer has, and routes to them."""
    host = simulate_host(tmp_path, monkeypatch)
    host.add("lo", 1, "")
    host.addresses["lo"] = ["127.0.0.1", "10.9.9.1"]
    before = snapshot.take_snapshot(["lo"], [], [], [])
    assert restore.restore_loopback(before) == []
    host.addresses["lo"] = ["127.0.0.1", "10.9.9.2", "10.9.9.3"]
    host.routes.append({"dst": "127.0.0.0/8", "dev": "lo"})
    assert comparison.find_differences(before)
    restored = ["10.9.9.1/24", "10.9.9.2/24", "127.0.0.0/8"]
    assert restore.restore_loopback(before, ["10.9.9.2/24"]) == restored
    assert sorted(host.addresses["lo"]) == ["10.9.9.1", "10.9.9.3", "127.0.0.1"]
    assert restore.restore_loopback(before) == ["10.9.9.3/24"]
    assert comparison.find_differences(before) == []
    host.has_local_route = False
    assert restore.restore_loopback(before) == ["local 127.0.0.0/8"] and host.has_local_route
    del before["addresses"]["lo"]
    host.addresses["lo"].append("10.9.9.4")
    assert restore.restore_loopback(before) == [], "the transaction does not touch the loopback interface"


def test_the_profile_that_networkmanager_makes_of_the_loopback_interface_is_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = simulate_host(tmp_path, monkeypatch)
    host.add("lo", 1, "")
    path = f"{host.keyfiles}/lo.nmconnection"
    monkeypatch.setattr(networkmanager, "LOOPBACK_KEYFILE", path)
    host.write_keyfile("lo", "[connection]\nuuid=u-1\ninterface-name=lo\n")
    profile = {"uuid": "u-1", "device": "lo", "file": path, "id": "lo"}
    monkeypatch.setattr(networkmanager, "list_profiles", lambda: [profile])
    before = snapshot.take_snapshot(["lo"], [], ["u-1"], [])
    assert (before["files"], before["profiles"]) == ([], [])
    host.write_keyfile("lo", "[connection]\nuuid=u-1\ninterface-name=lo\nautoconnect=false\n")
    assert comparison.find_differences(before) == []


def test_routes_of_other_tools_on_the_loopback_interface_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """iproute2 shows unreachable and blackhole routes of IPv6 with the loopback interface."""
    host = simulate_host(tmp_path, monkeypatch)
    host.add("lo", 1, "")
    host.addresses["lo"] = ["127.0.0.1"]
    before = snapshot.take_snapshot(["lo"], [], [], [])
    others = [{"dst": "2001:db8::/32", "dev": "lo"}, {"dst": "default", "dev": "lo"}]
    host.routes += [*others, {"dst": "127.0.0.0/8", "dev": "lo"}]
    assert restore.restore_loopback(before) == ["127.0.0.0/8"]
    assert [route for route in host.routes if route["dev"] == "lo"] == others
