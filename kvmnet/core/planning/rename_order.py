"""What must go before something else can come: names that are held, VLAN devices whose tag is taken.

A name is one link's. A bridge eth0 of ours whose NIC is to be eth0 again goes first, in a trial of its own that gives
its addresses to the NIC for the moment; only then is the NIC renamed. NICs that take each other's names go by a
temporary one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.base.nmstate import State, interfaces_of, routes_of
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.difference import made_by_itself
from kvmnet.core.rendering.bundle import Bundle

#: What of an IP family is carried over.
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
    """A NIC, found by its permanent MAC, that gets another kernel name."""

    mac: str
    old: str
    new: str
    altnames: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hop:
    """One renaming: `last` is false for the way to a temporary name."""

    rename: Rename
    old: str
    new: str
    last: bool = True


def hops(renames: Collection[Rename], names: Collection[str]) -> list[Hop]:
    """The renamings in an order in which each name is free when it is taken. `names` are those of all links."""
    pending, held = list(renames), set(names)
    where = {r.mac: r.old for r in renames}
    found: list[Hop] = []
    while pending:
        rename = next((r for r in pending if r.new not in held), None)
        circle = [r for r in pending if r.new in {where[other.mac] for other in pending}]
        if rename is None and circle:
            rename = circle[0]
            to = "kvmnet" + rename.mac.replace(":", "")[-6:]
            found.append(Hop(rename, where[rename.mac], to, last=False))
        else:  # a name that a stranger holds is refused (KVN522)
            rename = rename or pending[0]
            to = rename.new
            found.append(Hop(rename, where[rename.mac], to))
            pending.remove(rename)
        held.discard(where[rename.mac])
        held.add(to)
        where[rename.mac] = to
    return found


def clearing(bundle: Bundle, renames: Collection[Rename], left: Mapping[str, str], live: Live) -> State:
    """The state to be applied before the renaming: empty where what left the definition (name to nmstate's type) may
    go with all the rest. It holds the host's addresses on the NICs and bonds below, where the definition has those.
    """
    if not left or not _in_the_way(bundle, renames, left, live):
        return {}
    ours = {link.name for nic in bundle.nics if (link := live.find(nic)) is not None}
    ours |= {i["name"] for i in interfaces_of(bundle.state) if i["type"] == "bond"}
    entries: dict[str, dict[str, Any]] = {}
    routes = []
    for name, kind in left.items():
        entries[name] = {"name": name, "type": kind, "state": "absent"}
    for link in live.links.values():
        if link.master in left and link.kind is None and (link.name in ours or link.name in live.owned):
            entries[link.name] = _entry(link.name, "ethernet", {})
    there = {i["name"]: i for i in interfaces_of(live.state)}
    for name in left:
        carrier = carrier_of(name, left, live)
        if carrier is not None and carrier in ours and _speaks(there.get(name, {})):
            entries[carrier] = _entry(carrier, there[carrier].get("type", "ethernet"), there[name])
            routes += [
                {**{k: v for k, v in r.items() if v is not None}, "next-hop-interface": carrier}
                for r in routes_of(live.state)
                if r.get("next-hop-interface") == name
            ]
    state: State = {"interfaces": list(entries.values())}
    if routes:
        state["routes"] = {"config": routes}
    return state


def _in_the_way(bundle: Bundle, renames: Collection[Rename], left: Mapping[str, str], live: Live) -> bool:
    interfaces = interfaces_of(bundle.state)
    wanted = {r.new for r in renames} | {i["name"] for i in interfaces}
    moving = {r.old for r in renames}
    new = {r.old: r.new for r in renames}
    there = {i["name"]: i.get("vlan", {}) for i in interfaces_of(live.state)}
    tags = {(i["vlan"]["base-iface"], i["vlan"]["id"]) for i in interfaces if i["type"] == "vlan"}
    return any(
        name in wanted
        or live.links[name].base in moving
        or any(link.master == name and link.name in moving for link in live.links.values())
        # the kernel has one VLAN device of a tag over a device
        or (new.get(str(base := there.get(name, {}).get("base-iface")), base), there.get(name, {}).get("id")) in tags
        for name in left
    )


def carrier_of(name: str, left: Mapping[str, str], live: Live) -> Optional[str]:
    """What stays below: a bridge's port, of a bond that goes too the first port."""
    for link in live.links.values():
        if link.master == name:
            if link.name not in left:
                return link.name
            return carrier_of(link.name, left, live) if link.kind == "bond" else None
    return None


def _speaks(interface: Mapping[str, Any]) -> bool:
    return any(interface.get(family, {}).get("enabled") for family in ("ipv4", "ipv6"))


def _entry(name: str, kind: str, speaker: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "type": kind, "state": "up", "controller": ""}
    if kind == "ethernet":
        entry["accept-all-mac-addresses"] = False
    for family in ("ipv4", "ipv6"):
        entry[family] = _family(speaker.get(family, {}))
    return entry


def _family(said: Mapping[str, Any]) -> dict[str, Any]:
    if not said.get("enabled"):
        return {"enabled": False}
    kept = {key: said[key] for key in _IP_KEYS if key in said}
    static = [
        {"ip": a["ip"], "prefix-length": a["prefix-length"]} for a in said.get("address", []) if not made_by_itself(a)
    ]
    return {**kept, "address": static} if static else kept


def cleared(state: State, first: State) -> State:
    """The live state as it reads once `first` is applied."""
    if not first:
        return state
    told = {i["name"]: i for i in first["interfaces"]}
    gone = {name for name, i in told.items() if i["state"] == "absent"}
    new: State = {**state}
    new["interfaces"] = list(_cleared(state, told, gone))
    config = [r for r in routes_of(state) if r.get("next-hop-interface") not in gone]
    config += routes_of(first)
    new["routes"] = {**state.get("routes", {}), "config": config}
    return new


def _cleared(state: State, told: Mapping[str, Any], gone: Collection[str]) -> Iterator[dict[str, Any]]:
    for interface in interfaces_of(state):
        name = interface["name"]
        if name not in gone:
            yield {**interface, **told.get(name, {})}
