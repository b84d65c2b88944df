"""What must be removed before NICs can be renamed, and the order of the renames.

Only one link can have a name. When a bridge eth0 of kvmnet goes and its NIC is to be eth0 again, the bridge is removed
first, in a trial of its own that moves its addresses to the NIC; then the NIC is renamed. The same goes for a VLAN
device whose VLAN ID is needed. NICs that swap their names use a temporary one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.base.nmstate import ETHERNET, FAMILIES, GUEST_KINDS, State, interfaces_of, routes_of
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.difference import is_automatic
from kvmnet.core.rendering.bundle import Bundle, Nic

#: The settings of an address family that move to the NIC; its addresses besides.
_IP_KEYS = (
    "enabled",
    "dhcp",
    "autoconf",
    "dhcp-client-id",
    "dhcp-duid",
    "token",
    "auto-dns",
    "auto-gateway",
    "auto-routes",
    "auto-route-metric",
)


@dataclass(frozen=True)
class Rename:
    """A NIC, identified by its permanent MAC address, that gets another kernel name."""

    mac: str
    old: str
    new: str
    altnames: tuple[str, ...] = ()


@dataclass(frozen=True)
class RenameStep:
    """One step of a rename. `last` is false for the step to a temporary name."""

    rename: Rename
    old: str
    new: str
    last: bool = True


def find_renames(bundle: Bundle, live: Live) -> tuple[Rename, ...]:
    """Return the NICs of the bundle that have another name than their own.

    A NIC that is missing, or that may not be renamed, is not included: refusals report it (KVN520, KVN521). Under a
    naming policy that renames nothing, a NIC can still get back the name that it had before kvmnet.
    """
    return tuple(rename for nic in bundle.nics if (rename := _find_rename(nic, live)) is not None)


def _find_rename(nic: Nic, live: Live) -> Optional[Rename]:
    link = live.find(nic)
    if link is None or link.name == nic.name:
        return None
    if nic.link_file is None and live.first_names.get(link.mac or "") != nic.name:
        return None
    return Rename(link.mac or "", link.name, nic.name, link.altnames)


def new_names_of(renames: Collection[Rename]) -> dict[str, str]:
    """Return the new name of each renamed NIC by its old name."""
    return {rename.old: rename.new for rename in renames}


def order_renames(renames: Collection[Rename], names: Collection[str]) -> list[RenameStep]:
    """Return the renames in an order in which each name is free when it is taken. `names` are those of all links."""
    pending, taken = list(renames), set(names)
    current = {r.mac: r.old for r in renames}
    ordered: list[RenameStep] = []
    while pending:
        rename = next((r for r in pending if r.new not in taken), None)
        circle = [r for r in pending if r.new in {current[other.mac] for other in pending}]
        if rename is None and circle:
            rename = circle[0]
            new = "kvmnet" + rename.mac.replace(":", "")[-6:]
            ordered.append(RenameStep(rename, current[rename.mac], new, last=False))
        else:  # a name that another tool's link has is refused (KVN522)
            rename = rename or pending[0]
            new = rename.new
            ordered.append(RenameStep(rename, current[rename.mac], new))
            pending.remove(rename)
        taken.discard(current[rename.mac])
        taken.add(new)
        current[rename.mac] = new
    return ordered


def make_first_state(bundle: Bundle, new_names: Mapping[str, str], leaving: Mapping[str, str], live: Live) -> State:
    """Return the state to apply before the renames: it removes the leaving interfaces (nmstate types by name) and
    moves their addresses to the NICs and bonds below them that the bundle has. It is empty when nothing has to be
    removed that early."""
    if not leaving or not _must_leave_first(bundle, new_names, leaving, live):
        return {}
    known = {link.name for nic in bundle.nics if (link := live.find(nic)) is not None}
    known |= {i["name"] for i in interfaces_of(bundle.state) if i["type"] == "bond"}
    entries: dict[str, dict[str, Any]] = {}
    routes = []
    for name, kind in leaving.items():
        entries[name] = {"name": name, "type": kind, "state": "absent"}
    for link in live.links.values():
        if link.master in leaving and link.kind is None and (link.name in known or link.name in live.owned):
            entries[link.name] = _carrier_entry(link.name, ETHERNET, {})
    live_interfaces = {i["name"]: i for i in interfaces_of(live.state)}
    for name in leaving:
        carrier = find_carrier(name, leaving, live)
        if carrier is not None and carrier in known and _has_ip(live_interfaces.get(name, {})):
            kind = live_interfaces[carrier].get("type", ETHERNET)
            entries[carrier] = _carrier_entry(carrier, kind, live_interfaces[name])
            routes += [
                {**{k: v for k, v in r.items() if v is not None}, "next-hop-interface": carrier}
                for r in routes_of(live.state)
                if r.get("next-hop-interface") == name
            ]
    state: State = {"interfaces": list(entries.values())}
    if routes:
        state["routes"] = {"config": routes}
    return state


def _must_leave_first(bundle: Bundle, new_names: Mapping[str, str], leaving: Mapping[str, str], live: Live) -> bool:
    """Whether a leaving interface has a name that is needed, uses a NIC that is renamed, or has a needed VLAN ID."""
    interfaces = interfaces_of(bundle.state)
    wanted_names = {*new_names.values(), *(i["name"] for i in interfaces)}
    live_vlans = {i["name"]: i.get("vlan", {}) for i in interfaces_of(live.state)}
    wanted_vlans = {(i["vlan"]["base-iface"], i["vlan"]["id"]) for i in interfaces if i["type"] == "vlan"}

    def vlan_after(name: str) -> tuple[Any, Any]:
        vlan = live_vlans.get(name, {})
        base = vlan.get("base-iface")
        return new_names.get(str(base), base), vlan.get("id")

    return any(
        name in wanted_names
        or live.links[name].base in new_names
        or any(link.master == name and link.name in new_names for link in live.links.values())
        or vlan_after(name) in wanted_vlans  # the kernel allows one VLAN device for each ID on a base interface
        for name in leaving
    )


def find_carrier(name: str, leaving: Mapping[str, str], live: Live) -> Optional[str]:
    """Return the interface that stays below a leaving one: a bridge's port, but no guest's tap; the first port of a
    port that is a bond and leaves too. None when there is none."""
    for link in live.links.values():
        if link.master == name and link.kind not in GUEST_KINDS:
            if link.name not in leaving:
                return link.name
            return find_carrier(link.name, leaving, live) if link.kind == "bond" else None
    return None


def _has_ip(interface: Mapping[str, Any]) -> bool:
    return any(interface.get(family, {}).get("enabled") for family in FAMILIES)


def _carrier_entry(name: str, kind: str, leaving: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry for an interface that loses its controller and takes over the addresses of `leaving`."""
    entry: dict[str, Any] = {"name": name, "type": kind, "state": "up", "controller": ""}
    if kind == ETHERNET:
        entry["accept-all-mac-addresses"] = False
    for family in FAMILIES:
        entry[family] = _carried_family(leaving.get(family, {}))
    return entry


def _carried_family(settings: Mapping[str, Any]) -> dict[str, Any]:
    if not settings.get("enabled"):
        return {"enabled": False}
    carried = {key: settings[key] for key in _IP_KEYS if key in settings}
    static = [
        {"ip": a["ip"], "prefix-length": a["prefix-length"]} for a in settings.get("address", []) if not is_automatic(a)
    ]
    return {**carried, "address": static} if static else carried


def apply_first_state(state: State, first: State) -> State:
    """Return the live state as it reads once `first` is applied."""
    if not first:
        return state
    entries = {i["name"]: i for i in first["interfaces"]}
    removed = {name for name, i in entries.items() if i["state"] == "absent"}
    result: State = {**state}
    result["interfaces"] = list(_apply_entries(state, entries, removed))
    config = [r for r in routes_of(state) if r.get("next-hop-interface") not in removed]
    result["routes"] = {**state.get("routes", {}), "config": config + routes_of(first)}
    return result


def _apply_entries(state: State, entries: Mapping[str, Any], removed: Collection[str]) -> Iterator[dict[str, Any]]:
    for interface in interfaces_of(state):
        name = interface["name"]
        if name not in removed:
            yield {**interface, **entries.get(name, {})}
