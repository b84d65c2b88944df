"""What the definition passes through to nmstate: ethtool, a VXLAN in a bridge, a VRF and a QinQ VLAN: applied, read
from the kernel, rebooted, rolled back after a fault, removed.

Each test continues with the host of the previous one. The features of the NIC and the frames of the VXLAN are read by
programs of their own (`ethtool`, `ping` from the other end of the tunnel).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.transactions import apply, online
from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS

pytestmark = pytest.mark.make_test()

DEFINITION = f"""kvmnet: 1
cluster: words
profile: plain
networks:
  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}
  inner: {{subnets: [10.77.0.0/24], zone: trusted}}
hosts:
  host:
    interfaces:
      eth0: {{network: private, mac: "{HOST_MAC}", addresses: [{HOST_ADDRESS}]ETHTOOL}}
OTHERS"""
ETHTOOL = ", nmstate: {ethtool: {feature: {rx-gro: false}}}"
OTHERS = f"""      br-inner: {{type: bridge, ports: [vxlan77], network: inner, addresses: [10.77.0.1], mtu: 1450}}
      dummy0: {{}}
      eth0.5: {{nmstate: {{vlan: {{protocol: 802.1ad}}}}, network: outer, mtu: 1496}}
    nmstate:
      vxlan77:
        type: vxlan
        vxlan: {{id: 77, base-iface: eth0, remote: {PEER_ADDRESS}, destination-port: 4789}}
      vrf7: {{type: vrf, vrf: {{port: [dummy0], route-table-id: 107}}}}
      eth0.5.6: {{type: vlan, vlan: {{base-iface: eth0.5, id: 6}}, mtu: 1492}}
"""
PLAIN = DEFINITION.replace("ETHTOOL", "").replace("OTHERS", "")
TUNED = DEFINITION.replace("ETHTOOL", ETHTOOL).replace("OTHERS", "")
FULL = (
    DEFINITION.replace("ETHTOOL", ETHTOOL)
    .replace("OTHERS", OTHERS)
    .replace("\nhosts:", "\n  outer: {vlan: 5, mtu: 1496}\nhosts:")
)
NOTHING = "host: nothing to do: the host matches the definition\n"


def change(host: Machine, definition: str, code: int = 0) -> str:
    host.put("/root/cluster.yaml", definition)
    result = apply(host)
    assert result.code == code, result
    return result.stdout + result.stderr


def receives_merged(host: Machine) -> bool:
    """Whether the NIC merges received packets (GRO)."""
    lines = host.out("ethtool -k eth0").splitlines()
    return next(line for line in lines if line.startswith("generic-receive-offload:")).endswith(" on")


def names(host: Machine) -> set[str]:
    return set(picture.whole(host)["links"])


def assert_full(host: Machine, peer: Machine) -> None:
    """Assert that the kernel has what FULL passes through, and that frames pass the VXLAN."""
    vxlan = picture.link(host, "vxlan77")
    assert (vxlan["linkinfo"]["info_kind"], vxlan["master"]) == ("vxlan", "br-inner")
    data = vxlan["linkinfo"]["info_data"]
    assert (data["id"], data["remote"], data["port"], data["link"]) == (77, PEER_ADDRESS, 4789, "eth0")
    assert picture.link(host, "vrf7")["linkinfo"]["info_data"]["table"] == 107
    assert picture.link(host, "dummy0")["master"] == "vrf7"
    outer, inner = picture.link(host, "eth0.5"), picture.link(host, "eth0.5.6")
    assert outer["linkinfo"]["info_data"]["protocol"] == "802.1ad"
    assert (inner["link"], inner["linkinfo"]["info_data"]["id"]) == ("eth0.5", 6)
    assert not receives_merged(host)
    assert peer.run("ping -n -c 3 -i 0.2 -W 2 10.77.0.1", check=False).code == 0


@pytest.fixture(scope="module")
def before(host: Machine, peer: Machine) -> dict[str, Any]:
    """The host before kvmnet. The peer is the other end of the VXLAN."""
    peer.run(f"ip link add vxlan77 type vxlan id 77 remote {HOST_ADDRESS} dstport 4789 dev eth0")
    peer.run("ip address add 10.77.0.2/24 dev vxlan77 && ip link set vxlan77 up")
    assert receives_merged(host)
    return picture.without_metrics(picture.whole(host))


def test_a_feature_of_a_nic_is_set(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    change(host, PLAIN)
    assert receives_merged(host)
    host.put("/root/cluster.yaml", TUNED)
    assert "ethtool.feature.rx-gro: true -> false" in host.run("kvmnet plan /root/cluster.yaml", check=False).stdout
    change(host, TUNED)
    assert not receives_merged(host)
    assert reachable(peer)
    assert apply(host).stdout == NOTHING


def test_drift_of_a_feature_is_found_and_repaired(host: Machine) -> None:
    host.run("ethtool -K eth0 gro on")
    change(host, TUNED)
    assert not receives_merged(host)


def test_a_feature_that_leaves_the_definition_returns(host: Machine) -> None:
    plan = change(host, PLAIN)
    assert "left the definition" in plan
    assert receives_merged(host)
    assert apply(host).stdout == NOTHING
    host.reboot()
    online(host)
    assert receives_merged(host)


def test_further_interfaces_are_created(host: Machine, peer: Machine) -> None:
    change(host, FULL)
    assert_full(host, peer)
    assert apply(host).stdout == NOTHING


def test_a_reboot_keeps_them(host: Machine, peer: Machine) -> None:
    host.reboot()
    online(host)
    assert_full(host, peer)
    assert apply(host).stdout == NOTHING


def test_a_fault_rolls_back(host: Machine, peer: Machine) -> None:
    """The host leaves the subnet of its gateway, and another VXLAN and VRF would be created."""
    seen = picture.without_metrics(picture.whole(host))
    other = FULL.replace("10.1.", "10.2.").replace("vrf7", "vrf8").replace("id: 77", "id: 78")
    change(host, other.replace("rx-gro: false", "rx-gro: true"), code=3)
    assert picture.without_metrics(picture.whole(host)) == seen
    assert_full(host, peer)


def test_what_leaves_the_definition_is_removed(host: Machine) -> None:
    change(host, TUNED)
    assert not names(host) & {"vxlan77", "vrf7", "eth0.5", "eth0.5.6", "br-inner", "dummy0"}
    assert not receives_merged(host)
    assert apply(host).stdout == NOTHING


def test_a_removal_leaves_nothing(host: Machine, before: dict[str, Any]) -> None:
    change(host, FULL)
    result = host.run("kvmnet remove --yes", check=False, timeout=180)
    assert result.code == 0, result
    assert picture.without_metrics(picture.whole(host)) == before
    assert receives_merged(host)
