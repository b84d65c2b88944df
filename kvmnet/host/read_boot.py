"""Reads the files that the next boot is computed from (core/boot). Only root may read connection profiles."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kvmnet.core.boot.boot_files import ETC_FOLDER, IFCFG_FOLDER, LIB_FOLDER, RUN_FOLDER, BootFiles
from kvmnet.core.boot.ifcfg import read_ifcfg
from kvmnet.core.boot.keyfile import KeyfileError, parse_keyfile, unescape
from kvmnet.core.boot.link_names import NamedNic, Sections, find_boot_name, parse_link_file
from kvmnet.core.boot.manager_settings import BootDevice, ManagerSettings, merge_settings
from kvmnet.core.boot.stored_profile import StoredProfile, find_fault, read_stored_profile
from kvmnet.core.live.live_host import Link, version_of
from kvmnet.host.ifupdown import read_stanzas

#: NetworkManager's folders of drop-ins in reading order (read_entire_config, nm-config.c). A file hides those of the
#: same name in folders that are read before it.
_LIB_CONFIG, _RUN_CONFIG = "usr/lib/NetworkManager/conf.d", "run/NetworkManager/conf.d"
_ETC_CONFIG, _MAIN_CONFIG = "etc/NetworkManager/conf.d", "etc/NetworkManager/NetworkManager.conf"
_STATE = "var/lib/NetworkManager"
#: Folders of .link files, the most important first (systemd.link(5)).
_LINK_FOLDERS = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
#: Files under /run that a program writes again at each boot.
_NETPLAN_PREFIX, _INITRAMFS_ORIGIN = "netplan-", "nm-initrd-generator"
_UUID_META = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.nmmeta\Z")
_TEMPORARY = re.compile(r"\.[A-Za-z0-9]{6}\Z")


@dataclass
class _Profiles:
    """What the folders of profiles contain."""

    profiles: list[StoredProfile] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_boot_files(
    links: Mapping[str, Link], active: Mapping[str, str], networkmanager: str, root: Path = Path("/")
) -> BootFiles:
    """Return what the next boot is computed from.

    `active` are the UUIDs of the devices' active profiles, `networkmanager` is NetworkManager's version, `root` is the
    host's root folder. Files that cannot be read are named in the result's `problems`.
    """
    version = version_of(networkmanager)
    settings, problems = _read_settings(root)
    read = _Profiles(problems=problems)
    etc_folder = (settings.value("keyfile", "path") or "").strip() or ETC_FOLDER
    for folder in (RUN_FOLDER, etc_folder, LIB_FOLDER):
        _read_keyfiles(root, folder, version, read)
    if "ifcfg-rh" in settings.plugins or not settings.plugins:
        _read_ifcfg_files(root, read)
    nics = tuple(_read_nics(root, [link for link in links.values() if link.mac and link.kind is None]))
    return BootFiles(
        profiles=tuple(read.profiles),
        hidden=tuple(read.hidden),
        settings=settings,
        timestamps=_read_timestamps(root),
        active=_at_boot(dict(active), links, nics),
        nics=nics,
        options=tuple(_read_text(root / "proc/cmdline").split()),
        unrecognized=tuple(_find_interfaces_of_ifupdown(root, settings)),
        version=version,
        problems=tuple(read.problems),
    )


def _at_boot(active: dict[str, str], links: Mapping[str, Link], nics: Iterable[BootDevice]) -> dict[str, str]:
    """Return the active profiles by the names that the NICs will have."""
    new_names = {link.name: nic.name for nic in nics for link in links.values() if link.mac == nic.mac}
    return {new_names.get(name, name): uuid for name, uuid in active.items()}


# ---- connection profiles


def _read_keyfiles(root: Path, folder: str, version: tuple[int, ...], read: _Profiles) -> None:
    for path in _list_folder(root / folder.lstrip("/")):
        name, file = path.name, f"{folder}/{path.name}"
        meta = _UUID_META.match(name)
        if meta:
            if folder not in (RUN_FOLDER, LIB_FOLDER) and _is_tombstone(path):
                read.hidden.append(meta[1])
            continue
        if _is_ignored(name, needs_suffix=folder in (RUN_FOLDER, LIB_FOLDER)):
            continue
        try:
            text, status = path.read_text(encoding="utf-8", errors="surrogateescape"), path.stat()
        except OSError as error:
            read.problems.append(f"{file} cannot be read: {error.strerror}")
            continue
        if folder == RUN_FOLDER and not (name.startswith(_NETPLAN_PREFIX) or _INITRAMFS_ORIGIN in text):
            continue  # a profile in memory: it is lost at the next boot
        fault = _find_permission_fault(status)
        try:
            profile = read_stored_profile(
                file, text, mtime=status.st_mtime_ns, regenerated=folder == RUN_FOLDER, version=version
            )
            fault = fault or find_fault(profile)
        except KeyfileError as error:
            fault = fault or str(error)
        if fault:
            read.problems.append(f"{file} is ignored by NetworkManager: {fault}")
        else:
            read.profiles.append(profile)


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_ignored(name: str, *, needs_suffix: bool) -> bool:
    """Whether NetworkManager ignores a file of this name (nm_keyfile_utils_ignore_filename)."""
    if name.startswith("."):
        return True
    if needs_suffix:
        return not name.endswith(".nmconnection")
    return name.endswith("~") or bool(_TEMPORARY.search(name)) or name.lower().endswith((".pem", ".der"))


def _find_permission_fault(status: os.stat_result) -> str:
    """Return why NetworkManager does not trust a keyfile, or "" (nms_keyfile_utils_check_file_permissions)."""
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_uid != 0:
        return f"its owner is user {status.st_uid}, not root"
    if status.st_mode & 0o077:
        return f"its mode is {stat.S_IMODE(status.st_mode):04o}, not 0600"
    return ""


def _is_tombstone(path: Path) -> bool:
    """Whether a .nmmeta file marks a profile as deleted: a link to /dev/null, or a file that names it."""
    with contextlib.suppress(OSError, KeyfileError):
        if path.is_symlink():
            return str(path.readlink()) == "/dev/null"
        meta = parse_keyfile(_read_text(path)).get("nmmeta", {})
        return unescape(meta.get("loaded-path", "")) == "/dev/null"
    return False


def _read_ifcfg_files(root: Path, read: _Profiles) -> None:
    for path in _list_folder(root / IFCFG_FOLDER.lstrip("/")):
        if (
            not path.name.startswith("ifcfg-")
            or path.name == "ifcfg-lo"
            or path.name.endswith(("~", ".rpmsave", ".bak"))
        ):
            continue
        with contextlib.suppress(OSError):
            profile = read_ifcfg(f"{IFCFG_FOLDER}/{path.name}", _read_text(path), mtime=path.stat().st_mtime_ns)
            if profile is not None:
                read.profiles.append(profile)


# ---- NetworkManager's configuration and state


def _read_settings(root: Path) -> tuple[ManagerSettings, list[str]]:
    in_etc = _list_drop_ins(root / _ETC_CONFIG)
    # A drop-in under /run is lost at the next boot, but for netplan's.
    in_run = [path for path in _list_drop_ins(root / _RUN_CONFIG) if path.name.startswith("netplan")]
    hidden_by = {path.name for path in (*in_etc, *in_run)}
    in_lib = [path for path in _list_drop_ins(root / _LIB_CONFIG) if path.name not in hidden_by]
    in_run = [path for path in in_run if path.name not in {other.name for other in in_etc}]
    paths = [*in_lib, *in_run, root / _MAIN_CONFIG, *in_etc, root / _STATE / "NetworkManager-intern.conf"]
    texts = [(str(path), _read_text(path)) for path in paths]
    return merge_settings(texts, _read_text(root / _STATE / "no-auto-default.state"))


def _list_drop_ins(folder: Path) -> list[Path]:
    return [path for path in _list_folder(folder) if path.name.endswith(".conf")]


def _read_timestamps(root: Path) -> dict[str, int]:
    """Return when each profile was active last, in seconds since 1970."""
    with contextlib.suppress(KeyfileError):
        rows = parse_keyfile(_read_text(root / _STATE / "timestamps")).get("timestamps", {})
        return {uuid: int(value) for uuid, value in rows.items() if value.strip().isdigit()}
    return {}


def _find_interfaces_of_ifupdown(root: Path, settings: ManagerSettings) -> Iterator[str]:
    """Yield the interfaces of /etc/network/interfaces, which NetworkManager leaves alone on Debian ([ifupdown] managed
    is false by default), and the ports of bridges whose names begin with `br` (nms-ifupdown-plugin.c). It does not
    leave such a bridge itself alone, but ifupdown has made it before."""
    is_managed = (settings.value("ifupdown", "managed") or "").strip().lower() in ("true", "1", "yes", "on")
    if "ifupdown" not in settings.plugins or is_managed:
        return
    for stanza in read_stanzas(root):
        yield stanza.name
        if stanza.name.startswith("br"):
            yield from stanza.bridge_ports


# ---- NICs


def _read_nics(root: Path, links: Iterable[Link]) -> Iterator[BootDevice]:
    files = list(_read_link_files(root))
    for link in links:
        properties = _read_udev_properties(root, link.name)
        driver = _read_driver(root, link.name)
        path = properties.get("ID_PATH")
        mac = link.mac or ""
        name = find_boot_name(NamedNic(link.name, mac, driver or "", path or ""), files)
        udev = properties.get("NM_UNMANAGED", "").strip().lower()
        is_managed = None if not udev else udev not in ("1", "true", "yes", "on")
        yield replace(BootDevice(name), mac=mac, driver=driver, path=path, udev_managed=is_managed)


def _read_driver(root: Path, name: str) -> str | None:
    try:
        return (root / "sys/class/net" / name / "device/driver").readlink().name
    except OSError:
        return None


def _read_udev_properties(root: Path, name: str) -> dict[str, str]:
    """Return udev's properties of a link, from udev's database."""
    index = _read_text(root / "sys/class/net" / name / "ifindex").strip()
    lines = _read_text(root / f"run/udev/data/n{index}").splitlines()
    return dict(line[2:].split("=", 1) for line in lines if line.startswith("E:") and "=" in line)


def _read_link_files(root: Path) -> Iterator[Sections]:
    """Yield the .link files with their drop-ins in the order in which udev uses them. Those under /run are lost at the
    next boot."""
    folders = [root / folder / "systemd/network" for folder in _LINK_FOLDERS if folder != "run"]
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in _list_folder(folder):
            if path.name.endswith(".link"):
                paths.setdefault(path.name, path)
    for name in sorted(paths):
        drop_ins = {p.name: p for folder in reversed(folders) for p in _list_folder(folder / f"{name}.d")}
        texts = [_read_text(drop_ins[n]) for n in sorted(drop_ins) if n.endswith(".conf")]
        yield parse_link_file("\n".join([_read_text(paths[name]), *texts]))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
