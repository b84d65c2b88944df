"""Reads what uses the network at boot before NetworkManager: cloud-init, the initramfs. core/refusals evaluates it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from kvmnet.host.text_files import absolute, read_text
from kvmnet.system import programs
from kvmnet.system.errors import HostError

#: Kernel command line options with which an initramfs activates a NIC: dracut.cmdline(7), and Debian's
#: initramfs-tools(7).
_BOOT_OPTION = re.compile(
    r"(ip=(?!(off|none)\Z)|rd\.neednet(=(?!0\Z)|\Z)|rd\.route=|bond=|bridge=|team=|vlan=|netroot=|nfsroot="
    r"|BOOTIF=|rd\.iscsi|rd\.nvmf|root=(nfs|iscsi|nbd|fcoe|live:(http|ftp|nfs)|[0-9.]+:))"
)


def find_cloud_init(root: Path) -> str:
    """Return the file that shows that cloud-init configures the network, or "" if it does not."""
    enabled = root / "run/cloud-init/enabled"  # written by its generator at boot
    if not enabled.exists() or (root / "etc/cloud/cloud-init.disabled").exists():
        return ""
    if "network-config=disabled" in read_text(root / "proc/cmdline").split():
        return ""
    off = re.compile(
        r"^network:\s*(\{\s*[\"']?config[\"']?:\s*[\"']?disabled|(#[^\n]*)?\n\s+config:\s*[\"']?disabled)", re.M
    )
    configs = [root / "etc/cloud/cloud.cfg", *sorted((root / "etc/cloud/cloud.cfg.d").glob("*.cfg"))]
    return "" if any(off.search(read_text(path)) for path in configs) else "/run/cloud-init/enabled"


def find_boot_network(root: Path) -> Iterator[str]:
    """Yield each sign that an initramfs activates a NIC, with its place."""
    for option in read_text(root / "proc/cmdline").split():
        if _BOOT_OPTION.match(option):
            yield f"{option} in /proc/cmdline"
    for path in [root / "etc/dracut.conf", *sorted((root / "etc/dracut.conf.d").glob("*.conf"))]:
        for line in read_text(path).splitlines():
            if re.match(r"\s*kernel_cmdline\s*\+?=", line):
                options = line.partition("=")[2].replace('"', " ").replace("'", " ").split()
                yield from (f"{one} in {absolute(root, path)}" for one in options if _BOOT_OPTION.match(one))
    for pattern in ("run/net-*.conf", "run/net6-*.conf", "run/initramfs/net.*"):
        yield from (absolute(root, path) for path in sorted(root.glob(pattern)))
    for path in sorted((root / "run/NetworkManager/system-connections").glob("*.nmconnection")):
        if "nm-initrd-generator" in read_text(path):
            yield f"the profile {absolute(root, path)}"


def find_initramfs_with_ours(root: Path) -> Iterator[str]:
    """Yield the initramfs images that have a .link file of kvmnet, or may have one.

    Listing an image takes a second or more, so images that are older than all of these files are skipped.
    """
    times = [path.stat().st_mtime for path in (root / "etc/systemd/network").glob("00-kvmnet-*.link")]
    for path in sorted([*root.glob("boot/initrd.img-*"), *root.glob("boot/initramfs-*.img")]):
        if not times or path.stat().st_mtime < min(times) or "kdump" in path.name or not os.access(path, os.R_OK):
            continue
        if _may_have_ours(path):
            yield absolute(root, path)


def _may_have_ours(image: Path) -> bool:
    """Whether an image has a .link file of kvmnet; also true if no program can list it."""
    for program in ("lsinitramfs", "lsinitrd"):
        with contextlib.suppress(HostError):
            return "00-kvmnet-" in programs.run(program, str(image), timeout=60)
    return True
