"""The MTUs of bridges, their ports, and the VLANs over them."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from tests.unit.core.views.samples import view_of

NETWORKS = """\
  servers: {subnets: [10.1.0.0/16]}
  jumbo: {subnets: [10.2.0.0/16], mtu: 9000}
  small: {subnets: [10.3.0.0/16], mtu: 1400}
  storage: {subnets: [10.5.0.0/24], vlan: 5, mtu: 9000}
  office: {subnets: [10.6.0.0/24], vlan: 6}
  tenant: {vlan: 2, over: servers, attach: always, mtu: 8000}
"""
GUEST = "guests:\n  g: {host: h, nics: [{network: tenant, mac: '52:54:00:00:00:01'}]}\n"


def mtus_of(*interfaces: str, guests: str = "") -> dict[str, Optional[int]]:
    """Return the MTU of every device by its name."""
    view = view_of(*interfaces, networks=NETWORKS, guests=guests)
    devices: list[Any] = [*view.nics, *view.bonds, *view.vlans, *view.bridges, *view.guest_vlans]
    return {device.name: device.mtu for device in devices}


BRIDGE = "br0: {type: bridge, ports: [eth0, eth1]%s}"


@pytest.mark.parametrize(
    ("keys", "nic", "mtus"),
    [
        ("", "", (None, None, None)),
        (", network: jumbo", "", (9000, 9000, 9000)),
        (", network: small", "", (1400, 1400, 1400)),
        (", mtu: 9000", "", (9000, 9000, 9000)),
        (", network: jumbo, mtu: 4000", "", (4000, 4000, 4000)),
        (", network: servers", "mtu: 9000", (9000, None, 1500)),  # else the bridge would inherit a larger one
        (", network: servers", "mtu: 1400", (1400, None, 1400)),
        (", network: small", "network: jumbo", (9000, 1400, 1400)),
    ],
)
def test_the_ports_of_a_bridge_have_its_mtu_or_a_larger_one(
    keys: str, nic: str, mtus: tuple[Optional[int], ...]
) -> None:
    found = mtus_of(f"eth0: {{{nic}}}", "eth1: {}", BRIDGE % keys)
    assert (found["eth0"], found["eth1"], found["br0"]) == mtus


def test_a_bridge_without_ports_has_its_own_mtu_or_that_of_its_network() -> None:
    assert mtus_of("br0: {type: bridge}") == {"br0": None}
    assert mtus_of("br0: {type: bridge, mtu: 9000}") == {"br0": 9000}
    assert mtus_of("br0: {type: bridge, network: jumbo}") == {"br0": 9000}


@pytest.mark.parametrize(
    ("interfaces", "mtus"),
    [
        (["eth0: {network: servers}", "br-eth0.5: {network: storage}"], (9000, 9000, 9000)),
        (["eth0: {network: servers, mtu: 9000}", "br-eth0.5: {network: storage}"], (9000, 9000, 9000)),
        (["eth0: {network: jumbo}", "br-eth0.6: {network: office}"], (9000, 9000, 1500)),
        (["eth0: {network: servers}", "br-eth0.6: {network: office}"], (None, None, None)),
        (["eth0: {network: servers}", "br-eth0.6: {network: office, mtu: 2000}"], (2000, 2000, 2000)),
    ],
)
def test_a_bridge_and_its_port_carry_the_vlans_over_the_bridge(
    interfaces: list[str], mtus: tuple[Optional[int], ...]
) -> None:
    assert tuple(mtus_of(*interfaces).values()) == (mtus[0], mtus[2], mtus[1])


def test_a_large_vlan_over_stacked_bridges_reaches_the_nic() -> None:
    found = mtus_of(
        "eth0: {}",
        "eth0.6: {bridge: br6}",
        "br6.7: {}",
        "br7: {type: bridge, ports: [br6.7]}",
        "br7.5: {network: storage}",
    )
    assert set(found.values()) == {9000} and len(found) == 6


def test_a_logical_vlan_is_over_the_bridge_and_not_over_its_port() -> None:
    found = mtus_of("eth0: {network: servers}", "br0: {type: bridge, ports: [eth0], network: servers}", guests=GUEST)
    assert found == {"eth0": 8000, "br0": 8000, "br0.2": 8000}


def test_two_bridges_of_one_name_have_an_mtu() -> None:
    """The checks report them; looking at them must end."""
    assert mtus_of("eth0: {bridge: eth0}", "eth1: {bridge: eth0}", "eth0.6: {bridge: eth0, mtu: 1400}")["eth0"] == 1400
