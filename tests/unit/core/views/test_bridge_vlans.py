"""The VLANs of the ports of VLAN-aware bridges, and of guests on them."""

from __future__ import annotations

from typing import Optional

import pytest

from kvmnet.core.definition.port_vlans import PortVlans
from kvmnet.core.views.host_view import BridgeView, GuestPortView, HostView
from tests.unit.core.views.samples import view_of

NETWORKS = """\
  lan: {subnets: [10.1.0.0/16]}
  v20: {vlan: 20, over: lan}
  v21: {vlan: 21, over: lan}
  v1: {vlan: 1, over: lan}
  v40: {vlan: 40}
"""
AWARE = "eth0: {network: lan, bridge: {name: br0, vlan_filtering: true}}"
MAC = "mac: 52:54:00:00:00:01"


def views(*interfaces: str, nic: str = "") -> HostView:
    guests = f"guests:\n  g: {{host: h, nics: [{{{nic}, {MAC}}}]}}\n" if nic else ""
    return view_of(*interfaces, networks=NETWORKS, guests=guests)


def bridge_of(*interfaces: str) -> BridgeView:
    return views(*interfaces).bridges[-1]


def port_of(*interfaces: str, nic: str) -> Optional[GuestPortView]:
    return next(iter(views(*interfaces, nic=nic).guest_ports), None)


@pytest.mark.parametrize(
    ("nic", "filtering", "vlans", "has_untagged"),
    [
        ("eth0: {network: lan}", None, (), True),
        ("eth0: {network: lan, bridge: {vlan_filtering: false}, trunk: [5]}", False, (), True),
        ("eth0: {network: lan, trunk: []}", True, (), True),
        ("eth0: {network: lan, trunk: [1-5, v40]}", True, (("eth0", PortVlans(((2, 5), (40, 40)))),), True),
        ("eth0: {network: lan, trunk: [5], native: 1}", True, (("eth0", PortVlans(((5, 5),))),), True),
        (AWARE, True, (("eth0", PortVlans(((20, 21),))),), True),
        ("eth0: {bridge: true, trunk: [1-5], native: 40}", True, (("eth0", PortVlans(((1, 5),), 40)),), False),
        ("eth0: {bridge: true, access: v40}", True, (("eth0", PortVlans((), 40)),), False),
    ],
)
def test_a_port_has_the_stated_vlans_or_the_logical_ones(
    nic: str, filtering: Optional[bool], vlans: tuple[tuple[str, PortVlans], ...], has_untagged: bool
) -> None:
    bridge = bridge_of(nic)
    assert (bridge.vlan_filtering, bridge.port_vlans, bridge.has_untagged) == (filtering, vlans, has_untagged)


def test_of_several_ports_each_has_its_own_and_a_vlan_device_has_none() -> None:
    bridge = bridge_of(
        "eth0: {}", "eth1: {trunk: [7]}", "eth2: {}", "eth2.5: {}",
        "br0: {type: bridge, ports: [eth0, eth1, eth2.5], network: lan}",
    )  # fmt: skip
    assert bridge.port_vlans == (("eth0", PortVlans(((20, 21),))), ("eth1", PortVlans(((7, 7),))))


@pytest.mark.parametrize(
    ("interface", "nic", "untagged", "trunk"),
    [
        (AWARE, "network: lan", None, ()),
        (AWARE, "network: v20", 20, ()),
        (AWARE, "networks: [v20, v21]", None, (20, 21)),
        (AWARE, "networks: [v20], native: lan", 1, (20,)),
        (AWARE, "networks: [v20], native: v21", 21, (20,)),
        ("eth0: {network: lan, bridge: br0, trunk: [40]}", "network: v40", 40, ()),
        ("eth0: {bridge: br0, trunk: [20], native: v40}", "network: v40", 40, ()),
    ],
)
def test_a_guest_gets_the_vlans_of_its_networks_from_the_bridge(
    interface: str, nic: str, untagged: Optional[int], trunk: tuple[int, ...]
) -> None:
    port = port_of(interface, nic=nic)
    assert port is not None and (port.device, port.macvtap) == ("br0", None)
    assert (port.untagged, port.trunk, port.is_on_aware_bridge) == (untagged, trunk, True)
    assert port.needs_vlans is (untagged is not None or bool(trunk))


@pytest.mark.parametrize(
    ("interfaces", "nic"),
    [
        (("eth0: {network: lan}",), "network: v20"),  # not VLAN-aware
        ((AWARE, "eth0.20: {network: v40}"), "network: v40"),  # a VLAN device of the host
        ((AWARE,), "network: v1"),  # VLAN 1 is the untagged network inside the bridge
    ],
)
def test_elsewhere_a_guest_gets_a_macvtap(interfaces: tuple[str, ...], nic: str) -> None:
    port = port_of(*interfaces, nic=nic)
    assert port is not None and port.macvtap is not None and not port.needs_vlans


@pytest.mark.parametrize(
    ("interface", "nic"),
    [
        ("eth0: {network: lan}", "networks: [v20]"),
        (AWARE, "networks: [v20, v40]"),
        (AWARE, "networks: [v20], native: v40"),
        ("eth0: {bridge: br0, trunk: [20], native: 40}", "networks: [v40], native: lan"),
    ],
)
def test_a_trunk_needs_one_aware_bridge_with_all_its_networks(interface: str, nic: str) -> None:
    view = views(interface, nic=nic)
    assert view.guest_ports == () and len(view.unattached) == 1
