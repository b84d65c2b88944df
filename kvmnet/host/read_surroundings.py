"""Reads what else on the host decides whether a change is safe. core/refusals evaluates it.

It is read from files, /proc and /sys, with at most one program for each part, so that `plan` stays fast.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Optional

from kvmnet.core.live.live_host import Link
from kvmnet.core.live.surroundings import Room, Surroundings
from kvmnet.host.host_configuration import read_host_configuration
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.host.read_boot_network import find_boot_network, find_cloud_init, find_initramfs_with_ours
from kvmnet.host.read_managers import (
    find_interfaces_of_ifupdown,
    find_links_of_networkd,
    find_unmanaged_rules,
    read_manager_files,
)
from kvmnet.host.read_name_uses import find_name_uses
from kvmnet.host.read_naming import find_naming_rules, read_link_files
from kvmnet.host.read_network_disks import find_network_disks
from kvmnet.system import firewalld, programs
from kvmnet.system.errors import HostError

#: systemd.link(5): a file in an earlier folder replaces files of the same name in later ones.
LINK_DIRS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
RULE_DIRS = ("/etc/udev/rules.d", "/run/udev/rules.d")
NETWORKD = "systemd-networkd"
#: The folders of other programs in which kvmnet writes files, and /etc/hostname's.
WRITTEN = (
    "/etc",
    "/etc/NetworkManager/conf.d",
    "/etc/NetworkManager/system-connections",
    "/etc/systemd/network",
    "/etc/udev/rules.d",
)
#: ioctl_iflags(2): reads the flags of a file or folder; FS_IMMUTABLE_FL (`chattr +i`).
_GET_FLAGS, _IMMUTABLE = 0x80086601, 0x10
CLUSTER = ("corosync", "pacemaker", "pacemaker_remote", "sbd", "sanlock", "cman", "ctdb")


def read_surroundings(
    manager: NetworkManager, links: Mapping[str, Link], state_dir: Path, link_files_go: bool
) -> Surroundings:
    """Return all surroundings, without what the user may not read.

    `link_files_go`: .link files of kvmnet are removed or changed, so the initramfs images are searched for them.
    """
    root = Path("/")
    services = find_active_services((*CLUSTER, NETWORKD))
    return Surroundings(
        unmanaged=tuple(_find_unmanaged(manager, [n.name for n in links.values() if n.mac and n.kind is None])),
        link_files=tuple(read_link_files([Path(d) / "systemd/network" for d in LINK_DIRS])),
        naming_rules=tuple(find_naming_rules([Path(d) for d in RULE_DIRS])),
        cloud_init=find_cloud_init(root),
        boot_network=tuple(find_boot_network(root)),
        initramfs=tuple(find_initramfs_with_ours(root)) if link_files_go else (),
        network_disks=tuple(find_network_disks(root)),
        cluster=tuple(name for name in services if name != NETWORKD),
        room=tuple(read_free_space((str(state_dir), "/etc/NetworkManager", "/etc/systemd", "/run"))),
        manager_files=tuple(read_manager_files(root)),
        unmanaged_rules=tuple(find_unmanaged_rules(root)),
        networkd=dict(find_links_of_networkd(root)) if NETWORKD in services else {},
        ifupdown=dict(find_interfaces_of_ifupdown(root)),
        read_only=tuple(find_read_only_folders(WRITTEN)),
        name_uses=tuple(find_name_uses(root, [name for name in links if name != "lo"])),
        configuration=read_host_configuration(),
        zone_names=_read_zone_names(),
    )


def _read_zone_names() -> Optional[tuple[str, ...]]:
    """Return firewalld's zones, or None if it does not run or does not answer."""
    with contextlib.suppress(HostError):
        return tuple(firewalld.read_zone_names()) if firewalld.is_running() else None
    return None


def find_read_only_folders(folders: Iterable[str]) -> Iterator[str]:
    """Yield the folders in which no file can be written: their file system is mounted read-only, or they are immutable.
    A folder that does not exist yet counts as its parent."""
    for folder in folders:
        path = _find_existing(Path(folder))
        if os.statvfs(path).f_flag & os.ST_RDONLY or _is_immutable(path):
            yield folder


def _is_immutable(folder: Path) -> bool:
    """Whether a folder has the attribute of `chattr +i`. Not every file system has attributes."""
    flags = array.array("l", [0])
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            fcntl.ioctl(number, _GET_FLAGS, flags)
        finally:
            os.close(number)
    return bool(flags[0] & _IMMUTABLE)


def _find_existing(path: Path) -> Path:
    """Return the path, or the first of its parents that exists."""
    return next(p for p in (path, *path.parents) if p.exists())


def _find_unmanaged(manager: NetworkManager, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        try:
            if not manager.is_managed(name):
                yield name
        except NMError:
            yield name


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
        status = os.statvfs(_find_existing(Path(place)))
        yield Room(place, status.f_bavail * status.f_frsize, status.f_favail if status.f_files else None)
