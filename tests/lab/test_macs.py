"""MAC addresses of bridges: that of the NIC, generated, or kept, over reboots, changes by hand and an adoption."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from kvmnet.core.planning.complete_bundle import generate_mac
from tests.lab.transactions import apply, online
from tests.machines import neighbour, picture
from tests.machines.machine import Machine, Nic
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, PEER_MAC, seed_host, two_machines
from tests.machines.tap_guest import guest
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

BY_NAME = f"""kvmnet: 1
cluster: macs
profile: plain
networks:
  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}
  guests: {{}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {{network: private, addresses: [{HOST_ADDRESS}], bridge: br0}}
      br9: {{type: bridge, network: guests}}
"""
LEASED = """kvmnet: 1
cluster: macs
profile: plain
networks:
  private: {subnets: [10.1.0.0/16]}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {network: private, ipv4: dhcp, ipv6: none, bridge: br0}
"""
OTHER_MAC = "52:54:00:12:34:56"
BY_NMCLI = """
nmcli connection add type bridge con-name br0 ifname br0 bridge.stp no ipv6.method disabled METHOD
nmcli connection add type ethernet con-name br0-eth0 ifname eth0 master br0
nmcli connection modify eth0 connection.autoconnect no
nmcli --wait 30 connection up br0
nmcli --wait 30 connection up br0-eth0
"""
STATIC = f"ipv4.method manual ipv4.addresses {HOST_ADDRESS}/16 ipv4.gateway {PEER_ADDRESS}"
NOTHING = "host: nothing to do: the host matches the definition\n"


@pytest.fixture
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    with Wire() as wire, two_machines(generation, [Nic(HOST_MAC, wire)], [Nic(PEER_MAC, wire)]) as (host, peer):
        yield seed_host(host), peer


def mac(host: Machine, name: str) -> str:
    return str(picture.link(host, name)["address"])


def change(host: Machine, definition: str, *options: str) -> str:
    host.put("/root/cluster.yaml", definition)
    result = apply(host, "--host", "host", *options)
    assert result.code == 0, result
    return result.stdout


def nothing_to_do(host: Machine) -> bool:
    return bool(apply(host, "--host", "host").stdout == NOTHING)


def test_a_bridge_over_a_nic_by_name_has_its_mac_and_one_without_ports_a_generated_one(
    machines: tuple[Machine, Machine],
) -> None:
    host, peer = machines
    assert "MACAddressPolicy=persistent" in host.out("cat /usr/lib/systemd/network/99-default.link")
    generated = generate_mac("macs", "host", "br9")
    told = change(host, BY_NAME)
    assert f"br9 has no port: its MAC address {generated} is generated" in told
    assert (mac(host, "br0"), mac(host, "br9")) == (HOST_MAC, generated)
    assert reachable(peer)
    assert nothing_to_do(host)
    host.reboot()
    online(host)
    assert (mac(host, "br0"), mac(host, "br9")) == (HOST_MAC, generated)
    assert reachable(peer)
    assert nothing_to_do(host)

    host.run(f"ip link set br0 address {OTHER_MAC}")
    lines = host.run("kvmnet plan --host host /root/cluster.yaml", check=False).stdout
    assert f"mac-address: {OTHER_MAC.upper()} -> {HOST_MAC.upper()}" in lines
    change(host, BY_NAME)
    assert mac(host, "br0") == HOST_MAC
    assert reachable(peer)
    assert nothing_to_do(host)

    change(host, BY_NAME.replace("bridge: br0", "bridge: {name: br0, mac: 02:14:4f:80:de:77}"))
    assert mac(host, "br0") == "02:14:4f:80:de:77"
    assert host.run("kvmnet rollback --yes", check=False, timeout=180).code == 0
    assert mac(host, "br0") == HOST_MAC
    assert reachable(peer)


def by_nmcli(host: Machine, method: str) -> str:
    """Create br0 as an administrator does, and return its MAC address, which its profile does not contain."""
    host.run(BY_NMCLI.replace("METHOD", method), timeout=120)
    host.until("ip -4 -o address show dev br0 | grep -q inet", timeout=60)
    assert mac(host, "br0") != HOST_MAC
    assert host.out("nmcli -g 802-3-ethernet.cloned-mac-address connection show br0") == ""
    return mac(host, "br0")


def adopted(host: Machine) -> str:
    """Return the option that allows to adopt br0."""
    return "--adopt" if "--adopt" in host.out("kvmnet apply --help") else "--allow=KVN524"


def test_an_adopted_bridge_keeps_its_mac_and_is_not_activated_again(machines: tuple[Machine, Machine]) -> None:
    host, peer = machines
    own_mac = by_nmcli(host, STATIC)
    definition = BY_NAME.replace("      br9: {type: bridge, network: guests}\n", "")
    with guest(host, "tap0", "br0", "10.1.0.9/16"):
        connection, index = host.out("nmcli -g GENERAL.CON-PATH device show br0"), picture.link(host, "br0")["ifindex"]
        told = change(host, definition, adopted(host))
        assert (mac(host, "br0"), picture.link(host, "br0")["ifindex"]) == (own_mac, index), told
        assert host.out("nmcli -g GENERAL.CON-PATH device show br0") == connection, "it was activated again"
        assert picture.link(host, "tap0")["master"] == "br0"
        assert nothing_to_do(host)
        change(host, definition.replace("bridge: br0", "bridge: {name: br0, ageing: 120}"))
        assert host.out("nmcli -g GENERAL.CON-PATH device show br0") == connection, "it was activated again"
        assert mac(host, "br0") == own_mac
    assert reachable(peer)
    host.reboot()
    online(host)
    assert mac(host, "br0") == own_mac
    assert reachable(peer)
    assert nothing_to_do(host)


def test_a_bridge_with_a_reserved_lease_keeps_it(machines: tuple[Machine, Machine]) -> None:
    host, peer = machines
    neighbour.serve_leases(peer, "eth0", "10.1.4.100", "10.1.4.200")
    own_mac = by_nmcli(host, "ipv4.method auto")
    addresses = picture.addresses(host, "br0")
    change(host, LEASED, adopted(host))

    def stays() -> None:
        time.sleep(3)
        host.until("ip -4 -o address show dev br0 | grep -q inet", timeout=60)
        assert (mac(host, "br0"), picture.addresses(host, "br0")) == (own_mac, addresses)

    stays()
    host.reboot()
    online(host)
    stays()
