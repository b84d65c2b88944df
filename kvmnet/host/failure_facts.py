"""Reads the host at the moment of a failure, for its likely reasons (core/effects/likely_reasons). It only reads.

The quick parts come first: the caller uses what has been read when its time is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.live.failure_facts import FailureFacts
from kvmnet.core.live.management import find_unmanaged_reason
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.host.read_managers import find_interfaces_of_ifupdown, find_unmanaged_rules, read_manager_files
from kvmnet.system import links, programs
from kvmnet.system.errors import HostError

_CLASS_NET = Path("/sys/class/net")
#: NM_DEVICE_STATE_UNMANAGED
_UNMANAGED = 10
_NO_PARTNER = "00:00:00:00:00:00"
#: So `ip route get` begins the kernel's answer: no route, or one that is unreachable, prohibited or a black hole.
_NO_ROUTE = "RTNETLINK answers:"


def read_failure_facts(facts: FailureFacts, types: Mapping[str, str], targets: Sequence[str]) -> None:
    """Fill `facts`. `types` are the interfaces of the change with the types of their connection profiles (empty if
    unknown), `targets` the addresses that did not reply. A part that cannot be read stays empty."""
    names = list(types)
    with contextlib.suppress(OSError):
        facts.without_carrier += find_nics_without_carrier(names)
        facts.silent_bonds += _find_silent_bonds(names)
    with contextlib.suppress(HostError, LookupError, ValueError):
        facts.addresses.update(links.read_addresses())
    for target in targets:
        with contextlib.suppress(HostError, LookupError, ValueError):
            _read_way(facts, target)
    with contextlib.suppress(NMError, HostError, OSError, ValueError):
        for name in _find_unmanaged(names):
            facts.unmanaged[name] = find_unmanaged_entry(name, types[name])


def find_nics_without_carrier(names: Sequence[str], class_net: Path = _CLASS_NET) -> list[str]:
    """Return those of the interfaces that are NICs, are up and have no carrier."""
    return [n for n in names if (class_net / n / "device").exists() and _read(class_net / n / "carrier") == "0"]


def _find_silent_bonds(names: Sequence[str], class_net: Path = _CLASS_NET) -> list[str]:
    """Return the bonds with LACP (802.3ad) whose partner has not replied."""
    return [name for name in names if _read(class_net / name / "bonding/ad_partner_mac") == _NO_PARTNER]


def _read_way(facts: FailureFacts, target: str) -> None:
    """Read by which interface and neighbour a target is reached."""
    try:
        route = programs.run_json("ip", "-j", "route", "get", target)[0]
    except HostError as error:
        if _NO_ROUTE in str(error):
            facts.routes[target] = ""
        return
    facts.routes[target] = device = str(route["dev"])
    hop = str(route.get("gateway") or target)
    states = [
        str(state)
        for entry in programs.run_json("ip", "-j", "neighbour", "show", "to", hop, "dev", device)
        for state in entry.get("state", [])
    ]
    if states:
        facts.neighbours[target] = (hop, states[0])


def _find_unmanaged(names: Sequence[str]) -> list[str]:
    with NetworkManager() as manager:
        states = manager.states(list(names))
    return [name for name in names if states.get(name) == _UNMANAGED]


def find_unmanaged_entry(name: str, kind: str, root: Path = Path("/")) -> tuple[str, str]:
    """Return why NetworkManager leaves an interface unmanaged, and what to do; empty texts when neither its
    configuration nor a udev rule is the reason. `kind` is the type of the interface's connection profile."""
    surroundings = Surroundings(
        manager_files=tuple(read_manager_files(root)),
        unmanaged_rules=tuple(find_unmanaged_rules(root)),
        ifupdown=dict(find_interfaces_of_ifupdown(root)),
    )
    obstacle = find_unmanaged_reason(BootDevice(name, kind), surroundings)
    return (obstacle.reason, obstacle.fix) if obstacle is not None else ("", "")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # missing, or an interface that is down
        return ""
