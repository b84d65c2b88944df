"""VLAN filtering of a bridge, which nmstate has no key for, stays: through later changes, drift, a reboot, a rollback
and a removal.

Each test continues with the host of the previous one.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.transactions import apply, online
from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS
from tests.machines.tap_guest import guest

pytestmark = pytest.mark.make_test()

DEFINITION = f"""kvmnet: 1
cluster: settings
profile: plain
networks:
  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}], bridge: {{name: br0, FILTERING}}}}
"""
FILTERING = DEFINITION.replace("FILTERING", "vlan_filtering: true")
PROFILE = "/etc/NetworkManager/system-connections/br0.nmconnection"
NOTHING = "host: nothing to do: the host matches the definition\n"
#: Writes each value of the bridge's VLAN filtering to a file, a hundred times in a second.
WATCH = "while sleep 0.01; do cat /sys/class/net/br0/bridge/vlan_filtering; done >> /root/filtering"


def filters(host: Machine) -> list[Any]:
    """Return whether br0 filters VLANs: in the kernel, and at the next boot."""
    live = picture.link(host, "br0")["linkinfo"]["info_data"]["vlan_filtering"]
    return [live, "vlan-filtering=true" in host.out(["cat", PROFILE]).splitlines()]


def change(host: Machine, definition: str, *options: str) -> str:
    host.put("/root/cluster.yaml", definition)
    result = apply(host, *options)
    assert result.code == 0, result
    return result.stdout


def plan(host: Machine) -> list[str]:
    """Return the lines of the plan."""
    return [line.strip() for line in host.run("kvmnet plan /root/cluster.yaml", check=False).stdout.splitlines()]


@pytest.fixture(scope="module")
def before(host: Machine) -> dict[str, Any]:
    """The host before kvmnet."""
    return picture.without_metrics(picture.whole(host))


def test_a_new_bridge_filters_vlans(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    told = change(host, FILTERING)
    assert filters(host) == [1, True]
    assert "eth0" in host.out("ls /sys/class/net/br0/brif").split()
    assert reachable(peer)
    assert "no change needed" in told or "keep bridge.vlan-filtering" in told
    assert apply(host).stdout == NOTHING


def test_another_change_of_the_bridge_keeps_it(host: Machine, peer: Machine) -> None:
    """It is not off for a moment that a frame could pass in, and a guest's port stays in its VLAN."""
    with guest(host, "tap0", "br0", "10.1.0.9/16"):
        host.run("bridge vlan add dev tap0 vid 100 pvid untagged && bridge vlan del dev tap0 vid 1")
        vlans = host.out("bridge vlan show dev tap0")
        watch = host.start(WATCH)
        change(host, FILTERING.replace("{name: br0,", "{name: br0, ageing: 120,"))
        watch.stop()
        off = host.out("grep -c 0 /root/filtering || true")
        assert int(off) <= (0 if host.generation == "trixie" else 3), off
        assert picture.link(host, "br0")["linkinfo"]["info_data"]["ageing_time"] == 12000
        assert filters(host) == [1, True]
        assert host.out("bridge vlan show dev tap0") == vlans
    assert reachable(peer)
    assert apply(host).stdout == NOTHING


def test_a_change_of_something_else_keeps_it(host: Machine, peer: Machine) -> None:
    route = "      - {to: 10.9.0.0/16, via: 10.1.0.7}\n"
    change(host, FILTERING.replace("hosts:\n  host:\n", f"hosts:\n  host:\n    routes:\n{route}"))
    assert "10.9.0.0/16 via 10.1.0.7 dev br0" in host.out("ip route")
    assert filters(host) == [1, True]
    change(host, FILTERING)
    assert filters(host) == [1, True]
    assert reachable(peer)


def test_drift_of_kernel_and_profile_is_found_and_repaired(host: Machine, peer: Machine) -> None:
    index = picture.link(host, "br0")["ifindex"]
    host.run("ip link set br0 type bridge vlan_filtering 0")
    assert any("bridge.vlan-filtering: false -> true" in line for line in plan(host))
    change(host, FILTERING)
    assert filters(host) == [1, True]
    host.run("nmcli connection modify br0 bridge.vlan-filtering no")
    assert filters(host) == [1, False]
    assert any("in its connection profile, bridge.vlan-filtering: false -> true" in line for line in plan(host))
    connection = host.out("nmcli -g GENERAL.CON-PATH device show br0")
    told = change(host, FILTERING)
    assert "as a trial" not in told
    assert filters(host) == [1, True]
    assert host.out("nmcli -g GENERAL.CON-PATH device show br0") == connection, "it was activated again"
    assert picture.link(host, "br0")["ifindex"] == index
    assert apply(host).stdout == NOTHING
    assert reachable(peer)


def test_a_rollback_restores_it(host: Machine, peer: Machine) -> None:
    """A bad change that also turns it off, and one that turns it off and is rolled back later."""
    seen = picture.whole(host)
    off = DEFINITION.replace("FILTERING", "vlan_filtering: false")
    host.put("/root/cluster.yaml", off.replace("10.1.", "10.2."))
    assert apply(host).code == 3
    assert filters(host) == [1, True]
    assert picture.whole(host) == seen
    change(host, off)
    assert filters(host) == [0, False]
    assert host.run("kvmnet rollback --yes", check=False, timeout=180).code == 0
    assert filters(host) == [1, True]
    assert reachable(peer)


def test_a_reboot_keeps_it(host: Machine, peer: Machine) -> None:
    change(host, FILTERING)
    host.reboot()
    online(host)
    assert filters(host) == [1, True]
    assert reachable(peer)
    assert apply(host).stdout == NOTHING


def test_it_is_turned_off_when_it_leaves_the_definition(host: Machine) -> None:
    change(host, DEFINITION.replace(", FILTERING", ""))
    assert filters(host) == [0, False]
    assert apply(host).stdout == NOTHING
    change(host, FILTERING)
    assert filters(host) == [1, True]


def test_a_removal_leaves_nothing(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    result = host.run("kvmnet remove --yes", check=False, timeout=180)
    assert result.code == 0, result
    assert picture.without_metrics(picture.whole(host)) == before
    assert reachable(peer)
