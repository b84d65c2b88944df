"""Tests of kvmnet/core/live/running_guests.py."""

from __future__ import annotations

from kvmnet.core.live.running_guests import GuestNic, RoutedNetwork, Running, RunningGuest, guest_of, network_of
from tests.unit.core.live.samples import DOMAIN, NAT


def test_the_nics_of_a_running_domain_are_read() -> None:
    mac = "36:77:6e:c0:00:0"
    assert guest_of(DOMAIN) == RunningGuest(
        "compute-0-0-0",
        (
            GuestNic("bridge", "vnet0", "eth0", mac=f"{mac}1"),
            GuestNic("direct", "macvtap0", "peth0.2", mac=f"{mac}2"),
            GuestNic("ethernet", "mvt-c00003", mac=f"{mac}3"),
            GuestNic("network", "vnet1", "virbr0", "default", mac=f"{mac}4"),
            GuestNic("hostdev", pci="0000:03:10.1", mac=f"{mac}5"),
            GuestNic("user"),
            GuestNic("hostdev", pci="0000:af:00.0"),
        ),
    )
    assert (guest_of(NAT), guest_of("<domain"), guest_of("")) == (None, None, None)


def test_only_networks_that_the_host_routes_are_read() -> None:
    assert network_of(NAT) == RoutedNetwork("default", ("eth1", "eth2"))
    assert network_of("<network><name>n</name><forward/></network>") == RoutedNetwork("n")
    for other in ("<forward mode='bridge'/><bridge name='eth0'/>", "", "<forward mode='hostdev'/>"):
        assert network_of(f"<network><name>n</name>{other}</network>") is None
    assert network_of("no") is None


def test_running_guests_are_written_to_json_and_read_back() -> None:
    guest = guest_of(DOMAIN)
    assert guest is not None
    one = Running((guest,), (RoutedNetwork("n", ("eth1",)),), {"0000:03:00.0": "eth0"}, {"v": "eth0"}, ("m",), "why")
    assert Running.from_json(one.to_json()) == one
    assert Running.from_json({}) == Running()
