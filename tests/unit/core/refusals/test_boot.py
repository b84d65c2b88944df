"""Refusals about hosts that need the network at boot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvmnet.core.live.live_host import Live
from kvmnet.core.live.surroundings import NetworkDisk, Surroundings
from tests.unit.core.refusals.samples import (
    OTHER_NIC,
    assert_refused,
    find_codes,
    host_with,
    links_with,
)
from tests.unit.core.samples import before

CASES: list[tuple[str, Live, str]] = [
    ("KVN550", host_with(boot_network=("ip=dhcp in /proc/cmdline",)), "ip=dhcp in /proc/cmdline"),
    ("KVN550", host_with(boot_network=("ip=eth0:dhcp in /proc/cmdline",)), "ip=eth0:dhcp"),
    (
        "KVN550",
        replace(
            before(),
            links=links_with(OTHER_NIC),
            surroundings=Surroundings(
                boot_network=("ip=10.0.0.9::10.0.0.1:255.0.0.0:eth1:eth0:none in /proc/cmdline",)
            ),
        ),
        "eth1:eth0:none",
    ),
    ("KVN550", host_with(boot_network=("rd.neednet=1 in /etc/dracut.conf.d/nbde.conf",)), "nbde.conf"),
    ("KVN551", host_with(network_disks=(NetworkDisk("/", "nfs4", "10.1.1.1", "eth0"),)), "/ is on the network (nfs4"),
    (
        "KVN551",
        host_with(network_disks=(NetworkDisk("swap on /dev/nbd0", "nbd"),)),
        "swap on /dev/nbd0 is on the network",
    ),
    (
        "KVN551",
        host_with(network_disks=(NetworkDisk("/var", "nfs4", "10.9.1.1", "eth1"),)),
        "is mounted too late at boot",
    ),
]


@pytest.mark.guarantee("G61")
@pytest.mark.parametrize(("code", "live", "message"), CASES, ids=[f"{c[0]} {c[2][:30]}" for c in CASES])
def test_a_host_that_boots_over_the_network_is_refused(code: str, live: Live, message: str) -> None:
    assert_refused(code, live, message)


ACCEPTED: dict[str, Live] = {
    "ip= for another NIC": replace(
        before(),
        links=links_with(OTHER_NIC),
        surroundings=Surroundings(boot_network=("ip=10.0.0.9::10.0.0.1:255.0.0.0:h:eth1:none in /proc/cmdline",)),
    ),
    "a root file system over another NIC": host_with(network_disks=(NetworkDisk("/", "nfs4", "10.9.1.1", "eth1"),)),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_host_is_not_refused_for(name: str) -> None:
    assert find_codes(ACCEPTED[name]) == []
