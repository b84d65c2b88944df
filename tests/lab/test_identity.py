"""A host that gets all its addresses from DHCP and router advertisements, none of them by its MAC, keeps them during
a change.

The DHCP server gives another address to another client ID, DUID or IAID. The address from the router's prefix depends
on the connection profile (stable-privacy). The profile sets none of them, so NetworkManager's default DUID and IAID are
used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.machines import neighbour, picture
from tests.machines.machine import Machine, Nic
from tests.machines.seed import HOST_MAC, PEER_MAC, seed_host, two_machines
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

KEYFILE = """[connection]
id=eth0
uuid=5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e61
type=ethernet
interface-name=eth0
zone=trusted

[ipv4]
dhcp-client-id=duid
method=auto

[ipv6]
addr-gen-mode=stable-privacy
method=auto
"""
DEFINITION = f"""kvmnet: 1
cluster: leased
profile: rocks
networks:
  leased: {{}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {{network: leased, mac: {HOST_MAC}, ipv4: dhcp, ipv6: auto}}
"""
NOTHING = "host: nothing to do: the host matches the definition\n"


@pytest.fixture
def host(lab: None, generation: str) -> Iterator[Machine]:
    with Wire() as wire, two_machines(generation, [Nic(HOST_MAC, wire)], [Nic(PEER_MAC, wire)]) as (host, peer):
        neighbour.speak(peer, {"eth0": ["fe80::1/64", "fd00:1::1/64"]})
        neighbour.serve_leases(peer, "eth0", "10.1.4.100", "10.1.4.200", leases6=("fd00:1::1000", "fd00:1::ffff"))
        seed_host(host, zone="trusted", default_zone="drop", profile=KEYFILE)
        host.put("/root/cluster.yaml", DEFINITION)
        host.put("/root/second.yaml", DEFINITION.replace("eth0: {", "eth0: {mtu: 1450, "))
        yield host


def stays(host: Machine, wanted: list[str]) -> None:
    """Wait until eth0 has exactly these addresses, and check that it still has them after 3 s."""
    for _ in range(60):
        if sorted(picture.all_addresses(host).get("eth0", [])) == wanted:
            break
        time.sleep(0.5)
    time.sleep(3)
    assert sorted(picture.all_addresses(host).get("eth0", [])) == wanted


def here(host: Machine) -> dict[str, Any]:
    """Return the parts of a picture that must be unchanged, without addresses, which may take time."""
    seen = picture.whole(host)
    return {key: seen[key] for key in ("links", "files", "profiles", "zones", "checkpoints", "open")}


@pytest.mark.guarantee("G36")
def test_every_address_stays(host: Machine) -> None:
    host.until("test $(ip -o address show dev eth0 scope global | wc -l) = 3", timeout=60)
    addresses, before = sorted(picture.addresses(host, "eth0")), here(host)
    assert [a.rpartition("/")[2] for a in addresses if ":" in a].count("128") == 1, "one by DHCPv6, one by the router"

    result = host.run("kvmnet apply --yes --confirm-within 10 /root/cluster.yaml", check=False, timeout=240)
    assert (result.code, "keep the DHCPv6 IAID of" in result.stdout) == (3, True), result
    assert here(host) == before
    stays(host, addresses)

    told = host.out("kvmnet apply --yes /root/cluster.yaml", timeout=240)
    assert "note: eth0 keeps its identity for DHCP and IPv6: DHCP client id ff:" in told
    assert picture.link(host, "eth0")["linkinfo"]["info_kind"] == "bridge"
    stays(host, addresses)
    assert host.run("kvmnet apply /root/cluster.yaml").stdout == NOTHING

    host.run("kvmnet apply --yes /root/second.yaml", timeout=240)
    assert picture.link(host, "eth0")["mtu"] == 1450
    stays(host, addresses)

    host.reboot()
    host.run("nm-online -s -q -t 60", timeout=90)
    stays(host, addresses)

    host.run("kvmnet rollback --yes", timeout=240)
    assert picture.link(host, "eth0")["mtu"] == 1500
    stays(host, addresses)

    host.run("kvmnet remove --yes", timeout=240)
    assert "linkinfo" not in picture.link(host, "eth0")
    stays(host, addresses)
    assert host.run("cat /etc/NetworkManager/system-connections/eth0.nmconnection").stdout == KEYFILE
