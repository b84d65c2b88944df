"""Reads the facts of a host for `kvmnet doctor`. Nothing is changed, and a part that cannot be read is named.

It takes few programs, each once for everything: at most 3 s on a host with 60 connection profiles.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib
import os
import platform
import re
import shutil
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Optional, TypeVar

from kvmnet.core.base.probe import Probe
from kvmnet.core.live.host_facts import HostFacts, Service
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.host.connection_profiles import ManagerState, read_manager_state
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.host.nmstate import NmstateError, find_backend
from kvmnet.host.probing import find_replies
from kvmnet.host.read_boot import read_boot_files
from kvmnet.host.read_live import read_links
from kvmnet.host.read_surroundings import read_surroundings
from kvmnet.host.text_files import absolute, read_text
from kvmnet.system import firewalld, programs
from kvmnet.system.errors import HostError

#: The units that matter, as systemd knows them; without a suffix: services.
UNITS = (
    *("NetworkManager", "NetworkManager-wait-online", "firewalld", "nmstate", "network"),
    *("nm-cloud-setup", "nm-cloud-setup.timer", "libvirtd", "libvirtd.socket", "virtqemud", "virtqemud.socket"),
    *("chronyd", "chrony", "systemd-timesyncd"),
)
BOOLEANS = ("virt_hooks_unconfined",)
_BRIDGE_FILTERS = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables")
_HOOK = "etc/libvirt/hooks/qemu.d/kvmnet"
#: Seconds for the replies of name servers.
_PATIENCE = 0.5
#: Bytes that are enough for struct timex; its fields modes, offset, freq and maxerror come first.
_TIMEX_SIZE = 512
#: Microseconds: with a greater error the clock is not synchronized (src/basic/time-util.c of systemd).
_MAX_CLOCK_ERROR = 16_000_000
T = TypeVar("T")


def read_host_facts(state_dir: Path, known_nics: Optional[frozenset[str]], root: Path = Path("/")) -> HostFacts:
    """Return the facts of this host. `known_nics`: see `HostFacts`."""
    problems: list[str] = []

    def attempt(read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except (HostError, OSError, ValueError) as error:
            problems.append(str(error).splitlines()[0] if str(error) else repr(error))
            return default

    is_root = os.geteuid() == 0
    links: dict[str, Link] = attempt(read_links, {})
    no_services: Mapping[str, Service] = {}
    no_zones: Mapping[str, str] = {}
    services = attempt(_read_services, no_services)
    version, checkpoints, surroundings, problem = _ask_networkmanager(links, state_dir, attempt)
    profiles: Optional[ManagerState] = attempt(read_manager_state, None) if version else None
    active = {name: profile.uuid for name, profile in profiles.active.items()} if profiles is not None else {}
    has_firewalld = services.get("firewalld", Service()).is_active
    servers = tuple(find_name_servers(root))
    facts = HostFacts(
        is_root=is_root,
        package_manager="dnf" if shutil.which("dnf") else "apt-get",
        python=f"{sys.executable} ({platform.python_version()})",
        binding_problem=find_binding_problem(),
        nmstate=_read_nmstate_version(),
        networkmanager=version,
        networkmanager_problem=problem,
        libvirt=_read_libvirt_version(),
        services=services,
        links=links,
        profiles=profiles.profiles if profiles is not None else (),
        boot=attempt(lambda: read_boot_files(links, active, version), None) if is_root else None,
        checkpoints=checkpoints,
        zones=attempt(_read_zones, no_zones) if has_firewalld else None,
        default_zone=attempt(lambda: firewalld.call("getDefaultZone", interface=firewalld.BUS_NAME), "")
        if has_firewalld
        else "",
        open_transaction=(state_dir / "open").exists(),
        known_nics=known_nics,
        is_time_synchronized=attempt(read_clock, None),
        name_servers=servers,
        silent_servers=tuple(_find_silent(servers)) if is_root else (),
        surroundings=surroundings,
        problems=tuple(problems),
    )
    return dataclasses.replace(facts, **read_files(root))


def read_files(root: Path) -> dict[str, Any]:
    """Return the facts that files below /etc, /proc and /sys state, by the names of `HostFacts`."""
    selinux = root / "sys/fs/selinux"
    booleans = {name: read_text(selinux / "booleans" / name).split() for name in BOOLEANS}
    filters = [name for name in _BRIDGE_FILTERS if read_text(root / "proc/sys/net/bridge" / name).strip() == "1"]
    return {
        "selinux": read_text(selinux / "enforce").strip() == "1" if (selinux / "enforce").exists() else None,
        "booleans": {name: words[0] == "1" for name, words in booleans.items() if words},
        "bridge_filters": tuple(f"net.bridge.{name}" for name in filters),
        "has_kvm": (root / "dev/kvm").exists(),
        "has_hook": (root / _HOOK).exists(),
        "nmstate_files": tuple(find_unapplied_states(root)),
        "ifcfg_files": tuple(
            absolute(root, path)
            for path in sorted((root / "etc/sysconfig/network-scripts").glob("ifcfg-*"))
            if path.name != "ifcfg-lo"
        ),
        "options": tuple(read_text(root / "proc/cmdline").split()),
    }


def find_unapplied_states(root: Path) -> Iterator[str]:
    """Yield the states in /etc/nmstate that nmstate.service has not applied. After it has, the file is renamed to
    NAME.applied, or copied if its configuration keeps it."""
    for path in sorted((root / "etc/nmstate").glob("*.yml")):
        if not path.with_suffix(".applied").exists():
            yield absolute(root, path)


def find_name_servers(root: Path) -> Iterator[str]:
    """Yield the name servers of /etc/resolv.conf; those of systemd-resolved if that is a local stub."""
    path = root / "etc/resolv.conf"
    servers = re.findall(r"(?m)^\s*nameserver\s+(\S+)", read_text(path))
    if servers == ["127.0.0.53"]:
        path = root / "run/systemd/resolve/resolv.conf"
        servers = re.findall(r"(?m)^\s*nameserver\s+(\S+)", read_text(path)) or servers
    yield from dict.fromkeys(servers)


def find_binding_problem() -> str:
    """Return why this Python cannot import libnmstate; empty if it can."""
    try:
        importlib.import_module("libnmstate")
    except (ImportError, OSError) as error:
        return str(error)
    return ""


def _find_silent(servers: tuple[str, ...]) -> list[str]:
    probes = [Probe("dns", server) for server in servers]
    replies = find_replies(probes, _PATIENCE)
    replying = {probe.target for probe in (*replies.replied, *replies.through_guests)}  # one in a guest replies too
    return [server for server in servers if server not in replying]


def _read_services() -> Mapping[str, Service]:
    """Return the units that matter, with one call of systemctl."""
    properties = ("LoadState", "ActiveState", "UnitFileState")
    names = [name if "." in name else f"{name}.service" for name in UNITS]
    text = programs.run("systemctl", "show", f"--property={','.join(properties)}", *names)
    blocks = [dict(row.split("=", 1) for row in block.splitlines() if "=" in row) for block in text.split("\n\n")]
    if len(blocks) != len(UNITS):
        raise HostError(f"systemctl show reports {len(blocks)} of {len(UNITS)} units")
    return {name: _as_service(block) for name, block in zip(UNITS, blocks)}


def _as_service(block: Mapping[str, str]) -> Service:
    return Service(
        block.get("LoadState") == "loaded",
        block.get("ActiveState") in ("active", "activating", "reloading"),
        block.get("UnitFileState", "").startswith("enabled"),
    )


def _ask_networkmanager(
    links: Mapping[str, Link], state_dir: Path, attempt: Callable[[Callable[[], Any], Any], Any]
) -> tuple[str, tuple[str, ...], Surroundings, str]:
    """Return NetworkManager's version, its checkpoints, the surroundings, and why it does not answer."""
    try:
        with NetworkManager() as manager:
            version = manager.version()
            surroundings = attempt(lambda: read_surroundings(manager, links, state_dir, False), Surroundings())
            return version, tuple(manager.checkpoints()), surroundings, ""
    except NMError as error:
        return "", (), Surroundings(), str(error)


def _read_zones() -> Mapping[str, str]:
    return firewalld.read_zones()


def _read_nmstate_version() -> str:
    with contextlib.suppress(NmstateError, OSError):
        return find_backend().version()
    return ""


def _read_libvirt_version() -> str:
    with contextlib.suppress(HostError):
        return programs.run("virsh", "--version", timeout=2).strip()
    return ""


def read_clock() -> bool:
    """Return whether a time server has set the clock: by adjtimex(2) and the rule of systemd-timedated, which would
    have to be started first. Raises OSError."""
    buffer = ctypes.create_string_buffer(_TIMEX_SIZE)
    if ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex failed")
    max_error: int = struct.unpack_from("@illl", buffer)[3]
    return max_error < _MAX_CLOCK_ERROR
