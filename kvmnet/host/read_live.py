"""Reads the live host: nmstate, NetworkManager, the kernel's links, firewalld, and kvmnet's own files in /etc."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from kvmnet.core.base.nmstate import State
from kvmnet.core.live.kernel_only import add_networkmanager, has_no_lifetimes, is_all_static, needs_only_kernel
from kvmnet.core.live.live_host import Link, Live, Owned
from kvmnet.core.live.virtual_addresses import Claim, VirtualAddress, separate_virtual, stated_addresses
from kvmnet.core.rendering.guest_settings import FILES
from kvmnet.host.connection_profiles import ManagerState
from kvmnet.host.networkmanager_dbus import NetworkManager
from kvmnet.host.nmstate import Backend
from kvmnet.host.read_boot import read_boot_files
from kvmnet.host.virtual_addresses import read_claims, read_marks
from kvmnet.system import firewalld, links, programs

LINK_DIR = Path("/etc/systemd/network")
OURS = "00-kvmnet-*.link"
NET = Path("/sys/class/net")


@dataclass(frozen=True)
class AppliedRecord:
    """What the last apply recorded on this host: the digest of its bundle, the text of the hook's record, the
    interfaces that belong to kvmnet by name, the state, the kernel names that NICs had before kvmnet by permanent MAC,
    and the settings of connection profiles. See `Live` for the values of the first two."""

    digest: Optional[str] = None
    hook: Optional[str] = None
    owned: Mapping[str, Owned] = field(default_factory=dict)
    state: State = field(default_factory=dict)
    first_names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_hostname() -> str:
    """Return the host's name as the kernel has it, with or without a domain."""
    return socket.gethostname()


def read_links() -> dict[str, Link]:
    """Return all links of the kernel by name. Fast; needs neither nmstate nor NetworkManager."""
    rows = links.read_ip_links()
    all_multicast = {row["ifname"] for row in rows if links.receives_all_multicast(row)}
    return {
        name: Link(
            name,
            link["mac"] if link["type"] == "ether" else None,
            None if _is_infiniband_port(name, link["kind"]) else link["kind"],
            tuple(link["altnames"]),
            link["master"],
            _find_base(name) if link["kind"] else None,
            link["options"],
            link["address"],
            name in all_multicast,
        )
        for name, link in links.read_links(rows).items()
    }


def _is_infiniband_port(name: str, kind: Optional[str]) -> bool:
    """Whether a link is an IPoIB interface of a NIC: the kernel gives it the same kind as its partitions, which have a
    base interface."""
    return kind == "ipoib" and not list((NET / name).glob("lower_*"))


def _find_base(name: str) -> Optional[str]:
    """Return the base interface of a VLAN or macvtap, or None. The ports of a bridge or bond name their controller."""
    if (NET / name / "bridge").exists() or (NET / name / "bonding").exists():
        return None
    lower = sorted(path.name for path in (NET / name).glob("lower_*"))
    return lower[0].partition("_")[2] if lower else None


def read_live_host(
    backend: Backend,
    manager: NetworkManager,
    networkmanager: ManagerState,
    record: AppliedRecord,
    compared: Optional[State] = None,
) -> Live:
    """Return the live host without its surroundings, which are read only when there is a change.

    `networkmanager` is what NetworkManager reports. `compared` is the state that a plan will compare with the live one:
    nmstate returns only what that needs; without it nmstate returns everything. Raises NmstateError or NMError if
    nmstate or NetworkManager do not answer.
    """
    links = read_links()
    zones = None
    if firewalld.is_running():
        zones = {name: zone for name, zone in firewalld.read_zones().items() if name in links}
    state, virtual, claims = _separate_virtual(_read_state(backend, networkmanager, compared), networkmanager, compared)
    version = manager.version()
    active = {name: profile.uuid for name, profile in networkmanager.active.items()}
    return Live(
        hostname=read_hostname(),
        state=state,
        links=links,
        profiles=networkmanager.active,
        link_files={path.name: _read_text(path) for path in sorted(LINK_DIR.glob(OURS))},
        zones=zones,
        applied=record.digest,
        hook=record.hook,
        checkpoints=tuple(manager.checkpoints()),
        nmstate=backend.version(),
        networkmanager=version,
        settings={path: _read_text(Path(path)) for path in FILES if Path(path).is_file()},
        owned=record.owned,
        applied_state=record.state,
        first_names=record.first_names,
        idle=networkmanager.idle,
        temporary=_read_temporary_addresses(networkmanager),
        virtual=virtual,
        claims=claims,
        applied_settings=record.settings,
        boot=read_boot_files(links, active, version) if os.geteuid() == 0 else None,
    )


def _separate_virtual(
    state: State, networkmanager: ManagerState, desired: Optional[State]
) -> tuple[State, tuple[VirtualAddress, ...], tuple[Claim, ...]]:
    """Return the state without virtual addresses, these, and all claims. What `desired` or an active connection profile
    contains is not virtual."""
    claims, marks = read_claims(), read_marks()
    if not claims and not marks:
        return state, (), ()
    own = stated_addresses(desired or {}) | {str(ipaddress.ip_interface(a).ip) for a in networkmanager.addresses}
    claims = tuple(claim for claim in claims if claim.ip not in own)
    return (*separate_virtual(state, claims, marks, own), claims)


def _read_temporary_addresses(networkmanager: ManagerState) -> tuple[str, ...]:
    """Return the temporary IPv6 addresses (RFC 8981). They matter only if NetworkManager uses router advertisements."""
    if "6" not in links.read_families() or not any("auto" in d.asks[1:] for d in networkmanager.devices.values()):
        return ()
    rows = programs.run_json("ip", "-j", "-6", "address", "show", "temporary")
    return tuple(a["local"] for link in rows for a in link.get("addr_info", []) if a.get("temporary"))


def _read_state(backend: Backend, networkmanager: ManagerState, compared: Optional[State]) -> State:
    """Return the output of nmstate's `show`, or only the part that a plan compares with `compared`, which is faster."""
    if compared is not None and needs_only_kernel(compared) and is_all_static(networkmanager.devices):
        kernel = backend.show(kernel_only=True)
        if has_no_lifetimes(kernel):
            return add_networkmanager(kernel, networkmanager.devices)
    return backend.show()


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
