"""The names that .link files give to NICs."""

from __future__ import annotations

import pytest

from kvmnet.core.boot.link_names import NamedNic, find_boot_name, parse_link_file

MAC = "00:14:4f:80:de:00"
NIC = NamedNic("eth0", MAC, "virtio_net", "pci-0000:01:00.0")


def name_by(*texts: str) -> str:
    return find_boot_name(NIC, [parse_link_file(text) for text in texts])


@pytest.mark.parametrize(
    "match, name",
    [
        (f"PermanentMACAddress={MAC.upper()}", "lan0"),
        ("MACAddress=00:14:4f:80:de:01", "eth0"),
        ("OriginalName=eth*", "lan0"),
        ("OriginalName=!eth*", "eth0"),
        ("OriginalName=ens* eth0", "lan0"),
        ("Driver=virtio_net", "lan0"),
        ("Path=pci-*", "lan0"),
        ("Type=ether", "lan0"),
        ("Type=!ether", "eth0"),
        ("Kind=bridge", "eth0"),
        ("OriginalName=*\nHost=other", "eth0"),
        ("", "eth0"),
    ],
)
def test_conditions(match: str, name: str) -> None:
    assert name_by(f"[Match]\n{match}\n[Link]\nName=lan0\n") == name


def test_the_first_file_that_matches_counts() -> None:
    first, second = ("[Match]\nOriginalName=*\n[Link]\nName=lan0\n", "[Match]\nOriginalName=*\n[Link]\nName=lan1\n")
    assert name_by(first, second) == "lan0"
    assert name_by("[Match]\nOriginalName=*\n[Link]\nMTUBytes=9000\n", second) == "eth0", "it gives no name"
    assert name_by("[Match]\nOriginalName=*\n[Link]\nNamePolicy=path\nName=lan0\n", second) == "eth0", "not known"
    assert name_by() == "eth0"


def test_a_file_is_read_like_udev_reads_it() -> None:
    text = "# note\n[Match]\nOriginalName=a\\\nb\nOriginalName=c\nDriver=d\nDriver=\n; note\n[Link]\nName = lan0\n"
    assert parse_link_file(text) == {"Match": {"OriginalName": "a b c", "Driver": ""}, "Link": {"Name": "lan0"}}
