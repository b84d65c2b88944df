"""Hosts whose management interface is not just a NIC with an IPv4 address: a NIC that becomes a port of a bond, a
bond, a VLAN, an address from DHCP, only IPv6."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.machines import neighbour, picture
from tests.machines.machine import Machine, Nic
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, PEER_MAC, keyfile, seed_host, two_machines
from tests.machines.wire import Wire

SECOND_MAC = "00:14:4f:80:de:01"
PROFILES = "/etc/NetworkManager/system-connections"
VLAN_ADDRESS, VLAN_PEER = "10.5.255.254", "10.5.1.1"
ADDRESS6, PEER6 = "fd00:1::fe", "fd00:1::1"
DEFINITION = """kvmnet: 1
cluster: management
profile: rocks
networks:
  private: {{subnets: [10.1.0.0/16], gateway: 10.1.1.1}}
  tagged: {{subnets: [10.5.0.0/16], vlan: 5, mtu: 1496, gateway: {vlan_peer}}}
  leased: {{}}
  nowhere: {{vlan: 6, mtu: 1496}}
  six: {{subnets: ["fd00:1::/64"], gateway: "fd00:1::1"}}
hosts:
  managed:
    kvm: true
    interfaces:
{interfaces}
"""
NIC = f"      eth0: {{mac: {HOST_MAC}}}\n"
BOND = f"""{NIC}      eth1: {{mac: {SECOND_MAC}}}
      bond0: {{network: private, ports: [eth0, eth1], addresses: [{HOST_ADDRESS}]}}"""
SIX = f'      eth0: {{network: six, mac: {HOST_MAC}, addresses: ["{ADDRESS6}"]}}'


@dataclass(frozen=True)
class Way:
    """A kind of host. `profiles` (name -> keyfile) are its connection profiles before, `interfaces` those of the
    definition, `top` is the interface that has the address afterwards. `mistake` (text, replacement) makes a
    definition that disconnects the host."""

    profiles: dict[str, str]
    interfaces: str
    top: str
    mistake: tuple[str, str] = ("10.1.", "10.3.")
    address: str = HOST_ADDRESS
    prefix: int = 16
    allow: str = "--adopt"

    @property
    def definition(self) -> str:
        return DEFINITION.format(interfaces=self.interfaces, vlan_peer=VLAN_PEER)

    @property
    def mistaken(self) -> str:
        return self.definition.replace(*self.mistake)


def profile(kind: str, name: str, number: int, more: str, ip: str = "method=disabled") -> str:
    return (
        f"[connection]\nid={name}\nuuid=5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e{number:02}\ntype={kind}\n"
        f"interface-name={name}\n{more}\n[ipv4]\n{ip}\n[ipv6]\naddr-gen-mode=eui64\nmethod=disabled\n"
    )


# without name servers in the definition, nmstate makes those of a profile that loses its addresses global
STATIC = f"address1={HOST_ADDRESS}/16,{PEER_ADDRESS}\ndns={PEER_ADDRESS};\nmethod=manual"
PORT = "master=bond0\nslave-type=bond\n[ethernet]\n"  # the only keys of NetworkManager 1.42
DHCP = "an address from DHCP"
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
                f"address1={VLAN_ADDRESS}/16,{VLAN_PEER}\nmethod=manual",
            ),
        },
        NIC + f"      eth0.5: {{network: tagged, bridge: true, addresses: [{VLAN_ADDRESS}]}}",
        "br-eth0.5",
        ("10.5.", "10.3."),
        VLAN_ADDRESS,
    ),
    DHCP: Way(
        {"eth0": profile("ethernet", "eth0", 41, "zone=trusted\n[ethernet]\n", "method=auto")},
        f"      eth0: {{network: leased, mac: {HOST_MAC}, ipv4: dhcp}}",
        "eth0",
        (
            f"eth0: {{network: leased, mac: {HOST_MAC}, ipv4: dhcp}}",
            f"eth0: {{mac: {HOST_MAC}}}\n      eth0.6: {{network: nowhere, ipv4: dhcp}}",
        ),
        "",
    ),
    "IPv6 alone": Way(
        {
            "eth0": "[connection]\nid=eth0\nuuid=5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e51\ntype=ethernet\nzone=trusted\n"
            "interface-name=eth0\n[ethernet]\n[ipv4]\nmethod=disabled\n"
            f"[ipv6]\naddr-gen-mode=eui64\naddress1={ADDRESS6}/64,{PEER6}\nmethod=manual\n"
        },
        SIX,
        "eth0",
        ("fd00:1:", "fd00:3:"),
        ADDRESS6,
        64,
    ),
}


@contextmanager
def host_and_peer(generation: str) -> Iterator[tuple[Machine, Machine]]:
    """Yield a host with two NICs on one wire, and its gateway, which is also on VLAN 5, has IPv6, and runs a DHCP
    server."""
    with Wire() as wire:
        nics = [Nic(HOST_MAC, wire), Nic(SECOND_MAC, wire)]
        with two_machines(generation, nics, [Nic(PEER_MAC, wire)]) as (host, peer):
            neighbour.speak(peer, {"eth0": [f"{PEER6}/64"], "eth0.5": [f"{VLAN_PEER}/16"]})
            neighbour.serve_leases(peer, "eth0", "10.1.4.100", "10.1.4.200")
            # As on EL: a bond without a configured MAC has that of its first port, not one that udev generates
            policy = "[Match]\nKind=bond\n[Link]\nMACAddressPolicy=none\n"
            host.put("/etc/systemd/network/98-default-mac-none.link", policy)
            host.run("udevadm control --reload")
            seed_host(host, zone="trusted", default_zone="drop")
            yield host, peer


def lay_out(host: Machine, peer: Machine, way: Way) -> Way:
    """Set the host up as this kind: only its connection profiles exist, it is up and reachable. Return the kind with
    its address, which may come from DHCP."""
    host.run("rm -rf /var/lib/kvmnet/open")  # an open transaction is a failure of the previous kind
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
    """Return the picture without route metrics, which NetworkManager chooses at each activation."""
    return picture.without_metrics(picture.whole(host))
