"""All features of the definition on one host (language.yaml), each checked in the kernel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults import injection
from tests.machines import neighbour, picture
from tests.machines.dbus_monitor import MONITOR, seen_writes
from tests.machines.machine import Machine, Nic
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, PEER_ADDRESS, keyfile, seed_host, two_machines
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test("trixie")

MACS = [f"00:14:4f:80:de:0{number}" for number in range(6)]
PROFILES = "/etc/NetworkManager/system-connections"
LEASED = """[connection]
id=leased
uuid=5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e11
type=ethernet
zone=trusted
interface-name=eth1

[ipv4]
method=auto

[ipv6]
addr-gen-mode=eui64
method=auto
"""
SERVER = keyfile(
    "eth2", "10.6.0.7", prefix=24, gateway=None, zone="trusted", uuid="5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e12"
)
AUTOCONF = "2001:db8:4:0:214:4fff:fe80:de01/64"
NOTHING = "everything: nothing to do: the host matches the definition\n"


@pytest.fixture(scope="module")
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    """A host with six NICs on three wires: one with its gateway, one with a DHCP server, one for bonds. The first
    three NICs have connection profiles in zone trusted; the default zone is drop."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire()) for _ in range(3)]
        nics = [Nic(mac, wires[min(number, 2)]) for number, mac in enumerate(MACS)]
        doors = [Nic(f"00:14:4f:80:ee:0{number + 1}", wire) for number, wire in enumerate(wires)]
        with two_machines(generation, nics, doors) as (host, peer):
            neighbour.speak(
                peer,
                {
                    "eth0": ["10.1.1.2/16", "2001:db8:1::1/64"],
                    "eth0.2": ["10.2.0.1/24"],
                    "eth0.5": ["10.5.0.1/24", "2001:db8:5::1/64"],
                    "eth0.7": ["10.7.0.1/24"],
                    "eth1": ["10.4.0.1/24", "fe80::1/64", "2001:db8:4::1/64"],
                    "eth2": ["10.6.0.1/24", "10.8.0.1/24", "10.8.0.2/24", "2001:db8:6::1/64"],
                    "eth2.9": ["10.9.0.1/24"],
                },
            )
            neighbour.serve_leases(peer, "eth1", "10.4.0.100", "10.4.0.200", prefix="2001:db8:4::")
            host.put(f"{PROFILES}/leased.nmconnection", LEASED, mode=0o600)
            host.put(f"{PROFILES}/eth2.nmconnection", SERVER, mode=0o600)
            seed_host(host, zone="trusted", default_zone="drop")
            host.run("nmcli --wait 30 connection up leased && nmcli --wait 30 connection up eth2", timeout=90)
            host.until(f"ip -6 address show dev eth1 | grep -q {AUTOCONF}", timeout=60)
            host.put("/root/cluster.yaml", (Path(__file__).parent / "language.yaml").read_bytes())
            yield host, peer


@pytest.fixture(scope="module")
def before(machines: tuple[Machine, Machine]) -> dict[str, Any]:
    return whole(machines[0])


def whole(host: Machine) -> dict[str, Any]:
    """Return the picture without values that NetworkManager, the router or a boot counts."""
    found = picture.whole(host)
    counted = r" (metric \d+|expires \d+sec|pref medium|mtu \d+|hoplimit \d+)"
    return {
        **found,
        "routes": sorted(re.sub(counted, "", route) for route in found["routes"]),
        "profiles": [profile for profile in found["profiles"] if ":lo:lo:" not in profile],
    }


def check(host: Machine, peer: Machine, lease: str) -> None:
    host.until(f"ip -6 address show dev eth1 | grep -q {AUTOCONF}", timeout=60)
    links = {link["ifname"]: link for link in json.loads(host.out("ip -d -j link show"))}
    check_links(host, links)
    check_bonds(host, links)
    assert {name: sorted(found) for name, found in picture.all_addresses(host).items() if found} == {
        "eth0": [f"{HOST_ADDRESS}/16", "2001:db8:1::7/64"],
        "eth0.5": ["10.5.0.7/24", "2001:db8:5::7/64"],
        "peth0.7": ["10.7.0.7/24"],
        "eth1": [lease, AUTOCONF],
        "br-bond0": ["10.6.0.7/24", "2001:db8:6::7/64"],
        "bond0.9": ["10.9.0.7/24"],
        "bond1": ["10.8.0.7/24"],
    }
    check_routes(host)
    for address in ("2001:db8:1::1", "10.5.0.1", "2001:db8:5::1", "10.7.0.1", "10.4.0.1", "2001:db8:4::1", "10.6.0.1"):
        host.run(f"ping -n -c 3 -i 0.2 -W 2 {address}")
    for address in ("2001:db8:6::1", "10.9.0.1", "10.8.0.1", "10.8.0.2"):
        host.run(f"ping -n -c 3 -i 0.2 -W 2 {address}")
    assert reachable(peer)
    assert reachable(peer, "10.6.0.7"), "the bridge over the bond did not take the zone of the NIC that had the address"
    assert reachable(peer, lease.partition("/")[0])
    assert host.out("firewall-cmd --get-zone-of-interface=eth0.5", timeout=30) == "drop", (
        "a new VLAN gets no zone of another interface"
    )


def check_links(host: Machine, links: dict[str, Any]) -> None:
    """Check bridges, their ports, VLANs, and the guest's macvtap."""
    ports = {port["ifname"]: port["master"] for port in json.loads(host.out("bridge -j link show"))}
    assert ports == {"peth0": "eth0", "peth1": "eth1", "peth0.5": "eth0.5", "bond0": "br-bond0"}
    for name, mac, mtu in (
        ("eth0", MACS[0], 1500),
        ("eth0.5", MACS[0], 1496),
        ("eth1", MACS[1], 1500),
        ("br-bond0", MACS[2], 1500),
    ):
        bridge = links[name]
        assert bridge["linkinfo"]["info_kind"] == "bridge"
        assert bridge["linkinfo"]["info_data"]["stp_state"] == 0
        assert (bridge["address"], bridge["mtu"], "UP" in bridge["flags"]) == (mac, mtu, True)
    for name, mac in (("peth0", MACS[0]), ("peth1", MACS[1])):
        assert (links[name]["address"], "PROMISC" in links[name]["flags"]) == (mac, True)
    for name, parent, tag, mtu in (
        ("peth0.5", "peth0", 5, 1496),
        ("peth0.7", "peth0", 7, 1400),
        ("bond0.9", "bond0", 9, 1496),
        ("peth0.2", "peth0", 2, 1496),
    ):
        vlan = links[name]
        assert (vlan["linkinfo"]["info_kind"], vlan["linkinfo"]["info_data"]["id"]) == ("vlan", tag)
        assert (vlan["link"], vlan["mtu"], "UP" in vlan["flags"]) == (parent, mtu, True)
    macvtap = links["mvt-c00002"]
    assert (macvtap["linkinfo"]["info_kind"], macvtap["linkinfo"]["info_data"]["mode"]) == ("macvtap", "bridge")
    assert (macvtap["link"], macvtap["address"], macvtap["mtu"]) == ("peth0.2", "36:77:6e:c0:00:02", 1496)
    assert "UP" in macvtap["flags"]
    host.run("test -c /dev/tap$(cat /sys/class/net/mvt-c00002/ifindex)")  # what the guest opens


def check_bonds(host: Machine, links: dict[str, Any]) -> None:
    assert {name: link["master"] for name, link in links.items() if link.get("master", "").startswith("bond")} == {
        "eth2": "bond0",
        "eth3": "bond0",
        "eth4": "bond1",
        "eth5": "bond1",
    }
    assert links["bond0"]["address"] == MACS[2]

    def option(bond: str, name: str) -> str:
        return host.out(f"cat /sys/class/net/{bond}/bonding/{name}")

    for bond in ("bond0", "bond1"):
        assert option(bond, "mode") == "active-backup 1"
    assert option("bond0", "miimon") == "100"
    assert option("bond0", "primary") == "eth3"
    assert option("bond0", "active_slave") == "eth3"
    assert option("bond1", "miimon") == "0"
    assert option("bond1", "arp_interval") == "500"
    assert option("bond1", "arp_ip_target") == "10.8.0.1 10.8.0.2"
    assert option("bond1", "arp_validate").split()[0] == "active"
    assert option("bond1", "fail_over_mac").split()[0] == "active"


def check_routes(host: Machine) -> None:
    assert picture.default_routes(host) == [(PEER_ADDRESS, "eth0", 100)], "none from the DHCP server"
    found = [
        (route["dst"], route["gateway"], route["dev"], route["metric"])
        for family in ("-4", "-6")
        for route in json.loads(host.out(f"ip {family} -j route show"))
        if "gateway" in route
    ]
    assert sorted(found) == [
        ("10.20.0.0/16", "10.1.1.2", "eth0", 100),
        ("2001:db8:20::/48", "2001:db8:6::1", "br-bond0", 100),
        ("default", "10.1.1.1", "eth0", 100),
        ("default", "2001:db8:1::1", "eth0", 100),
    ]


def lease_of(host: Machine, interface: str) -> str:
    return next(a for a in picture.addresses(host, interface) if a.startswith("10.4.0."))


@pytest.mark.make_test()
@pytest.mark.guarantee("G01")
def test_a_mistyped_network_is_rolled_back(machines: tuple[Machine, Machine], before: dict[str, Any]) -> None:
    host, peer = machines
    assert reachable(peer, "10.6.0.7")
    text = host.get("/root/cluster.yaml").decode()
    host.put("/root/bad.yaml", re.sub(r"\b10\.1\.", "10.3.", text))
    result = host.run("kvmnet apply --yes /root/bad.yaml", check=False, timeout=240)
    assert result.code == 3, result
    assert whole(host) == before
    assert reachable(peer)
    assert reachable(peer, "10.6.0.7")


@pytest.mark.guarantee("G40")
def test_the_host_is_as_defined_after_the_apply(machines: tuple[Machine, Machine], before: dict[str, Any]) -> None:
    host, peer = machines
    lease = lease_of(host, "eth1")
    result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 0, result
    check(host, peer, lease)


@pytest.mark.guarantee("G40")
def test_a_second_apply_has_nothing_to_do(machines: tuple[Machine, Machine]) -> None:
    assert machines[0].run("kvmnet apply /root/cluster.yaml").stdout == NOTHING


@pytest.mark.guarantee("G40")
def test_the_host_is_as_defined_after_a_power_cut(machines: tuple[Machine, Machine]) -> None:
    host, peer = machines
    lease = lease_of(host, "eth1")
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60", timeout=90)
    check(host, peer, lease)
    assert host.run("kvmnet apply /root/cluster.yaml").stdout == NOTHING


@pytest.mark.guarantee("G40")
def test_a_change_that_is_saved_to_disk_can_be_rolled_back(
    machines: tuple[Machine, Machine], before: dict[str, Any]
) -> None:
    """As after an interruption before the last event. NICs that had no connection profile have none afterwards."""
    host, peer = machines
    injection.reopen_last(host)
    result = host.run("/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz", check=False, timeout=180)
    assert result.code == 3, result
    assert whole(host) == before
    assert reachable(peer)
    assert reachable(peer, "10.6.0.7")


@dataclass(frozen=True)
class Others:
    """All interfaces but one VLAN and its bridge: their keyfiles (inode, time, length), the paths of their
    activations, and the index and the carrier changes of their links."""

    files: list[str]
    active: list[str]
    links: list[str]

    @classmethod
    def read(cls, host: Machine) -> Others:
        def lines(command: str) -> list[str]:
            return sorted(line for line in host.out(command).splitlines() if "eth0.11" not in line)

        return cls(
            lines("stat -c '%n %i %y %z %s' /{etc,run}/NetworkManager/system-connections/* || :"),
            lines("nmcli -t -f UUID,DEVICE,ACTIVE-PATH connection show --active"),
            lines("cd /sys/class/net && grep -H . */ifindex */operstate */carrier_changes"),
        )


ANNOUNCED = re.compile(r"\d+: (\S+): <(\S*)> mtu (\d+) .*?state (\S+)")


def announced(line: str) -> tuple[str, ...]:
    """Return the changes of links that the kernel has announced: name, flags, MTU, state, controller; other lines as
    they are."""
    found, controller = ANNOUNCED.match(line), re.search(r" master (\S+)", line)
    return (*found.groups(), controller[1] if controller else "") if found else (line,)


EXTRA = "  extra: {subnets: [10.11.0.0/24], vlan: 11, mtu: 1400}\n"
ONE_MORE = "      eth0.11: {network: extra, bridge: true, addresses: [10.11.0.7]}\n"


@pytest.mark.make_test()
@pytest.mark.guarantee("G43")
def test_a_change_of_one_vlan_affects_only_that_vlan(machines: tuple[Machine, Machine]) -> None:
    """A VLAN is added, changed in MTU and address, and removed. Other bridges, bonds, VLANs and leases are not
    touched, and saving the profiles to disk touches no device."""
    host, peer = machines
    host.run("kvmnet apply --yes /root/cluster.yaml", timeout=240)
    host.until("! timeout 5 ip -o monitor link | grep .", timeout=90)  # a new bond announces changes for a while
    text = host.get("/root/cluster.yaml").decode()
    more = text.replace("  tenant-a:", EXTRA + "  tenant-a:").replace("      eth0.7:", ONE_MORE + "      eth0.7:")
    other = more.replace("vlan: 11, mtu: 1400", "vlan: 11, mtu: 1300").replace("10.11.0.7", "10.11.0.8")
    before, lease = Others.read(host), lease_of(host, "eth1")
    known = {announced(line) for line in host.out("ip -o link show").splitlines()}
    assert (len(before.files) >= 15, len(before.active) >= 15, len(before.links) >= 45) == (True, True, True)
    for definition, mtu, address in ((more, 1400, ["10.11.0.7/24"]), (other, 1300, ["10.11.0.8/24"]), (text, 0, [])):
        host.put("/root/one.yaml", definition)
        calls, links = host.start(MONITOR), host.start("exec ip -o monitor link")
        result = host.run("kvmnet apply --yes /root/one.yaml", check=False, timeout=240)
        assert result.code == 0, result
        said, seen = calls.stop().stdout, links.stop().stdout
        after = Others.read(host)
        changed = {line for one, other in zip(astuple(before), astuple(after)) for line in set(one) ^ set(other)}
        assert changed == set()
        assert "eth0.11" in seen
        # the kernel announces the VLAN's base interface and other VLANs again, unchanged
        told = [announced(line) for line in seen.splitlines() if "eth0.11" not in line]
        assert [link for link in told if link not in known] == []
        kept = said.rindex("member=CheckpointDestroy\n")
        assert seen_writes(said[kept:]) <= {"CheckpointDestroy", "Save", "Delete", "Reload"}
        found = {name: held for name, held in picture.all_addresses(host).items() if name.endswith("eth0.11")}
        assert found.get("eth0.11", []) == address
        if mtu:
            assert {picture.link(host, name)["mtu"] for name in ("eth0.11", "peth0.11")} == {mtu}
        else:
            assert found == {}
    check(host, peer, lease)
