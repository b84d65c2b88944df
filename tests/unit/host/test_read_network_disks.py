"""Reading disks that come over a network, with the files of a simulated root, /proc and /sys included."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvmnet.core.live.surroundings import NetworkDisk
from kvmnet.host import read_network_disks
from tests.unit.host.samples import write


def disks(root: Path, mounts: str = "", swaps: str = "") -> list[NetworkDisk]:
    write(root, "proc/mounts", mounts)
    write(root, "proc/swaps", "Filename Type Size Used Priority\n" + swaps)
    return list(read_network_disks.find_network_disks(root))


def test_network_file_systems_that_the_host_needs_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        read_network_disks, "_find_interface_to", lambda server: "eth0" if server == "10.1.1.1" else None
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
    monkeypatch.setattr(read_network_disks, "_find_interface_to", lambda server: f"way to {server}")
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
    origin = read_network_disks._read_network_disk(tmp_path / path)
    assert (origin[0] if origin else None) == kind
    assert kind != "fcoe" or (origin and origin[2] == "ens1")


def test_nvme_over_fabrics_is_a_network_disk(tmp_path: Path) -> None:
    write(tmp_path, "nvme0n1/device/transport", "pcie\n")
    assert read_network_disks._read_network_disk(tmp_path / "nvme0n1") is None
    write(tmp_path, "nvme1n1/device/nvme1/transport", "tcp\n")
    assert read_network_disks._read_network_disk(tmp_path / "nvme1n1") == ("nvme over tcp", None, None)
