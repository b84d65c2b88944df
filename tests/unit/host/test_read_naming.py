"""Reading what names NICs besides kvmnet, with the files of a simulated root."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet.core.live.surroundings import LinkFile
from kvmnet.host import read_naming
from tests.unit.host.samples import write


def test_link_files_are_read_in_the_order_of_udev(tmp_path: Path) -> None:
    etc, vendor = tmp_path / "etc", tmp_path / "usr"
    write(
        etc,
        "10-site.link",
        "# ours\n[Match]\nMACAddress=a\nMACAddress=b \\\n  c\n\n[Link]\nName=lan\nWakeOnLan=magic\n",
    )
    write(etc, "10-site.link.d/more.conf", "[Link]\nMTUBytes=9000\nMACAddressPolicy=persistent\n[SR-IOV]\nTrust=1\n")
    write(etc, "00-kvmnet-peth0.link", "# Written by kvmnet: interface eth0 is the NIC x.\n[Match]\n")
    write(etc, "00-kvmnet-other.link", "[Match]\nOriginalName=*\n")
    write(etc, "20-hidden.link", "")
    write(vendor, "20-hidden.link", "[Match]\nOriginalName=*\n")
    write(vendor, "10-site.link", "[Match]\nOriginalName=hidden\n")
    write(vendor, "99-default.link", "[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep\nMACAddressPolicy=persistent\n")
    assert list(read_naming.read_link_files([etc, tmp_path / "nowhere", vendor])) == [
        LinkFile(f"{etc}/00-kvmnet-other.link", {"OriginalName": "*"}),
        LinkFile(f"{etc}/10-site.link", {"MACAddress": "a b c"}, ("WakeOnLan", "MTUBytes", "[SR-IOV]")),
        LinkFile(f"{vendor}/99-default.link", {"OriginalName": "*"}),
    ]


def test_udev_rules_that_assign_names_are_found(tmp_path: Path) -> None:
    rule = 'SUBSYSTEM=="net", ATTR{address}=="00:00:00:00:00:01", \\\n  NAME="eth0"\n'
    write(tmp_path, "a/70-persistent-net.rules", f'# NAME="x"\n{rule}ENV{{X}}=="1", NAME=="eth*", ENV{{NAME}}="y"\n')
    write(tmp_path, "a/80-net-setup-link.rules", 'NAME=="", ENV{ID_NET_NAME}!="", NAME="$env{ID_NET_NAME}"\n')
    write(tmp_path, "b/70-persistent-net.rules", 'NAME="replaced by the file of the same name"\n')
    write(tmp_path, "b/71-more.rules", 'NAME:="lan"\n')
    rules = list(read_naming.find_naming_rules([tmp_path / "a", tmp_path / "b"], tmp_path / "no"))
    assert [(r.file.rpartition("/")[2], r.text[-12:]) for r in rules] == [
        ("70-persistent-net.rules", ' NAME="eth0"'),
        ("71-more.rules", 'NAME:="lan"'),
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("quiet biosdevname=1", True),
        ("biosdevname=10", True),
        ("biosdevname=0", False),
        ("net.ifnames.prefix=net", False),
    ],
)
def test_a_vendor_rule_counts_if_the_kernel_command_line_enables_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, expected: bool
) -> None:
    write(tmp_path, "cmdline", words + "\n")
    write(tmp_path, "71-biosdevname.rules", "")
    monkeypatch.setattr(read_naming, "VENDOR_RULES", tmp_path)
    found = list(read_naming.find_naming_rules([], tmp_path / "no", tmp_path / "cmdline"))
    assert [rule.file for rule in found] == ([str(tmp_path / "71-biosdevname.rules")] if expected else [])
