"""Tests of kvmnet/core/live/running_guests.py."""

from __future__ import annotations

from dataclasses import replace

from kvmnet.core.live.running_guests import (
    GuestNic,
    RoutedNetwork,
    Running,
    RunningGuest,
    bridge_of,
    find_guests_on,
    guest_of,
    network_of,
)
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
    one = replace(one, stopped=(guest,), bridges={"lan": "br0"})
    assert Running.from_json(one.to_json()) == one
    assert Running.from_json({}) == Running()


def test_a_network_that_names_a_bridge_is_read() -> None:
    xml = "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>"
    assert bridge_of(xml) == ("lan", "br0")
    for other in (
        "<forward mode='nat'/><bridge name='virbr0'/>",
        "<forward mode='bridge'/>",
        "<bridge name='virbr1'/>",
    ):
        assert bridge_of(f"<network><name>n</name>{other}</network>") is None
    assert bridge_of("no") is None


def test_guests_on_a_bridge_are_found_directly_and_by_a_network() -> None:
    nics = {
        "a": GuestNic("bridge", source="br0"),
        "b": GuestNic("network", network="lan"),
        "c": GuestNic("network", network="other"),
        "d": GuestNic("direct", source="eth0"),
    }
    guests = tuple(RunningGuest(name, (nic,)) for name, nic in nics.items())
    running = Running(bridges={"lan": "br0"})
    assert find_guests_on("br0", guests, running) == ["a", "b"]
    assert find_guests_on("eth0", guests, running) == ["d"]
