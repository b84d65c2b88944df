"""Refusals of what the host's version of nmstate cannot do."""

from __future__ import annotations

from collections.abc import Iterator

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
