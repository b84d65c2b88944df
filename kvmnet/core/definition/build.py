"""A tree that the schema has gone over, to the objects of kvmnet.core.definition.model."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

from kvmnet.core.base.probe import Probe
from kvmnet.core.definition.document import Entry, Leaf, Map, Node, Seq, overlay
from kvmnet.core.definition.model import (
    Cluster,
    Group,
    Guest,
    GuestNic,
    Host,
    Interface,
    Network,
    Option,
    Place,
    Placed,
    PlacedProbe,
    PlacedSubnet,
    Route,
)
from kvmnet.core.definition.naming_policy import Profile, extend

_VLAN_KEY = re.compile(r"(.+)\.([0-9]{1,5})\Z")
#: Rocks: InfiniBand is never bridged, ipmi is a BMC that the kernel does not know.
_LEFT_ALONE = re.compile(r"(ib[0-9].*|ipmi[0-9]*)\Z")


def read_cluster(tree: Map, profiles: Mapping[str, Profile]) -> Cluster:
    """The model of a tree: what the schema refused is not in it."""
    networks = {name: _network(name, part) for name, part in _parts(tree, "networks")}
    groups = {name: _group(name, part) for name, part in _parts(tree, "groups")}
    hosts = {name: _host(name, part, tree, groups, networks) for name, part in _parts(tree, "hosts")}
    guests = {name: _guest(name, part) for name, part in _parts(tree, "guests")}
    own = dict(_parts(tree, "profiles"))
    known = _profiles(own, profiles)
    return Cluster(_text(tree, "cluster") or "", networks, groups, hosts, guests, known, own)


def _profiles(own: Mapping[str, Place], known: Mapping[str, Profile]) -> dict[str, Profile]:
    """The known profiles and the definition's own; not those that extend nothing, or in the end themselves."""
    found = dict(known)
    for name in own:
        chain: list[str] = []
        base = name
        while base not in found and base in own and base not in chain:
            chain.append(base)
            base = _text(own[base].tree, "extends") or ""
        for one in reversed(chain):
            if base in found:
                found[one] = extend(found[base], one, own[one].tree)
                base = one
    return found


def _parts(tree: Map, key: str) -> Iterator[tuple[str, Place]]:
    node = tree.get(key)
    if isinstance(node, Map):
        for name, entry in node.entries.items():
            if isinstance(entry.node, Map):
                yield name, Place(entry.mark, entry.node)


def _text(tree: Map, key: str) -> Optional[str]:
    node = tree.get(key)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, str) else None


def _number(tree: Map, key: str) -> Optional[int]:
    node = tree.get(key)
    if isinstance(node, Leaf) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    return None


def _switch(tree: Map, key: str) -> Optional[bool]:
    node = tree.get(key)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, bool) else None


def _leaves(tree: Optional[Node], key: str) -> list[Leaf]:
    node = tree.get(key) if isinstance(tree, Map) else None
    if isinstance(node, Leaf):
        return [node]
    return [item for item in node.items if isinstance(item, Leaf)] if isinstance(node, Seq) else []


def _placed(leaf: Leaf) -> Placed:
    address, _, prefix = str(leaf.value).partition("/")
    return Placed(ipaddress.ip_address(address), int(prefix) if prefix else None, leaf.mark)


def _subnet(leaf: Leaf) -> PlacedSubnet:
    net = ipaddress.ip_network(str(leaf.value), strict=False)
    stray = ipaddress.ip_interface(str(leaf.value)).ip != net.network_address
    return PlacedSubnet(net, leaf.mark, stray)


def _network(name: str, place: Place) -> Network:
    tree = place.tree
    dns = tree.get("dns")
    return Network(
        name=name,
        subnets=tuple(_subnet(leaf) for leaf in _leaves(tree, "subnets")),
        gateways=tuple(_placed(leaf) for leaf in [*_leaves(tree, "gateway"), *_leaves(tree, "gateways")]),
        dns_servers=tuple(_placed(leaf) for leaf in _leaves(dns, "servers")),
        dns_search=tuple(str(leaf.value) for leaf in _leaves(dns, "search")),
        vlan=_number(tree, "vlan"),
        over=_text(tree, "over"),
        mtu=_number(tree, "mtu"),
        default_route=_switch(tree, "default_route") is not False,
        metric=_number(tree, "metric"),
        attach=_text(tree, "attach"),
        place=place,
    )


def _group(name: str, place: Place) -> Group:
    interfaces = place.tree.get("interfaces")
    return Group(
        name=name,
        parent=_text(place.tree, "group"),
        profile=_text(place.tree, "profile"),
        kvm=_switch(place.tree, "kvm"),
        interfaces=interfaces if isinstance(interfaces, Map) else None,
        place=place,
    )


def _chain(name: Optional[str], groups: Mapping[str, Group]) -> list[Group]:
    """A group, the group that it names, and so on; a loop ends it."""
    chain: list[Group] = []
    group = groups.get(name or "")
    while group is not None and group not in chain:
        chain.append(group)
        group = groups.get(group.parent or "")
    return chain


def _host(name: str, place: Place, tree: Map, groups: Mapping[str, Group], networks: Mapping[str, Network]) -> Host:
    group_name = _text(place.tree, "group")
    chain = _chain(group_name, groups)
    own = place.tree.get("interfaces")
    both: Optional[Map] = None
    for layer in [*(group.interfaces for group in reversed(chain)), own if isinstance(own, Map) else None]:
        both = _lay(both, layer)
    levels = [place, *(group.place for group in chain), Place(tree.mark, tree)]
    speaks = next((level for level in levels if _text(level.tree, "profile") is not None), levels[-1])
    kvm = [k for k in (_switch(level.tree, "kvm") for level in levels) if k is not None]
    interfaces = {
        key: _interface(key, Place(entry.mark, entry.node), networks)
        for key, entry in (both.entries.items() if both else ())
        if isinstance(entry.node, Map)
    }
    return Host(
        name=name,
        group=group_name,
        groups=tuple(group.name for group in chain),
        profile=_text(speaks.tree, "profile") or "",
        kvm=bool(kvm) and kvm[0],
        hostname=_hostname(name, levels),
        interfaces=interfaces,
        routes=tuple(_routes(levels)),
        probes=tuple(_probes(levels)),
        place=place,
        profile_mark=speaks.at("profile"),
    )


def _hostname(name: str, levels: Sequence[Place]) -> Optional[str]:
    for level in levels:
        text, on = _text(level.tree, "hostname"), _switch(level.tree, "hostname")
        if text is not None or on is not None:
            return text if text is not None else name if on else None
    return None


def _routes(levels: Sequence[Place]) -> list[Route]:
    """The routes of all levels, the cluster's first; of those to one destination the nearest level's."""
    found: dict[str, list[Route]] = {}
    for level in reversed(levels):
        mine: dict[str, list[Route]] = {}
        node = level.tree.get("routes")
        for item in node.items if isinstance(node, Seq) else ():
            to, via = (_leaves(item, "to"), _text(item, "via")) if isinstance(item, Map) else ([], None)
            if not to or via is None or not isinstance(item, Map):
                continue
            subnet = _subnet(to[0])
            route = Route(
                to=subnet.net,
                via=ipaddress.ip_address(via),
                metric=_number(item, "metric"),
                table=_number(item, "table"),
                stray_bits=subnet.stray_bits,
                mark=to[0].mark,
            )
            mine.setdefault(str(subnet.net), []).append(route)
        found.update(mine)
    return [route for routes in found.values() for route in routes]


def _probes(levels: Sequence[Place]) -> Iterator[PlacedProbe]:
    """The probes of all levels, the cluster's first; each once."""
    told: set[Probe] = set()
    for level in reversed(levels):
        node = level.tree.get("probes")
        for item in node.items if isinstance(node, Seq) else ():
            for kind, entry in item.entries.items() if isinstance(item, Map) else ():
                words = _leaves(item, kind)
                if kind == "command":
                    probe = Probe(kind, command=tuple(str(leaf.value) for leaf in words))
                else:
                    probe = Probe(kind, str(words[0].value) if words else "")
                if words and probe not in told:
                    told.add(probe)
                    yield PlacedProbe(probe, entry.mark if kind == "command" else words[0].mark)


_FAMILIES = {"ipv4": 4, "ipv6": 6}


def _versions(tree: Map) -> set[int]:
    return {_placed(leaf).ip.version for leaf in _leaves(tree, "addresses")}


def _lay(base: Optional[Map], top: Optional[Map]) -> Optional[Map]:
    """Interfaces over interfaces, the nearer wins, also about where addresses come from: addresses put an
    `ipv4: dhcp` of the template aside, and an `ipv4: dhcp` the template's addresses."""
    both = overlay(base, top)
    if base is None or top is None or both is None:
        return both
    for key, entry in top.entries.items():
        under, merged = base.get(key), both.get(key)
        if not isinstance(entry.node, Map) or not isinstance(under, Map) or not isinstance(merged, Map):
            continue
        for family, version in _FAMILIES.items():
            if version in _versions(entry.node) and not entry.node.has(family):
                merged.entries.pop(family, None)
            says = _text(entry.node, family)
            if says is not None and says != "static" and not entry.node.has("addresses"):
                _without(merged, version)
    return both


def _without(tree: Map, version: int) -> None:
    entry = tree.entries.get("addresses")
    if entry is not None and isinstance(entry.node, Seq):
        kept: list[Node] = [leaf for leaf in _leaves(tree, "addresses") if _placed(leaf).ip.version != version]
        tree.entries["addresses"] = Entry(entry.mark, Seq(entry.node.mark, kept))


def _interface(name: str, place: Place, networks: Mapping[str, Network]) -> Interface:
    tree = place.tree
    match = tree.get("match")
    matched = match if isinstance(match, Map) else Map(tree.mark)
    mac = _text(tree, "mac") or _text(matched, "mac")
    network = networks.get(_text(tree, "network") or "")
    ports = tuple(str(leaf.value) for leaf in _leaves(tree, "ports"))
    key, over = _VLAN_KEY.match(name), _text(tree, "over")
    parent, tag = None, None
    if over is not None:
        parent, tag = over, network.vlan if network else None
    elif key and not ports:
        parent, tag = key[1], int(key[2])
    versions = _versions(tree)
    return Interface(
        name=name,
        network=_text(tree, "network"),
        mac=mac.lower() if mac else None,
        kernel_name=_text(matched, "name"),
        addresses=tuple(_placed(leaf) for leaf in _leaves(tree, "addresses")),
        ipv4=_text(tree, "ipv4") or ("static" if 4 in versions else "none"),
        ipv6=_text(tree, "ipv6") or ("static" if 6 in versions else "none"),
        bridge=_switch(tree, "bridge"),
        mtu=_number(tree, "mtu"),
        parent=parent,
        tag=tag,
        ports=ports,
        mode=_text(tree, "mode") or "active-backup",
        options=_options(tree.get("options")),
        managed=_switch(tree, "manage") is not False,
        up=_text(tree, "state") != "down",
        left_alone=_LEFT_ALONE.match(name) is not None and not ports,
        place=place,
    )


def _options(node: Optional[Node]) -> tuple[tuple[str, Option], ...]:
    """A bond's options by name; lists as nmstate takes them, with commas."""
    found: dict[str, Option] = {}
    for key, entry in node.entries.items() if isinstance(node, Map) else ():
        if isinstance(entry.node, Leaf) and entry.node.value is not None:
            found[key] = entry.node.value
        elif isinstance(entry.node, Seq):
            found[key] = ",".join(str(leaf.value) for leaf in _leaves(node, key))
    return tuple(sorted(found.items()))


def _guest(name: str, place: Place) -> Guest:
    nics = place.tree.get("nics")
    return Guest(
        name=name,
        host=_text(place.tree, "host"),
        group=_text(place.tree, "group"),
        nics=tuple(
            GuestNic(network, mac.lower(), _text(item, "attach"), Place(item.mark, item))
            for item in (nics.items if isinstance(nics, Seq) else ())
            if isinstance(item, Map)
            for network, mac in [(_text(item, "network"), _text(item, "mac"))]
            if network and mac
        ),
        place=place,
    )
