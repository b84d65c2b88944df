"""Tests of kvmnet/host/read_surroundings.py, with the files of a simulated root, /proc and /sys included."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

import pytest

from kvmnet.core.live.surroundings import LinkFile, NetworkDisk
from kvmnet.host import read_surroundings
from kvmnet.system import programs
from kvmnet.system.errors import HostError


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


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
    assert list(read_surroundings.read_link_files([etc, tmp_path / "nowhere", vendor])) == [
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
    rules = list(read_surroundings.find_naming_rules([tmp_path / "a", tmp_path / "b"], tmp_path / "no"))
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
    monkeypatch.setattr(read_surroundings, "VENDOR_RULES", tmp_path)
    found = list(read_surroundings.find_naming_rules([], tmp_path / "no", tmp_path / "cmdline"))
    assert [rule.file for rule in found] == ([str(tmp_path / "71-biosdevname.rules")] if expected else [])


def test_initramfs_images_with_our_link_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images older than our files, and those of kdump, are not listed; an image that cannot be listed counts."""
    link = tmp_path / "etc/systemd/network/00-kvmnet-peth0.link"
    images = ("initrd.img-old", "initrd.img-with", "initrd.img-without", "initramfs-odd.img", "initramfs-5kdump.img")
    for path in (link, *(tmp_path / "boot" / name for name in images)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.utime(path, (1000 - path.name.endswith("old"), 1000 - path.name.endswith("old")))
    listed: list[str] = []

    def run(program: str, image: str, timeout: float) -> str:
        listed.append(f"{program} {Path(image).name}")
        if program == "lsinitrd" or image.endswith(".img"):
            raise HostError("not found")
        return f"usr/lib/systemd\netc/systemd/network/{link.name if image.endswith('with') else ''}\n"

    monkeypatch.setattr(programs, "run", run)
    found = list(read_surroundings.find_initramfs_with_ours(tmp_path))
    assert found == ["/boot/initramfs-odd.img", "/boot/initrd.img-with"]
    assert listed == [
        "lsinitramfs initramfs-odd.img",
        "lsinitrd initramfs-odd.img",
        "lsinitramfs initrd.img-with",
        "lsinitramfs initrd.img-without",
    ]
    link.unlink()
    assert list(read_surroundings.find_initramfs_with_ours(tmp_path)) == []


@pytest.mark.parametrize(
    ("files", "active"),
    [
        ({}, False),
        ({"run/cloud-init/enabled": ""}, True),
        ({"run/cloud-init/enabled": "", "etc/cloud/cloud-init.disabled": ""}, False),
        ({"run/cloud-init/enabled": "", "proc/cmdline": "ro network-config=disabled"}, False),
        ({"run/cloud-init/enabled": "", "etc/cloud/cloud.cfg.d/99.cfg": "network: {config: disabled}\n"}, False),
        ({"run/cloud-init/enabled": "", "etc/cloud/cloud.cfg": "users: []\nnetwork:\n  config: disabled\n"}, False),
        ({"run/cloud-init/enabled": "", "etc/cloud/cloud.cfg": "network:\n  version: 2\n"}, True),
        ({"run/cloud-init/enabled": "", "etc/cloud/cloud.cfg": "#network: {config: disabled}\n"}, True),
    ],
)
def test_cloud_init_counts_unless_it_is_disabled(tmp_path: Path, files: dict[str, str], active: bool) -> None:
    for path, text in files.items():
        write(tmp_path, path, text)
    assert bool(read_surroundings.find_cloud_init(tmp_path)) is active


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ro quiet root=UUID=x rd.neednet=0 ip=off eth0=daemon,x iplink=1", []),
        ("ip=dhcp", ["ip=dhcp"]),
        ("ip=10.0.0.2::10.0.0.1:255.0.0.0:h:eth0:none ro", ["ip=10.0.0.2::10.0.0.1:255.0.0.0:h:eth0:none"]),
        ("rd.neednet rd.route=10.0.0.0/8:10.0.0.1", ["rd.neednet", "rd.route=10.0.0.0/8:10.0.0.1"]),
        ("rd.neednet=1 BOOTIF=01-00 root=nfs4:10.1.1.1:/r", ["rd.neednet=1", "BOOTIF=01-00", "root=nfs4:10.1.1.1:/r"]),
    ],
)
def test_boot_options_that_activate_nics_are_found(tmp_path: Path, words: str, expected: list[str]) -> None:
    write(tmp_path, "proc/cmdline", words + "\n")
    assert list(read_surroundings.find_boot_network(tmp_path)) == [f"{word} in /proc/cmdline" for word in expected]


def test_traces_of_an_initramfs_that_activates_nics_are_found(tmp_path: Path) -> None:
    write(tmp_path, "etc/dracut.conf.d/nbde.conf", 'kernel_cmdline="rd.neednet=1 quiet"\n#kernel_cmdline="ip=dhcp"\n')
    write(tmp_path, "run/net-eth0.conf", "DEVICE=eth0\n")
    profiles = tmp_path / "run/NetworkManager/system-connections"
    write(profiles, "eth0.nmconnection", "[user]\norg.freedesktop.NetworkManager.origin=nm-initrd-generator\n")
    write(profiles, "lo.nmconnection", "[connection]\nid=lo\n")
    assert list(read_surroundings.find_boot_network(tmp_path)) == [
        "rd.neednet=1 in /etc/dracut.conf.d/nbde.conf",
        "/run/net-eth0.conf",
        "the profile /run/NetworkManager/system-connections/eth0.nmconnection",
    ]


def disks(root: Path, mounts: str = "", swaps: str = "") -> list[NetworkDisk]:
    write(root, "proc/mounts", mounts)
    write(root, "proc/swaps", "Filename Type Size Used Priority\n" + swaps)
    return list(read_surroundings.find_network_disks(root))


def test_network_file_systems_that_the_host_needs_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        read_surroundings, "_find_interface_to", lambda server: "eth0" if server == "10.1.1.1" else None
    )
    mounts = (
        "10.1.1.1:/root / nfs4 rw,vers=4.2,addr=10.1.1.1,x=1 0 0\n"
        "server:/var /var nfs rw 0 0\n"
        "10.1.1.1:/home /home nfs4 rw,addr=10.1.1.1 0 0\n"
        "host /etc 9p rw,trans=virtio 0 0\n"
        "proc /proc proc rw 0 0\n"
    )
    assert disks(tmp_path, mounts) == [
        NetworkDisk("/", "nfs4", "10.1.1.1", "eth0"),
        NetworkDisk("/var", "nfs", "server", None),
    ]


def test_a_network_disk_below_lvm_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LVM over a partition of an iSCSI disk, then a local disk."""
    monkeypatch.setattr(read_surroundings, "_find_interface_to", lambda server: f"way to {server}")
    devices = tmp_path / "sys/devices"
    session = devices / "platform/host3/session1"
    sda = session / "target3:0:0/3:0:0:1/block/sda"
    write(sda, "sda2/partition", "2\n")
    write(session, "connection1:0/iscsi_connection/connection1:0/persistent_address", "10.5.0.9\n")
    (devices / "virtual/block/dm-0/slaves").mkdir(parents=True)
    (devices / "virtual/block/dm-0/slaves/sda2").symlink_to(sda / "sda2")
    (devices / "pci0/ata1/block/sdb").mkdir(parents=True)
    number = tmp_path.stat().st_dev
    place = tmp_path / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    place.parent.mkdir(parents=True)
    place.symlink_to(devices / "virtual/block/dm-0")
    mounts = "/dev/mapper/vg-root / xfs rw 0 0\n"
    assert disks(tmp_path, mounts) == [NetworkDisk("/", "iscsi", "10.5.0.9", "way to 10.5.0.9")]
    place.unlink()
    place.symlink_to(devices / "pci0/ata1/block/sdb")
    assert disks(tmp_path, mounts) == []
    assert disks(tmp_path, mounts, "/dev/nbd0 partition 1 0 -2\n") == [NetworkDisk("swap on /dev/nbd0", "nbd")]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("virtual/block/nbd3", "nbd"),
        ("virtual/block/rbd0", "rbd"),
        ("pci0/net/ens1/ctlr_0/host9/rport-9:0-1/block/sdc", "fcoe"),
        ("pci0/nvme/nvme0/nvme0n1", None),
    ],
)
def test_network_disks_are_known_by_their_path(tmp_path: Path, path: str, kind: str | None) -> None:
    (tmp_path / path).mkdir(parents=True)
    origin = read_surroundings._read_network_disk(tmp_path / path)
    assert (origin[0] if origin else None) == kind
    assert kind != "fcoe" or (origin and origin[2] == "ens1")


def test_nvme_over_fabrics_is_a_network_disk(tmp_path: Path) -> None:
    write(tmp_path, "nvme0n1/device/transport", "pcie\n")
    assert read_surroundings._read_network_disk(tmp_path / "nvme0n1") is None
    write(tmp_path, "nvme1n1/device/nvme1/transport", "tcp\n")
    assert read_surroundings._read_network_disk(tmp_path / "nvme1n1") == ("nvme over tcp", None, None)


def test_the_free_space_of_a_missing_folder_is_that_of_its_parent(tmp_path: Path) -> None:
    (room,) = read_surroundings.read_free_space([str(tmp_path / "a/b")])
    assert room.path == str(tmp_path / "a/b") and room.bytes > 0


def answering(monkeypatch: pytest.MonkeyPatch, text: Optional[str]) -> None:
    def run(*argv: str, **_: object) -> str:
        if text is None:
            raise HostError("systemctl: not found")
        return text

    monkeypatch.setattr(programs, "run", run)


def test_active_and_starting_services_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "active\n\ninactive\n\nactivating\n")
    assert read_surroundings.find_active_services(["corosync", "pacemaker", "sbd"]) == ["corosync", "sbd"]


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "systemctl: not found"), ("", "reports 0"), ("active\n", "reports 1")]
)
def test_an_incomplete_answer_of_systemd_is_an_error(
    monkeypatch: pytest.MonkeyPatch, text: Optional[str], reason: str
) -> None:
    answering(monkeypatch, text)
    with pytest.raises(HostError, match=reason):
        read_surroundings.find_active_services(["corosync", "pacemaker"])
