"""Reading back: what the kernel and NetworkManager show of what was applied.

nmstate's own verification is asked for only before a renaming (compile, "clear"): it reads the whole host by
NetworkManager once more for each look, two or three times in an apply (7 s each on a host of 64 interfaces in the
lab), and says the same.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.system import firewalld, links
from kvmnet.system.types import Json

Expected = Mapping[str, Any]
BONDING = "/sys/class/net/{bond}/bonding"
#: What core/planning/expected_readback names, for iproute2's words of a link's kind.
_KIND_DATA = {"tag": "id", "mode": "mode", "stp": "stp_state"}


def missing(expected: Iterable[Expected]) -> list[str]:
    """What the kernel lacks of what is expected, one line each."""
    shown_links = links.read_ip_links()
    links_now, addresses = links.read_links(shown_links), links.read_addresses()
    kinds = {link["ifname"]: link for link in shown_links}
    routes = {(r["to"], r["via"], r["dev"]) for r in links.read_routes()}
    found = []
    for want in expected:
        name = want["name"]
        link = links_now.get(name)
        if want.get("absent"):
            found += [f"{name} is still there"] if link is not None else []
            continue
        if link is None:
            found.append(f"{name} is not there")
            continue
        if want.get("down"):
            has = [a for a in addresses.get(name, []) if not ipaddress.ip_interface(a).is_link_local]
            found += [f"{name}: has still the address {a}" for a in has]
            continue
        shown = {**link, **_of_its_kind(kinds.get(name, {}))}
        for key in ("kind", "master", "promiscuous", "address", "mtu", "base", *_KIND_DATA):
            if key in want and shown.get(key) != want[key]:
                found.append(f"{name}: {key} is {shown.get(key)}, not {want[key]}")
        found += _bond_options(name, want.get("bond", {}))
        has = addresses.get(name, [])
        found += [f"{name}: has not the address {a}" for a in want["addresses"] if a not in has]
        off = [a for a in has if _version(a) in want.get("without", ()) and not ipaddress.ip_interface(a).is_link_local]
        found += [f"{name}: has still the address {a}" for a in off]
        for route in want["routes"]:
            to = "default" if route["to"] in ("0.0.0.0/0", "::/0") else route["to"]
            if (to, route["via"], name) not in routes:
                found.append(f"{name}: has not the route to {route['to']} via {route['via']}")
        if not link["up"]:
            found.append(f"{name} is down")
    return found


def _version(address: str) -> int:
    return ipaddress.ip_interface(address).version


def _of_its_kind(link: Json) -> dict[str, Any]:
    data = link.get("linkinfo", {}).get("info_data", {})
    return {"base": link.get("link"), **{key: data.get(word) for key, word in _KIND_DATA.items()}}


def _bond_options(name: str, wanted: Mapping[str, Any]) -> list[str]:
    """A bond's mode and options as the kernel has them (Documentation/networking/bonding.rst): of those that take a
    word it shows the word and its number, of those that take several all of them. What it has no file for is
    NetworkManager's own (balance_slb)."""
    found = []
    for option, value in wanted.items():
        with contextlib.suppress(OSError):
            shown = Path(BONDING.format(bond=name), option).read_text(encoding="ascii").split()
            words = {str(int(value)) if isinstance(value, bool) else word for word in str(value).lower().split(",")}
            if not words <= {word.lower() for word in shown}:
                found.append(f"{name}: {option} is {' '.join(shown) or 'not set'}, not {value}")
    return found


def unknown_servers(manager: NetworkManager, wanted: Mapping[str, Any]) -> list[str]:
    """Name servers and search domains that NetworkManager does not use, one line each."""
    if not wanted:
        return []
    try:
        used = manager.name_servers()
    except NMError as error:
        return [str(error)]
    if used is None:
        return []
    missing = [f"name server {s}" for s in wanted.get("server", []) if s not in used.servers]
    if used.servers:  # it tells no domains of what has no name servers (1.42 to 1.54)
        missing += [f"search domain {s}" for s in wanted.get("search", []) if s not in used.domains]
    return [f"NetworkManager does not use the {what}" for what in missing]


def wrong_zones(wanted: Mapping[str, str]) -> list[str]:
    """Interfaces that are in another of firewalld's zones, as a connection profile that was there says none or another:
    nobody would come in."""
    if not wanted or not firewalld.is_running():
        return []
    bound = firewalld.read_zones()
    return [
        f"{name} is in zone {bound.get(name) or 'of none'}, not {zone}: a connection profile of its name was there and "
        "says so (delete it, or give it connection.zone)"
        for name, zone in wanted.items()
        if bound.get(name) != zone
    ]


def late(manager: NetworkManager, names: Sequence[str]) -> list[str]:
    """Devices that NetworkManager has not configured yet: one whose address is still asked for
    (NM_DEVICE_STATE_IP_CONFIG) has all but that. Raises NMError."""
    states = manager.states(names) if names else {}
    return [name for name in names if not 70 <= states.get(name, 0) <= 100]
