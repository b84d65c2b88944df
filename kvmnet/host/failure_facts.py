"""Reads the host at the moment of a failure, for its likely reasons (core/effects/likely_reasons). It only reads.

The quick parts come first: the caller uses what has been read when its time is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from kvmnet.core.boot.keyfile import KeyfileError, parse_keyfile
from kvmnet.core.boot.manager_settings import BootDevice, matches_specs, split_specs
from kvmnet.core.live.failure_facts import FailureFacts
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.system import links, programs
from kvmnet.system.errors import HostError

_CLASS_NET = Path("/sys/class/net")
#: NetworkManager's configuration (NetworkManager.conf(5)), the least important folder first.
_CONFIG_FILES = (
    "usr/lib/NetworkManager/conf.d/*.conf",
    "run/NetworkManager/conf.d/*.conf",
    "etc/NetworkManager/NetworkManager.conf",
    "etc/NetworkManager/conf.d/*.conf",
)
#: NM_DEVICE_STATE_UNMANAGED
_UNMANAGED = 10
_NO_PARTNER = "00:00:00:00:00:00"


def read_failure_facts(facts: FailureFacts, names: Sequence[str], targets: Sequence[str]) -> None:
    """Fill `facts`. `names` are the interfaces of the change, `targets` the addresses that did not reply. A part that
    cannot be read stays empty."""
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
            facts.unmanaged[name] = find_unmanaged_entry(name)


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
        if "unreachable" in str(error).lower():
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


def find_unmanaged_entry(name: str, root: Path = Path("/")) -> tuple[str, str]:
    """Return the entry of NetworkManager's configuration that leaves this interface unmanaged, and its file; of several
    the most important one. Empty when there is none: a udev rule or an administrator decided it."""
    found = ("", "")
    for pattern in _CONFIG_FILES:
        for path in sorted(root.glob(pattern)):
            with contextlib.suppress(OSError, KeyfileError):
                groups = parse_keyfile(path.read_text(encoding="utf-8", errors="replace"))
                if entry := _find_entry(groups, name):
                    found = (entry, f"/{path.relative_to(root)}")
    return found


def _find_entry(groups: dict[str, dict[str, str]], name: str) -> str:
    device = BootDevice(name, type="")
    for key in ("unmanaged-devices", "unmanaged-devices+"):
        value = groups.get("keyfile", {}).get(key, "")
        if matches_specs(split_specs(value), device):
            return f"{key}={value}"
    for section, keys in groups.items():
        is_unmanaging = keys.get("managed", "").strip().lower() in ("0", "false", "no", "off")
        matches = matches_specs(split_specs(keys.get("match-device", "*")), device)
        if section.startswith("device") and is_unmanaging and matches:
            return f"managed={keys['managed']} of [{section}]"
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # missing, or an interface that is down
        return ""
