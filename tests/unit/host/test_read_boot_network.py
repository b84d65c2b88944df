"""Reading what uses the network at boot, with the files of a simulated root, /proc included."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvmnet.host import read_boot_network
from kvmnet.system import programs
from kvmnet.system.errors import HostError
from tests.unit.host.samples import write


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
    found = list(read_boot_network.find_initramfs_with_ours(tmp_path))
    assert found == ["/boot/initramfs-odd.img", "/boot/initrd.img-with"]
    assert listed == [
        "lsinitramfs initramfs-odd.img",
        "lsinitrd initramfs-odd.img",
        "lsinitramfs initrd.img-with",
        "lsinitramfs initrd.img-without",
    ]
    link.unlink()
    assert list(read_boot_network.find_initramfs_with_ours(tmp_path)) == []


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
    assert bool(read_boot_network.find_cloud_init(tmp_path)) is active


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
    assert list(read_boot_network.find_boot_network(tmp_path)) == [f"{word} in /proc/cmdline" for word in expected]


def test_traces_of_an_initramfs_that_activates_nics_are_found(tmp_path: Path) -> None:
    write(tmp_path, "etc/dracut.conf.d/nbde.conf", 'kernel_cmdline="rd.neednet=1 quiet"\n#kernel_cmdline="ip=dhcp"\n')
    write(tmp_path, "run/net-eth0.conf", "DEVICE=eth0\n")
    profiles = tmp_path / "run/NetworkManager/system-connections"
    write(profiles, "eth0.nmconnection", "[user]\norg.freedesktop.NetworkManager.origin=nm-initrd-generator\n")
    write(profiles, "lo.nmconnection", "[connection]\nid=lo\n")
    assert list(read_boot_network.find_boot_network(tmp_path)) == [
        "rd.neednet=1 in /etc/dracut.conf.d/nbde.conf",
        "/run/net-eth0.conf",
        "the profile /run/NetworkManager/system-connections/eth0.nmconnection",
    ]
