"""Refusals about .link files, udev rules, cloud-init and initramfs images that name NICs."""

from __future__ import annotations

import pytest

from kvmnet.core.live.live_host import Live
from kvmnet.core.live.surroundings import LinkFile, NamingRule
from tests.unit.core.refusals.samples import (
    assert_refused,
    find_codes,
    host_with,
)
from tests.unit.core.samples import MAC

CASES: list[tuple[str, Live, str]] = [
    (
        "KVN540",
        host_with(link_files=(LinkFile("/etc/systemd/network/00-a.link", {"OriginalName": "*"}),)),
        "/etc/systemd/network/00-a.link would take precedence over 00-kvmnet-peth0.link",
    ),
    (
        "KVN540",
        host_with(link_files=(LinkFile("/etc/systemd/network/00-a.link", {"MACAddress": MAC, "Driver": "e1000"}),)),
        "would take precedence",
    ),
    (
        "KVN540",
        host_with(link_files=(LinkFile("/etc/systemd/network/00-kvmnet-peth0.link", {"MACAddress": "x"}),)),
        "has the name of kvmnet's file for NIC eth0, but kvmnet did not write it",
    ),
    (
        "KVN541",
        host_with(
            link_files=(LinkFile("/etc/systemd/network/10-x.link", {"Type": "ether"}, ("WakeOnLan", "MTUBytes")),)
        ),
        "10-x.link sets WakeOnLan, MTUBytes for NIC eth0",
    ),
    (
        "KVN542",
        host_with(naming_rules=(NamingRule("/etc/udev/rules.d/70.rules", f'ATTR{{address}}=="{MAC}", NAME="eth0"'),)),
        "would name NIC eth0",
    ),
    (
        "KVN542",
        host_with(
            naming_rules=(NamingRule("/r", 'SUBSYSTEM=="net", ATTR{address}=="00:00:00:00:00:09", NAME="eth0"'),)
        ),
        "would give another NIC the name eth0",
    ),
    (
        "KVN542",
        host_with(naming_rules=(NamingRule("/r", 'SUBSYSTEM=="net", KERNEL=="eth*", NAME="lan%n"'),)),
        "/r would",
    ),
    ("KVN543", host_with(cloud_init="/run/cloud-init/enabled"), "cloud-init configures"),
    (
        "KVN545",
        host_with(initramfs=("/boot/initrd.img-6.1.0",)),
        "/boot/initrd.img-6.1.0 contains kvmnet's .link files",
    ),
]


@pytest.mark.guarantee("G61")
@pytest.mark.parametrize(("code", "live", "message"), CASES, ids=[f"{c[0]} {c[2][:30]}" for c in CASES])
def test_another_source_of_names_is_refused(code: str, live: Live, message: str) -> None:
    assert_refused(code, live, message)


ACCEPTED: dict[str, Live] = {
    "a later .link file": host_with(link_files=(LinkFile("/etc/systemd/network/10-x.link", {"OriginalName": "*"}),)),
    "another NIC's .link file": host_with(link_files=(LinkFile("/e/00-a.link", {"MACAddress": "00:00:00:00:00:09"}),)),
    "a .link file for bonds": host_with(link_files=(LinkFile("/e/00-a.link", {"Type": "bond"}),)),
    "a .link file for everything but NICs": host_with(link_files=(LinkFile("/e/00-a.link", {"Type": "!ether"}),)),
    "a .link file for virtual links": host_with(link_files=(LinkFile("/e/00-a.link", {"Kind": "veth"}),)),
    "a .link file for another name": host_with(link_files=(LinkFile("/e/00-a.link", {"OriginalName": "wl*"}),)),
    "a rule that gives the same name": host_with(
        naming_rules=(NamingRule("/r", f'ATTR{{address}}=="{MAC}", NAME="peth0"'),)
    ),
    "another NIC's rule": host_with(naming_rules=(NamingRule("/r", 'ATTR{address}=="00:00:00:00:00:09", NAME="lan"'),)),
    "a rule for disks": host_with(naming_rules=(NamingRule("/r", 'SUBSYSTEM=="block", NAME="x"'),)),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_host_is_not_refused_for(name: str) -> None:
    assert find_codes(ACCEPTED[name]) == []
