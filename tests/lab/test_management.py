"""What the operator comes in through: a NIC that becomes a bond's port, a bond, a VLAN, an address from DHCP.

Each way: a change that ends at a silent gateway is undone; the right one is kept, a new connection is answered over
it in default zone drop, and it has nothing left to do; undone after all was written, the machine is as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.lab import faults, layers, neighbour, picture
from tests.lab.machine import Machine, Nic
from tests.lab.outage import reachable
from tests.lab.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, keyfile, seed_host, seed_peer
from tests.lab.wire import Wire

SECOND_MAC = "00:14:4f:80:de:01"
PROFILES = "/etc/NetworkManager/system-connections"
VLAN_ADDRESS = "10.5.255.254"
DEFINITION = """kvmnet: 1
cluster: management
profile: rocks
networks:
  private: {{subnets: [10.1.0.0/16], gateway: 10.1.1.1}}
  tagged: {{subnets: [10.5.0.0/16], vlan: 5, mtu: 1496, gateway: 10.5.1.1}}
  leased: {{}}
  nowhere: {{vlan: 6, mtu: 1496}}
hosts:
  managed:
    kvm: true
    interfaces:
{interfaces}
"""
NIC = f"      eth0: {{mac: {HOST_MAC}}}\n"
BOND = f"""{NIC}      eth1: {{mac: {SECOND_MAC}}}
      bond0: {{network: private, ports: [eth0, eth1], addresses: [{HOST_ADDRESS}]}}"""


@dataclass(frozen=True)
class Way:
    """`profiles` (name -> keyfile) is the machine before, `interfaces` the definition's, `top` what carries the
    address afterwards, `mistake` (what, instead of it) makes a definition of it that cuts the machine off."""

    profiles: dict[str, str]
    interfaces: str
    top: str
    mistake: tuple[str, str] = ("10.1.", "10.3.")
    address: str = HOST_ADDRESS

    @property
    def definition(self) -> str:
        return DEFINITION.format(interfaces=self.interfaces)

    @property
    def mistaken(self) -> str:
        return self.definition.replace(*self.mistake)


def profile(kind: str, name: str, number: int, more: str, ip: str = "method=disabled") -> str:
    return (
        f"[connection]\nid={name}\nuuid=5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e{number:02}\ntype={kind}\n"
        f"interface-name={name}\n{more}\n[ipv4]\n{ip}\n[ipv6]\naddr-gen-mode=eui64\nmethod=disabled\n"
    )


STATIC = f"address1={HOST_ADDRESS}/16,{PEER_ADDRESS}\nmethod=manual"
PORT = "master=bond0\nslave-type=bond\n[ethernet]\n"  # NetworkManager 1.42 knows no other words
WAYS = {
    "a NIC becomes a port of a bond": Way({"eth0": keyfile(zone="trusted")}, BOND, "br-bond0"),
    "a bond becomes a port of a bridge": Way(
        {
            "bond0": profile("bond", "bond0", 21, "zone=trusted\n[bond]\nmiimon=100\nmode=active-backup\n", STATIC),
            "eth0": profile("ethernet", "eth0", 22, PORT),
            "eth1": profile("ethernet", "eth1", 23, PORT),
        },
        BOND,
        "br-bond0",
    ),
    "a VLAN becomes a port of a bridge": Way(
        {
            "eth0": profile("ethernet", "eth0", 31, "[ethernet]\n"),
            "eth0.5": profile(
                "vlan",
                "eth0.5",
                32,
                "zone=trusted\n[ethernet]\nmtu=1496\n[vlan]\nid=5\nparent=eth0\n",
                f"address1={VLAN_ADDRESS}/16,10.5.1.1\nmethod=manual",
            ),
        },
        NIC + f"      eth0.5: {{network: tagged, bridge: true, addresses: [{VLAN_ADDRESS}]}}",
        "br-eth0.5",
        ("10.5.", "10.3."),
        VLAN_ADDRESS,
    ),
    "an address from DHCP": Way(
        {"eth0": profile("ethernet", "eth0", 41, "zone=trusted\n[ethernet]\n", "method=auto")},
        f"      eth0: {{network: leased, mac: {HOST_MAC}, ipv4: dhcp}}",
        "eth0",
        (
            f"eth0: {{network: leased, mac: {HOST_MAC}, ipv4: dhcp}}",
            f"eth0: {{mac: {HOST_MAC}}}\n      eth0.6: {{network: nowhere, ipv4: dhcp}}",
        ),
        "",
    ),
}


@pytest.fixture(scope="module")
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    """A host with two NICs on one wire; its gateway is one also on VLAN 5, and leases addresses."""
    wire = Wire()
    host = Machine(generation, "host", [Nic(HOST_MAC, wire), Nic(SECOND_MAC, wire)], layers=layers.all_of(generation))
    peer = Machine(generation, "peer", [Nic("00:14:4f:80:ee:01", wire)], disk=False)
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Machine.boot, (host, peer)))
        seed_peer(peer)
        neighbour.speak(peer, {"eth0.5": ["10.5.1.1/16"]})
        neighbour.serve_leases(peer, "eth0", "10.1.4.100", "10.1.4.200")
        # The second NIC is on the same wire, and without this would answer ARP for the first one's address
        host.put("/etc/sysctl.d/lab.conf", "net.ipv4.conf.all.arp_ignore = 1\n")
        host.run("sysctl --quiet --system")
        # As on EL: a bond without a stated MAC has its first port's, not one of udev's making
        policy = "[Match]\nKind=bond\n[Link]\nMACAddressPolicy=none\n"
        host.put("/etc/systemd/network/98-default-mac-none.link", policy)
        host.run("udevadm control --reload")
        seed_host(host, zone="trusted", default_zone="drop")
        yield host, peer
    finally:
        host.close()
        peer.close()
        wire.close()


@pytest.fixture(params=WAYS)
def way(machines: tuple[Machine, Machine], request: pytest.FixtureRequest) -> Way:
    """The machine as it is before this way: its profiles alone, up and reachable."""
    host, peer = machines
    way = WAYS[request.param]
    host.run("rm -rf /var/lib/kvmnet/open")  # what an earlier way could not undo is that way's failure
    host.run(
        "nmcli -t -f UUID,TYPE connection show | grep -v :loopback | cut -d: -f1 |"
        " xargs -r nmcli --wait 30 connection delete",
        timeout=120,
    )
    for name, text in way.profiles.items():
        host.put(f"{PROFILES}/{name}.nmconnection", text, mode=0o600)
    host.run("nmcli connection reload")
    for name in way.profiles:
        host.run(f"nmcli --wait 30 connection up {name}", timeout=60)
    if not way.address:
        way = replace(way, address=picture.addresses(host, "eth0")[0].partition("/")[0])
    peer.until(f"ping -n -c 1 -W 1 {way.address}")
    assert reachable(peer, way.address)
    host.put("/root/cluster.yaml", way.definition)
    host.put("/root/mistaken.yaml", way.mistaken)
    return way


def whole(host: Machine) -> dict[str, Any]:
    """The picture without the metrics, which NetworkManager counts anew."""
    found = picture.whole(host)
    return {**found, "routes": sorted(re.sub(r" metric \d+", "", route) for route in found["routes"])}


def test_way(machines: tuple[Machine, Machine], way: Way) -> None:
    host, peer = machines
    before = whole(host)

    result = host.run("kvmnet apply --yes --allow KVN524 /root/mistaken.yaml", check=False, timeout=240)
    assert (result.code, "no answer from" in result.stdout) == (3, True), result
    assert whole(host) == before
    assert reachable(peer, way.address)

    result = host.run("kvmnet apply --yes --allow KVN524 /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 0, result
    assert reachable(peer, way.address), "a new connection is not answered: in which zone is it?"
    found = {name: held for name, held in picture.all_addresses(host).items() if held}
    assert found == {way.top: [f"{way.address}/16"]}
    assert picture.link(host, way.top)["linkinfo"]["info_kind"] == "bridge"
    assert host.run("kvmnet apply /root/cluster.yaml").stdout == "managed: nothing to do, the host is as defined\n"

    faults.reopen_last(host)
    result = host.run("/usr/bin/python3 -I /var/lib/kvmnet/rescue.py", check=False, timeout=180)
    assert result.code == 3, result
    assert whole(host) == before
    assert reachable(peer, way.address)
