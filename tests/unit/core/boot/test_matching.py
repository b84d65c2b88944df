"""Whether a profile fits a device."""

from __future__ import annotations

import pytest

from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.boot.matching import matches_command_line, matches_patterns, profile_fits
from kvmnet.core.boot.stored_profile import read_stored_profile

MAC = "00:14:4f:80:de:00"
NIC = BootDevice("eth0", mac=MAC, driver="virtio_net", path="pci-0000:01:00.0")
OPTIONS = ("quiet", "root=/dev/vda1")


@pytest.mark.parametrize(
    "patterns, matches",
    [
        ([], True),
        (["eth*"], True),
        (["ens*", "eth0"], True),
        (["ens*"], False),
        (["!eth0"], False),
        (["!eth1"], True),
        (["eth*", "!eth0"], False),
        (["ens*", "!eth1"], False),
        (["&eth*"], True),
        (["&ens*"], False),
        (["&eth*", "ens*"], False),
        (["|eth*", "&eth?"], True),
        (["|!eth1"], True),
        (["|!eth0"], False),
        (["&!eth0"], False),
        (["eth[0-3]"], True),
        (["eth[^0]"], False),
        ([r"\eth0"], True),
    ],
)
def test_patterns(patterns: list[str], matches: bool) -> None:
    assert matches_patterns(patterns, "eth0") is matches


@pytest.mark.parametrize(
    "patterns, matches",
    [
        (["quiet"], True),
        (["root"], True),
        (["root=/dev/vda1"], True),
        (["root=/dev/sda"], False),
        (["nosuch"], False),
        (["!nosuch"], True),
        (["&quiet", "&nosuch"], False),
        (["|nosuch", "|root"], True),
        (["roo"], False),
    ],
)
def test_options_of_the_kernel(patterns: list[str], matches: bool) -> None:
    assert matches_command_line(patterns, OPTIONS) is matches


@pytest.mark.parametrize(
    "text, fits",
    [
        ("type=ethernet", True),
        ("type=bridge\ninterface-name=eth0", False),
        ("type=ethernet\ninterface-name=eth0", True),
        ("type=ethernet\ninterface-name=eth1", False),
        (f"type=ethernet\n[ethernet]\nmac-address={MAC}", True),
        ("type=ethernet\n[ethernet]\nmac-address=00:14:4f:80:de:01", False),
        (f"type=ethernet\n[ethernet]\nmac-address-denylist={MAC};", False),
        ("type=ethernet\n[match]\ndriver=virtio*", True),
        ("type=ethernet\n[match]\ndriver=e1000", False),
        ("type=ethernet\n[match]\npath=pci-0000:01:*", True),
        ("type=ethernet\n[match]\nkernel-command-line=quiet", True),
        ("type=ethernet\n[match]\nkernel-command-line=!quiet", False),
        ("type=ethernet\n[match]\nunknown-key=x", True),
    ],
)
def test_a_nic(text: str, fits: bool) -> None:
    profile = read_stored_profile("/etc/a.nmconnection", f"[connection]\n{text}\n")
    assert profile_fits(profile, NIC, OPTIONS) is fits


def test_whether_a_driver_matches_that_is_not_known_is_not_known() -> None:
    profile = read_stored_profile("/etc/a.nmconnection", "[connection]\ntype=ethernet\n[match]\ndriver=virtio*\n")
    unknown = BootDevice("eth0", mac=MAC)
    assert profile_fits(profile, unknown) is None
    assert profile_fits(profile.changed({"match": {"interface-name": "ens*"}}), unknown) is False


@pytest.mark.parametrize("text, fits", [("interface-name=br0", True), ("interface-name=br1", False), ("", False)])
def test_a_virtual_device_must_be_named(text: str, fits: bool) -> None:
    profile = read_stored_profile("/etc/a.nmconnection", f"[connection]\ntype=bridge\n{text}\n")
    assert profile_fits(profile, BootDevice("br0", "bridge")) is fits
