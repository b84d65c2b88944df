"""Which interface has the management address."""

from __future__ import annotations

from typing import Any

from kvmnet.core.effects.holdings import Holdings
from kvmnet.core.effects.management import find_management
from kvmnet.core.effects.topology import Topologies, Topology
from tests.unit.core.samples import before

BOTH = ("10.1.255.254/16", "fd00::1/64")


def topologies(*devices: str) -> Topologies:
    topology = Topology(dict.fromkeys(devices), dict.fromkeys(devices), dict.fromkeys(devices))
    names = {device.lstrip("@"): device for device in devices}
    return Topologies(topology, topology.copy(), names, names, {}, {}, set(), set(), {})


def found(held: dict[str, Any], ip: str = "") -> list[tuple[str, str]]:
    inventory = {device: Holdings(*values) for device, values in held.items()}
    managed = find_management(before(), topologies(*held), inventory, inventory, ip)
    return [(one.before, one.address) for one in managed]


def test_each_default_route_gives_the_address_of_its_ip_version() -> None:
    held = {
        "@eth0": (BOTH, (("0.0.0.0/0", "10.1.1.1"),)),
        "@eth1": (("10.2.0.1/16", "fd01::1/64"), (("::/0", "fd01::2"),)),
        "@eth2": (("10.3.0.1/16",), (("10.9.0.0/16", "10.3.0.2"),)),
    }
    assert found(held) == [("eth0", "10.1.255.254/16"), ("eth1", "fd01::1/64")]


def test_the_address_of_the_connection_comes_first() -> None:
    held = {"@eth0": (BOTH, (("0.0.0.0/0", "10.1.1.1"),)), "@eth1": (("10.2.0.1/16",), ())}
    assert found(held, "10.2.0.1") == [("eth1", "10.2.0.1/16")]
    assert found(held, "192.0.2.7") == [("eth0", "10.1.255.254/16")], "an address that no interface has"


def test_a_host_without_a_default_route_has_none() -> None:
    assert found({"@eth0": (BOTH, ())}) == []
