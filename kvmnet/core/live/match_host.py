"""Finds the host of the definition that this host is: by the permanent MAC addresses of its NICs, then by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from kvmnet.core.base.errors import Refused
from kvmnet.core.rendering.bundle import Bundle


class NotThisHost(Refused):
    """This host matches no host of the definition, or more than one. Nothing may be applied."""

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message, hint, "KVN503")


def find_host(
    hosts: Sequence[Bundle],
    macs: Mapping[str, str],
    hostname: str,
    wanted: Optional[str] = None,
    first_names: Optional[Mapping[str, str]] = None,
) -> Bundle:
    """Return the bundle of this host.

    `macs` maps permanent MAC addresses (any case) to kernel names of this host's NICs; `hostname` is its name, short
    or full; `wanted` is the host that the user selected, which is checked like any other. A host without MAC addresses
    in the definition is matched by its name, and by the kernel names of its NICs, now or before kvmnet (`first_names`,
    by permanent MAC address).

    Raises NotThisHost.
    """
    names = {mac.lower(): name for mac, name in macs.items()}
    former_names = {name for mac, name in (first_names or {}).items() if mac in names}
    if wanted is not None:
        selected = [bundle for bundle in hosts if bundle.host == wanted]
        if not selected:
            raise NotThisHost(f"the definition has no host {wanted}", _hosts_hint(hosts))
        return _require_nics(selected[0], names, former_names)
    by_mac = [bundle for bundle in hosts if _macs(bundle) & names.keys()]
    by_name = [bundle for bundle in hosts if _is_same_name(bundle.host, hostname)]
    if len(by_mac) > 1:
        by_both = [bundle for bundle in by_mac if bundle in by_name]
        if len(by_both) != 1:
            listed = ", ".join(bundle.host for bundle in by_mac)
            raise NotThisHost(f"this host has NICs of several hosts: {listed}", "select one of them with --host")
        by_mac = by_both
    if by_mac:
        return _require_nics(by_mac[0], names, former_names)
    if len(by_name) == 1:
        return _require_nics(by_name[0], names, former_names)
    raise NotThisHost(
        f"this host is not in the definition: no host has one of its NICs, and none is named {hostname}",
        _nics_hint(names),
    )


def _require_nics(bundle: Bundle, names: Mapping[str, str], former_names: set[str]) -> Bundle:
    """Return the bundle. Raises NotThisHost when one of its NICs is missing on this host."""
    with_mac = [nic for nic in bundle.nics if nic.mac is not None]
    missing = [nic for nic in with_mac if str(nic.mac).lower() not in names]
    if missing:
        listed = ", ".join(f"{nic.interface} {nic.mac}" for nic in missing)
        if len(missing) == len(with_mac):
            raise NotThisHost(f"this host is not {bundle.host}: it has none of its NICs ({listed})", _nics_hint(names))
        raise NotThisHost(f"this host lacks NICs of {bundle.host}: {listed}", _nics_hint(names))
    # A NIC without a MAC address is found by its kernel name. A bridge of that name does not hide it, because `names`
    # are those of NICs only.
    kernel_names = set(names.values()) | former_names
    without_mac = [nic for nic in bundle.nics if nic.mac is None]
    missing = [nic for nic in without_mac if not {nic.kernel_name or nic.interface, nic.name} & kernel_names]
    if missing:
        listed = ", ".join(nic.kernel_name or nic.interface for nic in missing)
        raise NotThisHost(f"this host lacks NICs of {bundle.host}: {listed}", _nics_hint(names))
    return bundle


def _nics_hint(names: Mapping[str, str]) -> str:
    return "NICs of this host: " + (", ".join(f"{name} {mac}" for mac, name in sorted(names.items())) or "none")


def _macs(bundle: Bundle) -> set[str]:
    return {nic.mac.lower() for nic in bundle.nics if nic.mac is not None}


def _is_same_name(host: str, hostname: str) -> bool:
    host, hostname = host.lower(), hostname.lower()
    return host == hostname or ("." not in host and host == hostname.split(".")[0])


def _hosts_hint(hosts: Sequence[Bundle]) -> Optional[str]:
    names = [bundle.host for bundle in hosts]
    return "hosts of the definition: " + ", ".join(names) if 0 < len(names) <= 8 else None
