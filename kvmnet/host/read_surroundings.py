"""Reads what else on the host decides whether a change is safe. core/refusals evaluates it.

It is read from files, /proc and /sys, with at most one program for each part, so that `plan` stays fast.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Optional

from kvmnet.core.live.live_host import Link
from kvmnet.core.live.surroundings import LinkFile, NamingRule, NetworkDisk, Room, Surroundings
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.system import programs
from kvmnet.system.errors import HostError

OURS = "# Written by kvmnet"
#: systemd.link(5): a file in an earlier folder replaces files of the same name in later ones.
LINK_DIRS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
_NAMING = ("Name", "NamePolicy", "AlternativeName", "AlternativeNamesPolicy", "Description", "Alias")
VENDOR_RULES = Path("/usr/lib/udev/rules.d")
RULE_DIRS = ("/etc/udev/rules.d", "/run/udev/rules.d")
#: Kernel command line options for which a vendor's udev rule names NICs before any .link file does (EL 9).
_RULE_OF_OPTION = {"biosdevname=1": "71-biosdevname.rules", "net.ifnames.prefix=": "71-prefixdevname.rules"}
CLUSTER = ("corosync", "pacemaker", "pacemaker_remote", "sbd", "sanlock", "cman", "ctdb")
#: Without these mount points the host does not work, and the rescue program does not run.
NEEDED = ("/", "/usr", "/etc", "/var", "/var/lib", "/var/lib/kvmnet")
_NETWORK_FS = re.compile(r"(nfs4?|cifs|smb3|smbfs|ceph|lustre|beegfs|afs|9p|fuse\.(glusterfs|sshfs|ceph|s3fs))\Z")
#: Kernel command line options with which an initramfs activates a NIC: dracut.cmdline(7), and Debian's
#: initramfs-tools(7).
_BOOT_OPTION = re.compile(
    r"(ip=(?!(off|none)\Z)|rd\.neednet(=(?!0\Z)|\Z)|rd\.route=|bond=|bridge=|team=|vlan=|netroot=|nfsroot="
    r"|BOOTIF=|rd\.iscsi|rd\.nvmf|root=(nfs|iscsi|nbd|fcoe|live:(http|ftp|nfs)|[0-9.]+:))"
)


def read_surroundings(
    manager: NetworkManager, links: Mapping[str, Link], state_dir: Path, link_files_go: bool
) -> Surroundings:
    """Return all surroundings, without what the user may not read.

    `link_files_go`: .link files of kvmnet are removed or changed, so the initramfs images are searched for them.
    """
    return Surroundings(
        unmanaged=tuple(_find_unmanaged(manager, [n.name for n in links.values() if n.mac and n.kind is None])),
        link_files=tuple(read_link_files([Path(d) / "systemd/network" for d in LINK_DIRS])),
        naming_rules=tuple(find_naming_rules([Path(d) for d in RULE_DIRS])),
        cloud_init=find_cloud_init(Path("/")),
        boot_network=tuple(find_boot_network(Path("/"))),
        initramfs=tuple(find_initramfs_with_ours(Path("/"))) if link_files_go else (),
        network_disks=tuple(find_network_disks(Path("/"))),
        cluster=tuple(find_active_services(CLUSTER)),
        room=tuple(read_free_space((str(state_dir), "/etc/NetworkManager", "/etc/systemd", "/run"))),
    )


def _find_unmanaged(manager: NetworkManager, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        try:
            if not manager.is_managed(name):
                yield name
        except NMError:
            yield name


def read_link_files(folders: Iterable[Path]) -> Iterator[LinkFile]:
    """Yield the .link files that kvmnet did not write, in the order in which udev uses them."""
    paths: dict[str, Path] = {}
    folders = list(folders)
    for folder in folders:
        for path in sorted(folder.glob("*.link")) if folder.is_dir() else []:
            paths.setdefault(path.name, path)
    for name in sorted(paths):
        text = _read_text(paths[name])
        # an empty file, or a link to /dev/null, only disables files of the same name
        if not text.strip() or (name.startswith("00-kvmnet-") and text.startswith(OURS)):
            continue
        drop_ins = {p.name: p for folder in reversed(folders) for p in folder.glob(f"{name}.d/*.conf")}
        sections = _parse_sections("\n".join([text, *(_read_text(drop_ins[n]) for n in sorted(drop_ins))]))
        yield LinkFile(str(paths[name]), sections.pop("Match", {}), tuple(_list_other_settings(sections)))


def _parse_sections(text: str) -> dict[str, dict[str, str]]:
    """Return the `Key=Value` lines of each [Section]. A repeated key adds to its value; an empty value clears it."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in (row.strip() for row in text.replace("\\\n", " ").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], {})
        elif line and line[0] not in "#;" and "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            current[key] = " ".join([*current.get(key, "").split(), *value.split()]) if value else ""
    return sections


def _list_other_settings(sections: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield the keys of a .link file that do more than name the NIC, and its other sections."""
    for section, keys in sections.items():
        if section == "Link":
            for key, value in keys.items():
                # these two keep the MAC address of a NIC
                if key not in _NAMING and not (key == "MACAddressPolicy" and value in ("persistent", "none")):
                    yield key
        elif keys:
            yield f"[{section}]"


def find_naming_rules(
    folders: Iterable[Path],
    ifcfg: Path = Path("/etc/sysconfig/network-scripts"),
    cmdline: Path = Path("/proc/cmdline"),
) -> Iterator[NamingRule]:
    """Yield the udev rules that assign NAME=.

    Of the vendor's rules only two kinds matter: 60-net.rules of the initscripts, if an ifcfg file has HWADDR=, and
    those that an option on the kernel command line enables.
    """
    names: set[str] = set()
    files = []
    for folder in folders:
        files += [p for p in sorted(folder.glob("*.rules")) if p.name not in names]
        names |= {p.name for p in files}
    vendor = VENDOR_RULES / "60-net.rules"
    if vendor.name not in names and vendor.exists() and any("HWADDR=" in _read_text(p) for p in ifcfg.glob("ifcfg-*")):
        files.append(vendor)
    for option, name in _RULE_OF_OPTION.items():
        path = VENDOR_RULES / name
        if path.exists() and re.search(rf"(?m)(^|\s){option}", _read_text(cmdline)):
            yield NamingRule(str(path), f'NAME="%c" ({option} in {cmdline})')
    for path in files:
        for line in _read_text(path).replace("\\\n", " ").splitlines():
            rule = line.strip()
            assigned = re.search(r'(?<![A-Z_])NAME\s*:?=\s*"([^"]*)"', rule)
            if assigned and not rule.startswith("#") and assigned[1] != "$env{ID_NET_NAME}":
                yield NamingRule(str(path), rule)


def find_cloud_init(root: Path) -> str:
    """Return the file that shows that cloud-init configures the network, or "" if it does not."""
    enabled = root / "run/cloud-init/enabled"  # written by its generator at boot
    if not enabled.exists() or (root / "etc/cloud/cloud-init.disabled").exists():
        return ""
    if "network-config=disabled" in _read_text(root / "proc/cmdline").split():
        return ""
    off = re.compile(
        r"^network:\s*(\{\s*[\"']?config[\"']?:\s*[\"']?disabled|(#[^\n]*)?\n\s+config:\s*[\"']?disabled)", re.M
    )
    configs = [root / "etc/cloud/cloud.cfg", *sorted((root / "etc/cloud/cloud.cfg.d").glob("*.cfg"))]
    return "" if any(off.search(_read_text(path)) for path in configs) else "/run/cloud-init/enabled"


def find_boot_network(root: Path) -> Iterator[str]:
    """Yield each sign that an initramfs activates a NIC, with its place."""
    for option in _read_text(root / "proc/cmdline").split():
        if _BOOT_OPTION.match(option):
            yield f"{option} in /proc/cmdline"
    for path in [root / "etc/dracut.conf", *sorted((root / "etc/dracut.conf.d").glob("*.conf"))]:
        for line in _read_text(path).splitlines():
            if re.match(r"\s*kernel_cmdline\s*\+?=", line):
                options = line.partition("=")[2].replace('"', " ").replace("'", " ").split()
                yield from (f"{one} in {_absolute(root, path)}" for one in options if _BOOT_OPTION.match(one))
    for pattern in ("run/net-*.conf", "run/net6-*.conf", "run/initramfs/net.*"):
        yield from (_absolute(root, path) for path in sorted(root.glob(pattern)))
    for path in sorted((root / "run/NetworkManager/system-connections").glob("*.nmconnection")):
        if "nm-initrd-generator" in _read_text(path):
            yield f"the profile {_absolute(root, path)}"


def find_initramfs_with_ours(root: Path) -> Iterator[str]:
    """Yield the initramfs images that have a .link file of kvmnet, or may have one.

    Listing an image takes a second or more, so images that are older than all of these files are skipped.
    """
    times = [path.stat().st_mtime for path in (root / "etc/systemd/network").glob("00-kvmnet-*.link")]
    for path in sorted([*root.glob("boot/initrd.img-*"), *root.glob("boot/initramfs-*.img")]):
        if not times or path.stat().st_mtime < min(times) or "kdump" in path.name or not os.access(path, os.R_OK):
            continue
        if _may_have_ours(path):
            yield _absolute(root, path)


def _may_have_ours(image: Path) -> bool:
    """Whether an image has a .link file of kvmnet; also true if no program can list it."""
    for program in ("lsinitramfs", "lsinitrd"):
        with contextlib.suppress(HostError):
            return "00-kvmnet-" in programs.run(program, str(image), timeout=60)
    return True


def find_network_disks(root: Path) -> Iterator[NetworkDisk]:
    """Yield the file systems that the host needs, and swap, that come over a network."""
    for line in _read_text(root / "proc/mounts").splitlines():
        source, place, kind, options = [*line.split(" "), "", "", ""][:4]
        if place in NEEDED:
            origin = _read_network_mount(source, kind, options) or _find_network_block(root, source, place)
            if origin:
                yield _build_disk(place, *origin)
    for line in _read_text(root / "proc/swaps").splitlines()[1:]:
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
        return "iscsi", _read_text(addresses[0]).strip() if addresses else None, None
    fcoe = re.search(r"/net/([^/]+)/ctlr_", path)
    if fcoe:
        return "fcoe", None, fcoe[1]
    transports = {_read_text(p).strip() for p in (*disk.glob("device/transport"), *disk.glob("device/nvme*/transport"))}
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


def find_active_services(services: Iterable[str]) -> list[str]:
    """Return the services that are active or starting. Raises HostError if systemd does not report all of them, since
    that does not mean that they are inactive."""
    names = tuple(services)
    units = (f"{name}.service" for name in names)
    states = programs.run("systemctl", "show", "--property=ActiveState", "--value", *units).split()
    if len(states) != len(names):
        raise HostError(f"systemctl show reports {len(states)} of {len(names)} services")
    return [n for n, state in zip(names, states) if state in ("active", "activating", "reloading")]


def read_free_space(places: Iterable[str]) -> Iterator[Room]:
    """Yield the free space for files in each folder. A folder that does not exist yet has that of its parent."""
    for place in places:
        path = Path(place)
        while not path.exists() and path != path.parent:
            path = path.parent
        status = os.statvfs(path)
        yield Room(place, status.f_bavail * status.f_frsize, status.f_favail if status.f_files else None)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _absolute(root: Path, path: Path) -> str:
    """Return the path as it is on the host whose root is `root`."""
    return f"/{path.relative_to(root)}"
