"""Which host of the definition is this machine? Told by the permanent MACs of its NICs, then by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from kvmnet.core.base.errors import Refused
from kvmnet.core.rendering.bundle import Bundle


class NotThisHost(Refused):
    """No host of the definition is this machine, or more than one could be. Nothing may be applied."""

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message, hint, "KVN503")


def find_host(
    hosts: Sequence[Bundle],
    macs: Mapping[str, str],
    hostname: str,
    wanted: Optional[str] = None,
    first_names: Optional[Mapping[str, str]] = None,
) -> Bundle:
    """The bundle of this machine.

    `macs` maps permanent MACs (any case) to kernel names of this machine's physical NICs; `hostname` is its
    name, short or full; `wanted` the host that a person asked for, which is checked all the same. A host
    without MACs is known by its name alone, and by its NICs having the kernel names it expects, or having had them
    before kvmnet (`first_names`, by permanent MAC).

    Raises NotThisHost.
    """
    here = {mac.lower(): name for mac, name in macs.items()}
    earlier = {name for mac, name in (first_names or {}).items() if mac in here}
    if wanted is not None:
        chosen = [bundle for bundle in hosts if bundle.host == wanted]
        if not chosen:
            raise NotThisHost(f"the definition has no host {wanted}", _known(hosts))
        return _complete(chosen[0], here, earlier)
    by_mac = [bundle for bundle in hosts if _macs(bundle) & here.keys()]
    named = [bundle for bundle in hosts if _same_name(bundle.host, hostname)]
    if len(by_mac) > 1:
        both = [bundle for bundle in by_mac if bundle in named]
        if len(both) != 1:
            names = ", ".join(bundle.host for bundle in by_mac)
            raise NotThisHost(f"this machine has NICs of several hosts: {names}", "say which with --host")
        by_mac = both
    if by_mac:
        return _complete(by_mac[0], here, earlier)
    if len(named) == 1:
        return _complete(named[0], here, earlier)
    raise NotThisHost(
        f"no host of the definition has a NIC of this machine, and none is named {hostname}",
        _has(here),
    )


def _complete(bundle: Bundle, here: Mapping[str, str], earlier: set[str]) -> Bundle:
    """The bundle, when every NIC of it is in this machine."""
    missing = [nic for nic in bundle.nics if nic.mac is not None and nic.mac.lower() not in here]
    if missing:
        listed = ", ".join(f"{nic.interface} {nic.mac}" for nic in missing)
        hint = _has(here)
        if len(missing) == len([nic for nic in bundle.nics if nic.mac is not None]):
            raise NotThisHost(f"this machine is not {bundle.host}: it has none of its NICs ({listed})", hint)
        raise NotThisHost(f"this machine lacks NICs of {bundle.host}: {listed}", hint)
    names = set(here.values()) | earlier
    # A NIC without a MAC is known by its kernel name; a bridge of ours does not stand in its way, since
    # `macs` holds physical NICs only.
    unknown = [nic for nic in bundle.nics if nic.mac is None]
    lost = [nic for nic in unknown if not {nic.kernel_name or nic.interface, nic.name} & names]
    if lost:
        listed = ", ".join(nic.kernel_name or nic.interface for nic in lost)
        raise NotThisHost(f"this machine lacks NICs of {bundle.host}: {listed}", _has(here))
    return bundle


def _has(here: Mapping[str, str]) -> str:
    return "this machine has " + (", ".join(f"{name} {mac}" for mac, name in sorted(here.items())) or "no NIC")


def _macs(bundle: Bundle) -> set[str]:
    return {nic.mac.lower() for nic in bundle.nics if nic.mac is not None}


def _same_name(host: str, hostname: str) -> bool:
    host, hostname = host.lower(), hostname.lower()
    return host == hostname or ("." not in host and host == hostname.split(".")[0])


def _known(hosts: Sequence[Bundle]) -> Optional[str]:
    names = [bundle.host for bundle in hosts]
    return "it has " + ", ".join(names) if 0 < len(names) <= 8 else None
