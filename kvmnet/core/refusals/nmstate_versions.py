"""Refusals of what the host's version of nmstate cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvmnet.core.base.nmstate import FAMILIES, interfaces_of
from kvmnet.core.live.live_host import version_of
from kvmnet.core.refusals import Case, Refusal, refusal

#: Before this version, nmstate ignores static addresses of a family that uses DHCP or router advertisements: it only
#: logs a line.
STATIC_BESIDE_DYNAMIC = (2, 2, 10)


@refusal("KVN519", "nmstate ignores static addresses beside DHCP")
def static_beside_dynamic(case: Case) -> Iterator[Refusal]:
    """
    An interface of the definition has static addresses, and also gets addresses of the same family (IPv4 or IPv6) by
    DHCP or from a router. nmstate before 2.2.10 (EL 9.2 has 2.2.9) ignores the static ones. Update nmstate, or use
    either static addresses or DHCP.
    """
    version = version_of(case.live.nmstate)
    if not version or version >= STATIC_BESIDE_DYNAMIC:
        return
    for interface in interfaces_of(case.bundle.state):
        for family in FAMILIES:
            settings = interface.get(family, {})
            if settings.get("address") and (settings.get("dhcp") or settings.get("autoconf")):
                address = settings["address"][0]["ip"]
                message = f"nmstate {case.live.nmstate} would ignore the address {address} of {interface['name']}"
                reason = f"{message}, because {family} is not static alone"
                yield Refusal("KVN519", reason, "update nmstate to 2.2.10 or later, or remove one of the two")


#: The version of nmstate that brought a setting, by its place in an interface. All others are in 2.2.9, the oldest that
#: kvmnet accepts.
BROUGHT_BY: Mapping[tuple[str, ...], tuple[int, ...]] = {
    ("vlan", "registration-protocol"): (2, 2, 21),
    ("vlan", "reorder-headers"): (2, 2, 21),
    ("vlan", "loose-binding"): (2, 2, 21),
    ("ethernet", "sr-iov", "vfs", "vlan-proto"): (2, 2, 22),
}


@refusal("KVN556", "nmstate is too old for a setting")
def too_old_for_setting(case: Case) -> Iterator[Refusal]:
    """
    The definition passes a setting through to nmstate that this host's version does not have. nmstate would refuse the
    whole state. The hint names the version that added it. Update nmstate, or remove the setting for this host.
    """
    version = version_of(case.live.nmstate)
    for interface in interfaces_of(case.bundle.state) if version else ():
        for path, since in BROUGHT_BY.items():
            if version < since and _has(interface, path):
                needed = ".".join(map(str, since))
                reason = f"nmstate {case.live.nmstate} does not have {'.'.join(path)} of {interface['name']}"
                yield Refusal("KVN556", reason, f"update nmstate to {needed} or later, or remove {path[-1]}")


def _has(value: Any, path: Sequence[str]) -> bool:
    """Whether a part of a state has a value at a path, in one of the items of each list."""
    if isinstance(value, list):
        return any(_has(item, path) for item in value)
    if not path:
        return True
    return isinstance(value, Mapping) and path[0] in value and _has(value[path[0]], path[1:])
