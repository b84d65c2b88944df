"""Reads which disks that the host needs come over a network. core/refusals/boot evaluates it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from kvmnet.core.live.surroundings import NetworkDisk
from kvmnet.host.text_files import read_text
from kvmnet.system import programs
from kvmnet.system.errors import HostError

#: Without these mount points the host does not work, and the rescue program does not run.
NEEDED = ("/", "/usr", "/etc", "/var", "/var/lib", "/var/lib/kvmnet")
_NETWORK_FS = re.compile(r"(nfs4?|cifs|smb3|smbfs|ceph|lustre|beegfs|afs|9p|fuse\.(glusterfs|sshfs|ceph|s3fs))\Z")


def find_network_disks(root: Path) -> Iterator[NetworkDisk]:
    """Yield the file systems that the host needs, and swap, that come over a network."""
    for line in read_text(root / "proc/mounts").splitlines():
        source, place, kind, options = [*line.split(" "), "", "", ""][:4]
        if place in NEEDED:
            origin = _read_network_mount(source, kind, options) or _find_network_block(root, source, place)
            if origin:
                yield _build_disk(place, *origin)
    for line in read_text(root / "proc/swaps").splitlines()[1:]:
        source = line.split()[0] if line.split() else ""
        origin = _find_network_block(root, source, source) if source else None
        if origin:
            yield _build_disk(f"swap on {source}", *origin)


#: The protocol, the server, and the interface, as far as they are known.
Origin = tuple[str, Optional[str], Optional[str]]


def _build_disk(use: str, kind: str, server: Optional[str], interface: Optional[str]) -> NetworkDisk:
    return NetworkDisk(use, kind, server, interface or (_find_interface_to(server) if server else None))


def _read_network_mount(source: str, kind: str, options: str) -> Optional[Origin]:
    """Return where a network file system comes from, or None for a local one."""
    if not _NETWORK_FS.match(kind) or (kind == "9p" and "trans=tcp" not in options.split(",")):
        return None  # 9p without TCP is a folder of the hypervisor
    address = re.search(r"(?:\A|,)addr=([^,]+)", options)
    return kind, address[1] if address else source.strip("/").rpartition(":")[0].strip("[]") or None, None


def _find_network_block(root: Path, source: str, place: str) -> Optional[Origin]:
    """Return where the first network disk under a block device, a file system or a swap file is, or None."""
    if re.match(r"/dev/(nbd|rbd)[0-9]", source):
        return source[5:8], None, None
    number = None
    for path, is_block in ((source, True), (place, False)):
        try:
            status = (root / path.lstrip("/")).stat()
        except OSError:
            continue
        number = status.st_rdev if is_block and status.st_rdev else status.st_dev
        break
    if not number:
        return None
    device = (root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    return next((origin for disk in _list_disks_under(device) if (origin := _read_network_disk(disk))), None)


def _list_disks_under(device: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the disks under a block device of sysfs: below partitions, LVM, RAID and encryption."""
    if not device.is_dir() or depth > 8:
        return
    lower_devices = sorted((device / "slaves").glob("*"))
    if (device / "partition").exists():
        lower_devices = [device.parent]
    if not lower_devices:
        yield device
    for path in lower_devices:
        yield from _list_disks_under(path.resolve(), depth + 1)


def _read_network_disk(disk: Path) -> Optional[Origin]:
    """Return where a disk of sysfs comes from, or None for a local one."""
    path = str(disk)
    if re.match(r"(nbd|rbd)[0-9]", disk.name):
        return disk.name[:3], None, None
    session = re.match(r"(.*/session[0-9]+)/", path)
    if session:
        addresses = sorted(Path(session[1]).glob("connection*/iscsi_connection/*/persistent_address"))
        return "iscsi", read_text(addresses[0]).strip() if addresses else None, None
    fcoe = re.search(r"/net/([^/]+)/ctlr_", path)
    if fcoe:
        return "fcoe", None, fcoe[1]
    transports = {read_text(p).strip() for p in (*disk.glob("device/transport"), *disk.glob("device/nvme*/transport"))}
    return (f"nvme over {min(transports)}", None, None) if transports & {"tcp", "rdma"} else None


def _find_interface_to(server: str) -> Optional[str]:
    """Return the interface of the route to an address; None for a host name, or if there is no route."""
    if not re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:]+", server):
        return None
    try:
        routes = programs.run_json("ip", "-j", "route", "get", server)
    except (HostError, ValueError):
        return None
    return str(routes[0]["dev"]) if routes and "dev" in routes[0] else None
