"""Bridges as the definition can have them: named, with settings, with several ports, with none, and VLANs over them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.machines import neighbour, picture
from tests.machines.machine import Machine, Nic
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, PEER_MAC, seed_host, two_machines
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test("trixie")

STATED_MAC = "02:14:4f:80:de:99"
MACS = [HOST_MAC, "00:14:4f:80:de:01", "00:14:4f:80:de:02"]
#: The lab's wires drop frames over 1514 bytes, so everything with a tag has an MTU of 1496.
DEFINITION = f"""kvmnet: 1
cluster: bridges
profile: rocks
networks:
  lan: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}
  joined: {{subnets: [10.6.0.0/24]}}
  routed: {{subnets: [10.7.0.0/24]}}
  storage: {{subnets: [10.5.0.0/24], vlan: 5, mtu: 1496}}
  guests: {{vlan: 7, mtu: 1496}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0:
        mac: {MACS[0]}
        network: lan
        addresses: [{HOST_ADDRESS}]
        bridge: {{name: br0, ageing: 120, group_forward_mask: 16384, multicast_snooping: false}}
      br0.5: {{network: storage, addresses: [10.5.0.7]}}
      br0.7: {{network: guests, bridge: br7}}
      eth1: {{mac: {MACS[1]}}}
      eth2: {{mac: {MACS[2]}}}
      br1:
        type: bridge
        ports: [eth2, eth1]
        network: joined
        addresses: [10.6.0.7]
        bridge: {{stp: true, priority: 4096}}
      routed: {{type: bridge, network: routed, addresses: [10.7.0.7], mac: "{STATED_MAC}"}}
"""
PLAIN_SETTINGS = DEFINITION.replace(
    "{name: br0, ageing: 120, group_forward_mask: 16384, multicast_snooping: false}", "br0"
).replace("{stp: true, priority: 4096}", "{stp: true}")
NOTHING = "host: nothing to do: the host matches the definition\n"


@pytest.fixture(scope="module")
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    """A host with three NICs, each on a wire of its own, and a machine at the other end of all three."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire()) for _ in MACS]
        nics = [Nic(mac, wire) for mac, wire in zip(MACS, wires)]
        doors = [Nic(PEER_MAC[:-1] + str(number + 1), wire) for number, wire in enumerate(wires)]
        with two_machines(generation, nics, doors) as (host, peer):
            addresses = {"eth0.5": ["10.5.0.1/24"], "eth1": ["10.6.0.1/24"], "eth2": []}
            neighbour.speak(peer, addresses)
            seed_host(host, zone="trusted", default_zone="trusted")
            host.put("/root/cluster.yaml", DEFINITION)
            yield host, peer


@pytest.fixture(scope="module")
def before(machines: tuple[Machine, Machine]) -> dict[str, Any]:
    return picture.without_metrics(picture.whole(machines[0]))


def check(host: Machine, settings: dict[str, Any], priority: int) -> None:
    """Check the bridges, their ports, VLANs and addresses in the kernel."""
    links = {link["ifname"]: link for link in json.loads(host.out("ip -d -j link show"))}
    masters = {name: link["master"] for name, link in links.items() if "master" in link}
    assert masters == {"eth0": "br0", "br0.7": "br7", "eth1": "br1", "eth2": "br1"}
    data = {name: links[name]["linkinfo"]["info_data"] for name in ("br0", "br1", "br7", "routed")}
    assert {key: data["br0"][key] for key in settings} == settings
    assert (data["br1"]["stp_state"], data["br1"]["priority"]) == (1, priority)
    assert [data[name]["stp_state"] for name in ("br0", "br7", "routed")] == [0, 0, 0]
    assert {name: links[name]["address"] for name in data} == {
        **{"br0": MACS[0], "br7": MACS[0], "br1": MACS[2]},
        "routed": STATED_MAC,
    }
    for name, tag in (("br0.5", 5), ("br0.7", 7)):
        assert (links[name]["link"], links[name]["linkinfo"]["info_data"]["id"]) == ("br0", tag)
        assert links[name]["mtu"] == 1496
    assert {name: held for name, held in picture.all_addresses(host).items() if held} == {
        **{"br0": [f"{HOST_ADDRESS}/16"], "br0.5": ["10.5.0.7/24"]},
        **{"br1": ["10.6.0.7/24"], "routed": ["10.7.0.7/24"]},
    }
    host.run("ping -n -c 3 -i 0.2 -W 2 10.5.0.1")
    host.until("ping -n -c 1 -W 2 10.6.0.1", timeout=60)  # STP lets frames pass after 30 s


def assert_as_defined(
    machines: tuple[Machine, Machine], settings: dict[str, Any], priority: int, file: str = "cluster.yaml"
) -> None:
    """Check the kernel, that the host is reachable, and that another apply has nothing to do."""
    host, peer = machines
    check(host, settings, priority)
    assert reachable(peer)
    assert host.run(f"kvmnet apply /root/{file}").stdout == NOTHING


SETTINGS = {"ageing_time": 12000, "group_fwd_mask": "0x4000", "mcast_snooping": 0}
DEFAULTS = {"ageing_time": 30000, "group_fwd_mask": "0", "mcast_snooping": 1}


@pytest.mark.guarantee("G40")
def test_bridges_are_as_defined(machines: tuple[Machine, Machine], before: dict[str, Any]) -> None:
    host, _ = machines
    result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 0, result
    assert_as_defined(machines, SETTINGS, 4096)


@pytest.mark.guarantee("G40")
def test_bridges_are_as_defined_after_a_power_cut(machines: tuple[Machine, Machine]) -> None:
    host, _ = machines
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60", timeout=90)
    assert_as_defined(machines, SETTINGS, 4096)


@pytest.mark.guarantee("G45")
def test_settings_that_leave_the_definition_return_to_their_defaults(machines: tuple[Machine, Machine]) -> None:
    host, _ = machines
    host.put("/root/plain.yaml", PLAIN_SETTINGS)
    result = host.run("kvmnet apply --yes /root/plain.yaml", check=False, timeout=240)
    assert result.code == 0, result
    assert_as_defined(machines, DEFAULTS, 32768, "plain.yaml")


def test_a_removal_restores_the_host(machines: tuple[Machine, Machine], before: dict[str, Any]) -> None:
    host, peer = machines
    result = host.run("kvmnet remove --yes", check=False, timeout=200)
    assert result.code == 0, result
    assert picture.without_metrics(picture.whole(host)) == before
    assert reachable(peer)
