"""A virtual address of keepalived on an interface of the definition: no drift, never in a profile, never set by kvmnet.

keepalived is the real one. Each test continues with the host of the previous one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.conftest import Pair
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable
from tests.machines.seed import HOST_MAC, host_and_peer, seed_host
from tests.machines.wire import Wire

pytestmark = [pytest.mark.long, pytest.mark.make_test()]

VIRTUAL = "10.1.1.200"
DEFINITION = f"""\
kvmnet: 1
cluster: virtual
profile: plain
networks:
  private: {{subnets: [10.1.0.0/16], gateway: 10.1.1.1, mtu: 1496}}
  storage: {{subnets: [10.5.0.0/24], vlan: 5, mtu: 1496}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {{network: private, mac: {HOST_MAC}, addresses: [10.1.255.254]}}
"""
VLAN = "      eth0.5: {network: storage, bridge: true, addresses: [10.5.0.7]}\n"
ROUTE = "    routes: [{to: 10.9.0.0/16, via: 10.1.1.1}]\n"
KEEPALIVED = f"""\
global_defs {{
    vrrp_startup_delay 0
}}
vrrp_instance VI_1 {{
    state BACKUP
    interface br-eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {{
        {VIRTUAL}/32
    }}
}}
"""


@pytest.fixture(scope="module")
def pair(lab: None, generation: str, wire: Wire) -> Iterator[Pair]:
    with host_and_peer(generation, wire, variant="keepalived") as machines:
        yield Pair(*machines)


@pytest.fixture(scope="module")
def host(pair: Pair) -> Machine:
    machine = seed_host(pair.host)
    machine.run("systemctl stop keepalived", check=False)
    assert apply(machine, DEFINITION).code == 0
    machine.put("/etc/keepalived/keepalived.conf", KEEPALIVED)
    machine.run("systemctl restart keepalived")
    wait_for_virtual(machine)
    return machine


def apply(machine: Machine, definition: str, *options: str) -> Result:
    machine.put("/root/cluster.yaml", definition)
    return machine.run(["kvmnet", "apply", "--yes", *options, "/root/cluster.yaml"], check=False, timeout=240)


def plan(machine: Machine, definition: str) -> dict[str, Any]:
    machine.put("/root/cluster.yaml", definition)
    result: dict[str, Any] = json.loads(machine.out("kvmnet plan --json /root/cluster.yaml"))
    return result


def wait_for_virtual(machine: Machine) -> None:
    machine.until(f"ip -4 address show dev br-eth0 | grep -q {VIRTUAL}/32", timeout=60)


def profiles_with_virtual(machine: Machine) -> str:
    folders = "/etc/NetworkManager/system-connections /run/NetworkManager/system-connections"
    return machine.run(f"grep -rl {VIRTUAL} {folders}", check=False).stdout


def created(machine: Machine) -> str:
    """Return how often keepalived has become the master."""
    return machine.out("journalctl --unit keepalived --no-pager | grep -c 'Entering MASTER STATE'")


def test_a_virtual_address_is_no_drift(host: Machine) -> None:
    assert plan(host, DEFINITION)["empty"] is True
    assert host.run("kvmnet status --exit-code", check=False).code == 0
    host.run("ip address add 10.1.1.201/32 dev br-eth0")
    assert [c["name"] for c in plan(host, DEFINITION)["changes"]] == ["br-eth0"], "one set by hand is"
    host.run("ip address delete 10.1.1.201/32 dev br-eth0")


def test_another_change_leaves_it_alone(host: Machine, pair: Pair) -> None:
    before = created(host)
    result = apply(host, DEFINITION + VLAN)
    assert result.code == 0, result
    host.run(f"ip -4 address show dev br-eth0 | grep -q {VIRTUAL}/32")
    assert created(host) == before, "keepalived never lost it"
    assert reachable(pair.peer)


def test_a_change_of_its_interface_is_named_and_does_not_write_it_to_a_profile(host: Machine) -> None:
    """nmstate writes the whole profile of an interface that gets a route."""
    definition = DEFINITION.replace("    interfaces:\n", ROUTE + "    interfaces:\n") + VLAN
    (effect,) = [i for i in plan(host, definition)["this_host"]["interfaces"] if i["virtual"]]
    assert (effect["name"], effect["virtual"]) == ("br-eth0", [{"address": f"{VIRTUAL}/32", "service": "keepalived"}])
    result = apply(host, definition)
    assert result.code == 0, result
    assert f"keepalived's address {VIRTUAL}/32 on br-eth0 is removed when NetworkManager applies" in result.stdout
    wait_for_virtual(host)
    assert profiles_with_virtual(host) == ""
    assert plan(host, definition)["empty"] is True


def test_name_servers_do_not_write_it_to_a_profile(host: Machine) -> None:
    definition = DEFINITION.replace("gateway: 10.1.1.1,", "gateway: 10.1.1.1, dns: {servers: [10.1.1.1]},") + VLAN
    result = apply(host, definition)
    assert result.code == 0, result
    wait_for_virtual(host)
    assert profiles_with_virtual(host) == ""


def test_a_rollback_is_verified_wherever_the_address_is(host: Machine, pair: Pair) -> None:
    definition = DEFINITION.replace("10.1.0.0/16", "10.2.0.0/16").replace("10.1.255.254", "10.2.255.254") + VLAN
    result = apply(host, definition)
    assert result.code == 3, result
    assert reachable(pair.peer)
    wait_for_virtual(host)
    assert profiles_with_virtual(host) == ""


def test_a_removal_is_verified_although_its_bridge_goes(host: Machine, pair: Pair) -> None:
    result = host.run(["kvmnet", "remove", "--yes"], check=False, timeout=240)
    assert result.code == 0, result
    assert profiles_with_virtual(host) == ""
    assert reachable(pair.peer)
