"""The addresses by which the host is managed, and which interface has them before and after a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from kvmnet.core.base.nmstate import FAMILIES, interfaces_of
from kvmnet.core.effects.holdings import BY_DHCP4, BY_DHCP6, BY_ROUTER, Holdings, version_of_address
from kvmnet.core.effects.topology import Topologies, plain
from kvmnet.core.live.live_host import Live

_DEFAULT = ("0.0.0.0/0", "::/0")
#: Why an address is a management address.
BY_CONNECTION, BY_DEFAULT_ROUTE = "connection", "default route"


@dataclass(frozen=True)
class Management:
    """An address by which the host is managed.

    why: `BY_CONNECTION`, `BY_DEFAULT_ROUTE`.
    before, after: the interface that has it; `after` is None when none has it. kinds: the kernel's kinds of both, or
        `NIC`. below_before, below_after: what is below that interface (ports, base interface).
    dynamic: the address comes from DHCP or a router.
    mac: the MAC addresses before and after, where both are known and differ.
    """

    address: str
    why: str
    before: str
    after: Optional[str]
    below_before: tuple[str, ...]
    below_after: tuple[str, ...]
    kinds: tuple[str, str] = ("NIC", "NIC")
    dynamic: bool = False
    mac: Optional[tuple[str, str]] = None


def find_management(
    live: Live,
    topologies: Topologies,
    before: Mapping[str, Holdings],
    after: Mapping[str, Holdings],
    ip: str,
) -> list[Management]:
    """Return the address `ip`, by which the operator is connected. Without it, the first address of each interface that
    has a default route, of the same IP version."""
    found = _find_by_connection(live, ip, topologies, before)
    why = BY_CONNECTION if found else BY_DEFAULT_ROUTE
    if not found:
        for device, holdings in before.items():
            versions = {version_of_address(to) for to, _ in holdings.routes if to in _DEFAULT}
            for version in sorted(versions):
                found += [(device, a) for a in holdings.addresses if version_of_address(a) == version][:1]
    result = []
    for device, address in found:
        holder = _find_holder(device, address, topologies, before, after)
        macs = before[device].mac, after[holder].mac if holder else None
        mac = (str(macs[0]), str(macs[1])) if all(macs) and macs[0] != macs[1] else None
        result.append(
            Management(
                address,
                why,
                next((n for n, d in topologies.current.items() if d == device), plain(device)),
                plain(holder) if holder else None,
                _names_below(device, topologies, is_after=False),
                _names_below(holder, topologies, is_after=True) if holder else (),
                (topologies.before.kinds[device] or "NIC", (holder and topologies.after.kinds[holder]) or "NIC"),
                _is_dynamic(live, address),
                mac,
            )
        )
    return result


def _find_by_connection(
    live: Live, ip: str, topologies: Topologies, before: Mapping[str, Holdings]
) -> list[tuple[str, str]]:
    if not ip:
        return []
    held = [(device, a) for device, h in before.items() for a in h.addresses if a.partition("/")[0] == ip]
    by_virtual = [(topologies.current[v.interface], v.address) for v in live.virtual if v.ip == ip]
    return held[:1] or [(device, address) for device, address in by_virtual if device in before][:1]


def _find_holder(
    device: str,
    address: str,
    topologies: Topologies,
    before: Mapping[str, Holdings],
    after: Mapping[str, Holdings],
) -> Optional[str]:
    """Return the device that has the address after the change. One that comes from DHCP is expected where the interface
    above the same NIC asks for one: a host that keeps its identity gets the same address."""
    ip = address.partition("/")[0]
    holders = [d for d, h in after.items() if any(a.partition("/")[0] == ip for a in h.addresses)]
    if holders:
        return device if device in holders else holders[0]
    nics = {nic for nic, _ in topologies.before.paths(device)}
    asking = (BY_DHCP4,) if version_of_address(address) == 4 else (BY_DHCP6, BY_ROUTER)
    for other, holdings in after.items():
        gained = set(holdings.addresses) - set(before.get(other, Holdings()).addresses)
        if gained & set(asking) and nics & {nic for nic, _ in topologies.after.paths(other)}:
            return other
    return None


def _names_below(device: str, topologies: Topologies, *, is_after: bool) -> tuple[str, ...]:
    topology = topologies.after if is_after else topologies.before
    names = {} if is_after else {d: n for n, d in topologies.current.items()}
    return tuple(names.get(d, plain(d)) for d in topology.devices(device)[1:])


def _is_dynamic(live: Live, address: str) -> bool:
    ip = address.partition("/")[0]
    return address in (BY_DHCP4, BY_DHCP6, BY_ROUTER) or any(
        a["ip"] == ip and ("valid-life-time" in a or "valid-left" in a)
        for interface in interfaces_of(live.state)
        for family in FAMILIES
        for a in interface.get(family, {}).get("address", [])
    )
