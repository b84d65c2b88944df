"""What else on the host decides whether a change is safe: facts only, judged by core/refusals.

Read from files and /proc, /sys; one program at most for each part, since a plan with nothing to do must be quick.
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
#: systemd.link(5): a file of an earlier folder hides those of its name in later ones.
LINK_DIRS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
_NAMING = ("Name", "NamePolicy", "AlternativeName", "AlternativeNamesPolicy", "Description", "Alias")
VENDOR_RULES = Path("/usr/lib/udev/rules.d")
RULE_DIRS = ("/etc/udev/rules.d", "/run/udev/rules.d")
#: Words of the kernel's command line that have a vendor's rule name NICs, ahead of every .link file (EL 9).
_BY_WORD = {"biosdevname=1": "71-biosdevname.rules", "net.ifnames.prefix=": "71-prefixdevname.rules"}
CLUSTER = ("corosync", "pacemaker", "pacemaker_remote", "sbd", "sanlock", "cman", "ctdb")
#: Without these the machine does not work, and the rescue program does not run.
NEEDED = ("/", "/usr", "/etc", "/var", "/var/lib", "/var/lib/kvmnet")
_NETWORK_FS = re.compile(r"(nfs4?|cifs|smb3|smbfs|ceph|lustre|beegfs|afs|9p|fuse\.(glusterfs|sshfs|ceph|s3fs))\Z")
#: dracut.cmdline(7), and Debian's initramfs-tools(7): what makes an initramfs bring up a NIC.
_BOOT_WORD = re.compile(
    r"(ip=(?!(off|none)\Z)|rd\.neednet(=(?!0\Z)|\Z)|rd\.route=|bond=|bridge=|team=|vlan=|netroot=|nfsroot="
    r"|BOOTIF=|rd\.iscsi|rd\.nvmf|root=(nfs|iscsi|nbd|fcoe|live:(http|ftp|nfs)|[0-9.]+:))"
)


def read_surroundings(
    manager: NetworkManager, links: Mapping[str, Link], state_dir: Path, link_files_go: bool
) -> Surroundings:
    """The whole reading. What somebody who is not root may not look at is left out."""
    return Surroundings(
        unmanaged=tuple(_unmanaged(manager, [n.name for n in links.values() if n.mac and n.kind is None])),
        link_files=tuple(link_files([Path(d) / "systemd/network" for d in LINK_DIRS])),
        naming_rules=tuple(naming_rules([Path(d) for d in RULE_DIRS])),
        cloud_init=cloud_init(Path("/")),
        boot_network=tuple(boot_network(Path("/"))),
        initramfs=tuple(initramfs_with_ours(Path("/"))) if link_files_go else (),
        network_disks=tuple(network_disks(Path("/"))),
        cluster=tuple(_active(CLUSTER)),
        room=tuple(_room((str(state_dir), "/etc/NetworkManager", "/etc/systemd", "/run"))),
    )


def _unmanaged(manager: NetworkManager, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        try:
            if not manager.manages(name):
                yield name
        except NMError:
            yield name


def link_files(folders: Iterable[Path]) -> Iterator[LinkFile]:
    """The .link files that are not ours, in the order that udev takes them."""
    found: dict[str, Path] = {}
    folders = list(folders)
    for folder in folders:
        for path in sorted(folder.glob("*.link")) if folder.is_dir() else []:
            found.setdefault(path.name, path)
    for name in sorted(found):
        text = _text(found[name])
        # an empty file, or a link to /dev/null, only hides one of its name
        if not text.strip() or (name.startswith("00-kvmnet-") and text.startswith(OURS)):
            continue
        drop_ins = {p.name: p for folder in reversed(folders) for p in folder.glob(f"{name}.d/*.conf")}
        sections = _sections("\n".join([text, *(_text(drop_ins[n]) for n in sorted(drop_ins))]))
        yield LinkFile(str(found[name]), sections.pop("Match", {}), tuple(_beyond_names(sections)))


def _sections(text: str) -> dict[str, dict[str, str]]:
    """[Section] Key=Value lines; a key that comes again adds to the first, an empty value clears it."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in (row.strip() for row in text.replace("\\\n", " ").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], {})
        elif line and line[0] not in "#;" and "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            current[key] = " ".join([*current.get(key, "").split(), *value.split()]) if value else ""
    return sections


def _beyond_names(sections: dict[str, dict[str, str]]) -> Iterator[str]:
    for section, keys in sections.items():
        if section == "Link":
            for key, value in keys.items():
                # a NIC has a MAC of its own, which these two leave alone
                if key not in _NAMING and not (key == "MACAddressPolicy" and value in ("persistent", "none")):
                    yield key
        elif keys:
            yield f"[{section}]"


def naming_rules(
    folders: Iterable[Path],
    ifcfg: Path = Path("/etc/sysconfig/network-scripts"),
    cmdline: Path = Path("/proc/cmdline"),
) -> Iterator[NamingRule]:
    """The rules of udev that assign NAME=. The vendor's own folder is not looked at but for the initscripts'
    60-net.rules, which acts when an ifcfg file has HWADDR=, and for those that the kernel's command line asks for."""
    seen: set[str] = set()
    files = []
    for folder in folders:
        files += [p for p in sorted(folder.glob("*.rules")) if p.name not in seen]
        seen |= {p.name for p in files}
    vendor = VENDOR_RULES / "60-net.rules"
    if vendor.name not in seen and vendor.exists() and any("HWADDR=" in _text(p) for p in ifcfg.glob("ifcfg-*")):
        files.append(vendor)
    for word, name in _BY_WORD.items():
        path = VENDOR_RULES / name
        if path.exists() and re.search(rf"(?m)(^|\s){word}", _text(cmdline)):
            yield NamingRule(str(path), f'NAME="%c" ({word} in {cmdline})')
    for path in files:
        for line in _text(path).replace("\\\n", " ").splitlines():
            rule = line.strip()
            assigned = re.search(r'(?<![A-Z_])NAME\s*:?=\s*"([^"]*)"', rule)
            if assigned and not rule.startswith("#") and assigned[1] != "$env{ID_NET_NAME}":
                yield NamingRule(str(path), rule)


def cloud_init(root: Path) -> str:
    """What shows that cloud-init configures the network here; empty when it does not, or is told not to."""
    enabled = root / "run/cloud-init/enabled"  # written by its generator at boot
    if not enabled.exists() or (root / "etc/cloud/cloud-init.disabled").exists():
        return ""
    if "network-config=disabled" in _text(root / "proc/cmdline").split():
        return ""
    off = re.compile(
        r"^network:\s*(\{\s*[\"']?config[\"']?:\s*[\"']?disabled|(#[^\n]*)?\n\s+config:\s*[\"']?disabled)", re.M
    )
    configs = [root / "etc/cloud/cloud.cfg", *sorted((root / "etc/cloud/cloud.cfg.d").glob("*.cfg"))]
    return "" if any(off.search(_text(path)) for path in configs) else "/run/cloud-init/enabled"


def boot_network(root: Path) -> Iterator[str]:
    """What shows that an initramfs brings up a NIC, each with where it was found."""
    for word in _text(root / "proc/cmdline").split():
        if _BOOT_WORD.match(word):
            yield f"{word} in /proc/cmdline"
    for path in [root / "etc/dracut.conf", *sorted((root / "etc/dracut.conf.d").glob("*.conf"))]:
        for line in _text(path).splitlines():
            if re.match(r"\s*kernel_cmdline\s*\+?=", line):
                words = line.partition("=")[2].replace('"', " ").replace("'", " ").split()
                yield from (f"{word} in {_from(root, path)}" for word in words if _BOOT_WORD.match(word))
    for pattern in ("run/net-*.conf", "run/net6-*.conf", "run/initramfs/net.*"):
        yield from (_from(root, path) for path in sorted(root.glob(pattern)))
    for path in sorted((root / "run/NetworkManager/system-connections").glob("*.nmconnection")):
        if "nm-initrd-generator" in _text(path):
            yield f"the profile {_from(root, path)}"


def initramfs_with_ours(root: Path) -> Iterator[str]:
    """The images of an initramfs that have a .link file of ours, or may: to list one takes a second and more, so of
    those that are older than all of our files nobody is asked."""
    times = [path.stat().st_mtime for path in (root / "etc/systemd/network").glob("00-kvmnet-*.link")]
    for path in sorted([*root.glob("boot/initrd.img-*"), *root.glob("boot/initramfs-*.img")]):
        if not times or path.stat().st_mtime < min(times) or "kdump" in path.name or not os.access(path, os.R_OK):
            continue
        if _may_have_ours(path):
            yield _from(root, path)


def _may_have_ours(image: Path) -> bool:
    for program in ("lsinitramfs", "lsinitrd"):
        with contextlib.suppress(HostError):
            return "00-kvmnet-" in programs.run(program, str(image), timeout=60)
    return True


def network_disks(root: Path) -> Iterator[NetworkDisk]:
    """What the machine needs, file systems and swap, that comes over a network."""
    for line in _text(root / "proc/mounts").splitlines():
        source, place, kind, options = [*line.split(" "), "", "", ""][:4]
        if place in NEEDED:
            found = _network_mount(source, kind, options) or _network_block(root, source, place)
            if found:
                yield _disk(place, *found)
    for line in _text(root / "proc/swaps").splitlines()[1:]:
        source = line.split()[0] if line.split() else ""
        found = _network_block(root, source, source) if source else None
        if found:
            yield _disk(f"swap on {source}", *found)


def _disk(use: str, kind: str, server: Optional[str], interface: Optional[str]) -> NetworkDisk:
    return NetworkDisk(use, kind, server, interface or (_way_to(server) if server else None))


def _network_mount(source: str, kind: str, options: str) -> Optional[tuple[str, Optional[str], Optional[str]]]:
    if not _NETWORK_FS.match(kind) or (kind == "9p" and "trans=tcp" not in options.split(",")):
        return None  # 9p mostly is the folder of a virtual machine's host
    given = re.search(r"(?:\A|,)addr=([^,]+)", options)
    return kind, given[1] if given else source.strip("/").rpartition(":")[0].strip("[]") or None, None


def _network_block(root: Path, source: str, place: str) -> Optional[tuple[str, Optional[str], Optional[str]]]:
    """What is under a block device, a file system or a swap file: the first disk that is at another machine."""
    if re.match(r"/dev/(nbd|rbd)[0-9]", source):
        return source[5:8], None, None
    number = None
    for path, block in ((source, True), (place, False)):
        try:
            about = (root / path.lstrip("/")).stat()
        except OSError:
            continue
        number = about.st_rdev if block and about.st_rdev else about.st_dev
        break
    if not number:
        return None
    device = (root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    return next((found for disk in _disks_under(device) if (found := _network_disk_of(disk))), None)


def _disks_under(device: Path, depth: int = 0) -> Iterator[Path]:
    if not device.is_dir() or depth > 8:
        return
    below = sorted((device / "slaves").glob("*"))
    if (device / "partition").exists():
        below = [device.parent]
    if not below:
        yield device
    for path in below:
        yield from _disks_under(path.resolve(), depth + 1)


def _network_disk_of(disk: Path) -> Optional[tuple[str, Optional[str], Optional[str]]]:
    path = str(disk)
    if re.match(r"(nbd|rbd)[0-9]", disk.name):
        return disk.name[:3], None, None
    session = re.match(r"(.*/session[0-9]+)/", path)
    if session:
        found = sorted(Path(session[1]).glob("connection*/iscsi_connection/*/persistent_address"))
        return "iscsi", _text(found[0]).strip() if found else None, None
    fcoe = re.search(r"/net/([^/]+)/ctlr_", path)
    if fcoe:
        return "fcoe", None, fcoe[1]
    transports = {_text(p).strip() for p in (*disk.glob("device/transport"), *disk.glob("device/nvme*/transport"))}
    return (f"nvme over {min(transports)}", None, None) if transports & {"tcp", "rdma"} else None


def _way_to(server: str) -> Optional[str]:
    """The interface on the way to an address; None for a name, or when there is no way."""
    if not re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:]+", server):
        return None
    try:
        routes = programs.run_json("ip", "-j", "route", "get", server)
    except (HostError, ValueError):
        return None
    return str(routes[0]["dev"]) if routes and "dev" in routes[0] else None


def _active(services: Iterable[str]) -> list[str]:
    """Those that systemd has started; raises Failed when it does not tell of each: that would not mean that none is."""
    names = tuple(services)
    told = programs.run("systemctl", "show", "--property=ActiveState", "--value", *(f"{n}.service" for n in names))
    states = told.split()
    if len(states) != len(names):
        raise HostError(f"systemctl show: {len(names)} services, of which it tells {len(states)}")
    return [n for n, state in zip(names, states) if state in ("active", "activating", "reloading")]


def _room(places: Iterable[str]) -> Iterator[Room]:
    for place in places:
        path = Path(place)
        while not path.exists() and path != path.parent:
            path = path.parent
        about = os.statvfs(path)
        yield Room(place, about.f_bavail * about.f_frsize, about.f_favail if about.f_files else None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _from(root: Path, path: Path) -> str:
    return f"/{path.relative_to(root)}"
