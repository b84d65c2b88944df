"""A host with a bridge of another tool, whose guests' taps have VLANs and attributes: kvmnet takes the bridge over,
changes it, rolls back and gives it back, and every port stays as it was.

Each test continues with the host of the previous one. Two guests are in VLAN 100, one of them isolated, and one is in
VLAN 1. Nothing that kvmnet does may leave systemd with a unit that wants a daemon-reload.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.faults import injection
from tests.lab.test_leaving import BRIDGED
from tests.lab.transactions import history, last
from tests.machines import picture
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS
from tests.machines.tap_guest import guest

pytestmark = pytest.mark.make_test("bookworm")

#: The bridge as an administrator makes it, with the address of the NIC.
BY_HAND = f"""
set -e
nmcli connection add type bridge con-name br-eth0 ifname br-eth0 ethernet.cloned-mac-address {HOST_MAC} \\
  ipv4.method manual ipv4.addresses {HOST_ADDRESS}/16 ipv4.gateway {PEER_ADDRESS} ipv4.dns {PEER_ADDRESS} \\
  ipv4.route-metric 100 ipv6.method disabled connection.zone trusted bridge.stp no bridge.vlan-filtering yes
nmcli connection add type bridge-slave con-name br-eth0-port ifname eth0 master br-eth0
nmcli connection modify eth0 connection.autoconnect no
nmcli --wait 30 connection up br-eth0
nmcli --wait 30 connection up br-eth0-port
"""
#: What guests' ports have beyond a new port: libvirt and administrators set it, and no connection profile.
PORTS = """
set -e
for tap in vnet0 vnet1; do
  bridge vlan del dev $tap vid 1
  bridge vlan add dev $tap vid 100 pvid untagged
done
bridge vlan add dev vnet0 vid 200-210
bridge vlan add dev vnet0 vid 300 untagged
bridge link set dev vnet0 isolated on mcast_flood off hairpin on learning off neigh_suppress on priority 8 cost 7
ip link set dev vnet0 type bridge_slave group_fwd_mask 0x4000 mcast_router 2 fastleave on
bridge fdb add 52:54:00:00:00:01 dev vnet0 master static vlan 100
bridge vlan add dev br-eth0 vid 300 self
bridge link set dev eth0 cost 9 priority 7
"""
#: Makes every tap lose its bridge, and with it everything that it has as a port.
LOSE = "for tap in vnet0 vnet1 vnet2; do ip link set dev $tap nomaster; done"
CHANGED = BRIDGED.replace("mtu: 1496}", "mtu: 1400}", 1)
#: What a port has only for a while: counters, and what the kernel finds out.
_VOLATILE = ("flags", "ifindex", "link_index", "mtu", "mcast_n_groups")


def ports(host: Machine) -> dict[str, Any]:
    """Return everything that `bridge` shows: ports with attributes, VLANs, static FDB entries; read without kvmnet."""
    rows = json.loads(host.out("bridge -d -j link show"))
    detail_rows = json.loads(host.out("ip -d -j link show type bridge_slave"))
    details = {row["ifname"]: row for row in detail_rows if row}  # iproute2 prints an empty row for each other link
    masks = {n: row["linkinfo"]["info_slave_data"]["group_fwd_mask"] for n, row in details.items()}
    static = [row for row in json.loads(host.out("bridge -j fdb show")) if row.get("state") == "static"]
    return {
        "ports": {row["ifname"]: {k: v for k, v in row.items() if k not in _VOLATILE} for row in rows},
        "masks": masks,
        "vlans": {row["ifname"]: row["vlans"] for row in json.loads(host.out("bridge -j vlan show"))},
        "static": sorted((row["ifname"], row["mac"], row.get("vlan", 0)) for row in static),
    }


def outdated_units(host: Machine) -> list[str]:
    """Return the units that systemd wants to read again."""
    blocks = host.out("systemctl show '*' -p Id -p NeedDaemonReload").split("\n\n")
    return [block for block in blocks if "NeedDaemonReload=yes" in block]


def connected(host: Machine) -> bool:
    """Whether the guests of VLAN 100 reach each other, and neither reaches the one of VLAN 1."""

    def ping(name: str, address: str) -> bool:
        return host.run(f"ip netns exec {name} ping -c 1 -W 2 {address}", check=False, timeout=20).code == 0

    return ping("vnet0", "10.100.0.2") and not ping("vnet1", "10.100.0.3")


def apply(host: Machine, definition: str, *options: str) -> Result:
    host.put("/root/cluster.yaml", definition)
    adopt = ["--adopt"] if "--adopt" in host.out("kvmnet apply --help") else []
    return host.run(["kvmnet", "apply", "--yes", *adopt, *options, "/root/cluster.yaml"], check=False, timeout=180)


@pytest.fixture(scope="module")
def bridged(host: Machine) -> Iterator[Machine]:
    """The host with the bridge and three running guests."""
    assert outdated_units(host) == []
    host.run(BY_HAND, timeout=120)
    host.until("bridge link show dev eth0 | grep -q 'state forwarding'", timeout=30)
    with ExitStack() as stack:
        for number, name in enumerate(("vnet0", "vnet1", "vnet2"), start=1):
            stack.enter_context(guest(host, name, "br-eth0", f"10.100.0.{number}/24"))
        host.run(PORTS)
        host.until("bridge link show dev vnet0 | grep -q 'state forwarding'", timeout=30)
        yield host


def look(host: Machine) -> dict[str, Any]:
    return picture.without_managers_taps(picture.whole(host))


@pytest.fixture(scope="module")
def before(bridged: Machine) -> dict[str, Any]:
    """The whole host before kvmnet, with everything that its ports have."""
    assert connected(bridged)
    return {**look(bridged), **ports(bridged)}


def check_ports(host: Machine, before: dict[str, Any]) -> None:
    """Check that every port is as it was, that the guests have their network, and that systemd is content."""
    parts = ("ports", "masks", "vlans", "static")
    assert not (found := picture.differences(ports(host), before, parts)), found
    assert connected(host)
    assert outdated_units(host) == []


@pytest.mark.guarantee("G74")
@pytest.mark.guarantee("G19")
def test_an_apply_keeps_every_attribute_of_a_tap(bridged: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """The bridge is adopted, then changed; in the second change the taps lose it in the trial."""
    result = apply(bridged, BRIDGED)
    assert result.code == 0, result
    check_ports(bridged, before)
    with injection.nmstatectl(bridged, f'$REAL "$@"; code=$?; {LOSE}; exit $code'):
        result = apply(bridged, CHANGED)
    assert result.code == 0, result
    assert picture.link(bridged, "br-eth0")["mtu"] == 1400
    check_ports(bridged, before)


@pytest.mark.guarantee("G74")
@pytest.mark.guarantee("G18")
def test_a_rollback_restores_every_attribute_and_only_notes_what_others_changed(
    bridged: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    bridged.run("ip link add theirs type dummy && ip address add 192.0.2.1/24 dev theirs && ip link set theirs up")
    bridged.run("nmcli device set theirs managed no")  # NetworkManager's rollback would create it again
    whole = look(bridged)
    others = "ip link delete theirs; ip link add later type dummy; ip rule add priority 900 from 192.0.2.9 lookup 9"
    damage = f"bridge vlan del dev eth0 vid 1; bridge vlan del dev br-eth0 vid 300 self; {LOSE}"
    with injection.nmstatectl(bridged, f'$REAL "$@"; {damage}; {others}; exit 1'):
        result = apply(bridged, BRIDGED)
    try:
        assert result.code == 3, result
        check_ports(bridged, before)
        assert "other tools changed this meanwhile:" in result.stdout
        for line in (
            "interface theirs is missing",
            "interface later exists",
            "the routing rule 900: from 192.0.2.9 lookup 9",
        ):
            assert line in result.stdout, result.stdout
        after = look(bridged)
        for seen in (whole, after):
            for name in ("theirs", "later"):
                seen["links"].pop(name, None)
                seen["addresses"].pop(name, None)
            seen["routes"] = [route for route in seen["routes"] if "theirs" not in route]
        assert not (found := picture.differences(after, whole, whole)), found
    finally:
        bridged.run("for name in theirs later; do ip link delete $name; done; ip rule del priority 900", check=False)


@pytest.mark.guarantee("G51")
@pytest.mark.guarantee("G74")
@pytest.mark.guarantee("G19")
def test_a_removal_leaves_the_taps_with_every_attribute(
    bridged: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    """The gateway and the name server are probed, everything is compared, and the history names the operation."""
    result = bridged.run("kvmnet remove --yes", check=False, timeout=180)
    assert result.code == 0, result
    assert f"targets that must reply after the change: {PEER_ADDRESS}" in result.stdout, result.stdout
    assert "removed and verified: the host is as before kvmnet" in result.stdout
    check_ports(bridged, before)
    now = {**look(bridged), **ports(bridged)}
    assert not (found := picture.differences(now, before, [part for part in before if part != "files"])), found
    assert reachable(peer)
    assert "removal of kvmnet's configuration: kept" in history(bridged)
    assert last(bridged)["operation"] == "remove"
