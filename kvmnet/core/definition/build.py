"""Builds the objects of kvmnet.core.definition.model from a tree that has been validated against the schema."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Optional, TypeVar

from kvmnet.core.base.probe import Probe
from kvmnet.core.definition.build_guests import read_guest
from kvmnet.core.definition.document import Entry, Leaf, Map, Node, Seq, overlay
from kvmnet.core.definition.interface_kinds import (
    find_kind,
    is_infiniband,
    is_left_alone,
    split_partition_key,
    split_vlan_key,
)
from kvmnet.core.definition.model import (
    BridgeSettings,
    Cluster,
    Group,
    Host,
    Interface,
    Network,
    Option,
    Place,
    Placed,
    PlacedProbe,
)
from kvmnet.core.definition.naming_policy import NamingPolicy, extend_naming_policy
from kvmnet.core.definition.pass_through import read_nmstate, read_others
from kvmnet.core.definition.port_vlans import PortVlans, make_port_vlans
from kvmnet.core.definition.routing import read_routes, read_rules
from kvmnet.core.definition.tree_values import boolean_at, leaves_at, number_at, read_subnet, text_at

_T = TypeVar("_T")


#: How many groups a host can inherit from. Each host has the settings of all of them, so the work grows with it.
MAX_GROUP_DEPTH = 32


def read_cluster(tree: Map, built_in: Mapping[str, NamingPolicy]) -> Cluster:
    """Return the cluster that a tree defines, without the values that the schema rejected."""
    networks = {name: _network(name, part) for name, part in _parts(tree, "networks")}
    groups = {name: _group(name, part) for name, part in _parts(tree, "groups")}
    reader = _InterfaceReader(networks)
    hosts = {name: _host(name, part, tree, groups, reader) for name, part in _parts(tree, "hosts")}
    guests = {name: read_guest(name, part) for name, part in _parts(tree, "guests")}
    own_policies = dict(_parts(tree, "profiles"))
    policies = _naming_policies(own_policies, built_in)
    return Cluster(text_at(tree, "cluster") or "", networks, groups, hosts, guests, policies, own_policies)


def _naming_policies(own: Mapping[str, Place], built_in: Mapping[str, NamingPolicy]) -> dict[str, NamingPolicy]:
    """Return the built-in naming policies and those of the definition whose `extends` chain ends in a known one."""
    policies = dict(built_in)
    for name in own:
        chain: dict[str, None] = {}  # in the order of insertion
        base = name
        while base not in policies and base in own and base not in chain:
            chain[base] = None
            base = text_at(own[base].tree, "extends") or ""
        for derived in reversed(chain):
            if base in policies:
                policies[derived] = extend_naming_policy(policies[base], derived, own[derived].tree)
                base = derived
    return policies


def _parts(tree: Map, key: str) -> Iterator[tuple[str, Place]]:
    """Yield the names and places of the mappings under a key, such as `networks` or `hosts`."""
    node = tree.get(key)
    if isinstance(node, Map):
        for name, entry in node.entries.items():
            if isinstance(entry.node, Map):
                yield name, Place(entry.mark, entry.node)


def _placed(leaf: Leaf) -> Placed:
    address, _, prefix = str(leaf.value).partition("/")
    return Placed(ipaddress.ip_address(address), int(prefix) if prefix else None, leaf.mark)


def _network(name: str, place: Place) -> Network:
    tree = place.tree
    dns = tree.get("dns")
    return Network(
        name=name,
        subnets=tuple(read_subnet(leaf) for leaf in leaves_at(tree, "subnets")),
        gateways=tuple(_placed(leaf) for leaf in [*leaves_at(tree, "gateway"), *leaves_at(tree, "gateways")]),
        dns_servers=tuple(_placed(leaf) for leaf in leaves_at(dns, "servers")),
        dns_search=tuple(str(leaf.value) for leaf in leaves_at(dns, "search")),
        vlan=number_at(tree, "vlan"),
        over=text_at(tree, "over"),
        mtu=number_at(tree, "mtu"),
        default_route=boolean_at(tree, "default_route") is not False,
        metric=number_at(tree, "metric"),
        attach=text_at(tree, "attach"),
        zone=text_at(tree, "zone"),
        on_link=boolean_at(tree, "on_link"),
        place=place,
    )


def _group(name: str, place: Place) -> Group:
    interfaces = place.tree.get("interfaces")
    return Group(
        name=name,
        parent=text_at(place.tree, "group"),
        interfaces=interfaces if isinstance(interfaces, Map) else None,
        place=place,
    )


def _chain(name: Optional[str], groups: Mapping[str, Group]) -> list[Group]:
    """Return a group, the group that it inherits from, and so on, at most MAX_GROUP_DEPTH. A loop ends the chain."""
    chain: dict[str, Group] = {}
    group = groups.get(name or "")
    while group is not None and group.name not in chain and len(chain) < MAX_GROUP_DEPTH:
        chain[group.name] = group
        group = groups.get(group.parent or "")
    return list(chain.values())


class _InterfaceReader:
    """Reads interfaces. Those that hosts get from their group without a change are the same entry of the tree, and are
    read once for all of them: a cluster of 10,000 hosts may have 100,000 such interfaces."""

    def __init__(self, networks: Mapping[str, Network]) -> None:
        self.networks = networks
        self._known: dict[int, tuple[Entry, Interface]] = {}

    def read(self, name: str, entry: Entry) -> Optional[Interface]:
        """Return the interface with this key; None if its value is not a mapping."""
        known = self._known.get(id(entry))
        if known is not None and known[1].name == name:
            return known[1]
        if not isinstance(entry.node, Map):
            return None
        interface = _interface(name, Place(entry.mark, entry.node), self.networks)
        self._known[id(entry)] = entry, interface  # the entry is kept, so that no other one gets its id
        return interface


def _host(name: str, place: Place, tree: Map, groups: Mapping[str, Group], reader: _InterfaceReader) -> Host:
    group_name = text_at(place.tree, "group")
    chain = _chain(group_name, groups)
    own = place.tree.get("interfaces")
    merged: Optional[Map] = None
    for layer in [*(group.interfaces for group in reversed(chain)), own if isinstance(own, Map) else None]:
        merged = _merge_interfaces(merged, layer)
    levels = [place, *(group.place for group in chain), Place(tree.mark, tree)]
    policy_level = next((level for level in levels if text_at(level.tree, "profile") is not None), levels[-1])
    kvm = [k for k in (boolean_at(level.tree, "kvm") for level in levels) if k is not None]
    interfaces = {
        key: interface
        for key, entry in (merged.entries.items() if merged else ())
        if (interface := reader.read(key, entry)) is not None
    }
    for key, other in read_others(place.tree):
        interfaces.setdefault(key, _interface(key, other, reader.networks))
    return Host(
        name=name,
        group=group_name,
        groups=tuple(group.name for group in chain),
        policy_name=text_at(policy_level.tree, "profile") or "",
        kvm=bool(kvm) and kvm[0],
        hostname=_hostname(name, levels),
        interfaces=interfaces,
        routes=tuple(read_routes(levels)),
        rules=tuple(read_rules(levels)),
        default_route=_first(boolean_at(level.tree, "default_route") for level in levels[:-1]),
        metric=_first(number_at(level.tree, "metric") for level in levels[:-1]),
        probes=tuple(_probes(levels)),
        place=place,
        policy_mark=policy_level.at("profile"),
    )


def _hostname(name: str, levels: Sequence[Place]) -> Optional[str]:
    """Return the hostname that the nearest level sets, or None if kvmnet does not set it."""
    for level in levels:
        text, uses_name = text_at(level.tree, "hostname"), boolean_at(level.tree, "hostname")
        if text is not None or uses_name is not None:
            return text if text is not None else name if uses_name else None
    return None


def _probes(levels: Sequence[Place]) -> Iterator[PlacedProbe]:
    """Yield the probes of all levels, those of the cluster first, without duplicates."""
    seen: set[Probe] = set()
    for level in reversed(levels):
        node = level.tree.get("probes")
        for item in node.items if isinstance(node, Seq) else ():
            for kind, entry in item.entries.items() if isinstance(item, Map) else ():
                leaves = leaves_at(item, kind)
                if kind == "command":
                    probe = Probe(kind, command=tuple(str(leaf.value) for leaf in leaves))
                else:
                    probe = Probe(kind, str(leaves[0].value) if leaves else "")
                if leaves and probe not in seen:
                    seen.add(probe)
                    yield PlacedProbe(probe, entry.mark if kind == "command" else leaves[0].mark)


_FAMILIES = {"ipv4": 4, "ipv6": 6}


def _versions(tree: Map) -> set[int]:
    """Return the IP versions of an interface's static addresses."""
    return {_placed(leaf).ip.version for leaf in leaves_at(tree, "addresses")}


def _first(values: Iterable[Optional[_T]]) -> Optional[_T]:
    """Return the first value that is stated, or None."""
    return next((value for value in values if value is not None), None)


def _merge_interfaces(base: Optional[Map], top: Optional[Map]) -> Optional[Map]:
    """Return the interfaces of `base` with those of `top` merged in.

    Static addresses of `top` replace an `ipv4: dhcp` of `base`, and an `ipv4: dhcp` of `top` replaces the static
    addresses of `base`; the same for IPv6. The settings under `bridge` are merged in all their forms.
    """
    interfaces = overlay(base, top)
    if base is None or top is None or interfaces is None:
        return interfaces
    for key, entry in top.entries.items():
        below, merged = base.get(key), interfaces.get(key)
        if not isinstance(entry.node, Map) or not isinstance(below, Map) or not isinstance(merged, Map):
            continue
        for family, version in _FAMILIES.items():
            if version in _versions(entry.node) and not entry.node.has(family):
                merged.entries.pop(family, None)
            source = text_at(entry.node, family)
            if source is not None and source != "static" and not entry.node.has("addresses"):
                _remove_addresses(merged, version)
        if "bridge" in below.entries and "bridge" in entry.node.entries:
            merged.entries["bridge"] = _merge_bridge(below.entries["bridge"], entry.node.entries["bridge"])
    return interfaces


def _merge_bridge(base: Entry, top: Entry) -> Entry:
    """Return the `bridge` of a host over that of its group: `true` keeps the settings of the group, and a name changes
    only the name."""
    below, above = _bridge_mapping(base.node), _bridge_mapping(top.node)
    if below is None or above is None:
        return top
    merged = overlay(below, above)
    assert merged is not None
    return Entry(top.mark, merged)


def _bridge_mapping(node: Node) -> Optional[Map]:
    """Return the settings of `bridge: true`, `bridge: br0` or `bridge: {…}` as a mapping; None for `false`."""
    if isinstance(node, Leaf) and isinstance(node.value, str):
        return Map(node.mark, {"name": Entry(node.mark, node)})
    if isinstance(node, Leaf) and node.value is True:
        return Map(node.mark)
    return node if isinstance(node, Map) else None


def _remove_addresses(tree: Map, version: int) -> None:
    """Remove the addresses of one IP version from an interface."""
    entry = tree.entries.get("addresses")
    if entry is not None and isinstance(entry.node, Seq):
        kept: list[Node] = [leaf for leaf in leaves_at(tree, "addresses") if _placed(leaf).ip.version != version]
        tree.entries["addresses"] = Entry(entry.mark, Seq(entry.node.mark, kept))


def _interface(name: str, place: Place, networks: Mapping[str, Network]) -> Interface:
    tree = place.tree
    match = tree.get("match")
    matched = match if isinstance(match, Map) else Map(tree.mark)
    network = networks.get(text_at(tree, "network") or "")
    kind, key, over = find_kind(name, tree), split_vlan_key(name), text_at(tree, "over")
    parent, tag, pkey = None, None, None
    mac = text_at(tree, "mac") or text_at(matched, "mac")
    infiniband = is_infiniband(name, kind, mac)
    if kind == "vlan" and over is not None:
        parent, tag = over, network.vlan if network else None
    elif kind == "vlan" and key:
        parent, tag = key
    elif infiniband and (partition := split_partition_key(name)) is not None:
        parent, pkey = partition
    settings = _bridge_settings(tree)
    versions = _versions(tree)
    return Interface(
        name=name,
        kind=kind,
        network=text_at(tree, "network"),
        mac=mac.lower() if mac else None,
        kernel_name=text_at(matched, "name"),
        addresses=tuple(_placed(leaf) for leaf in leaves_at(tree, "addresses")),
        ipv4=text_at(tree, "ipv4") or ("static" if 4 in versions else "none"),
        ipv6=text_at(tree, "ipv6") or ("static" if 6 in versions else "none"),
        bridge=boolean_at(tree, "bridge") if settings is None else True,
        bridge_settings=settings or BridgeSettings(),
        mtu=number_at(tree, "mtu"),
        parent=parent,
        tag=tag,
        ports=tuple(str(leaf.value) for leaf in leaves_at(tree, "ports")) if kind in ("bond", "bridge") else (),
        mode=text_at(tree, "mode") or "active-backup",
        options=_options(tree.get("options")),
        managed=boolean_at(tree, "manage") is not False,
        up=text_at(tree, "state") != "down",
        left_alone=is_left_alone(name, kind),
        vlans=_port_vlans(tree, networks),
        own_name=text_at(tree, "name"),
        is_infiniband=infiniband,
        transport_mode=text_at(tree, "transport_mode"),
        pkey=pkey,
        zone=text_at(tree, "zone"),
        description=text_at(tree, "description"),
        default_route=boolean_at(tree, "default_route"),
        metric=number_at(tree, "metric"),
        nmstate=read_nmstate(tree, kind),
        place=place,
    )


def _port_vlans(tree: Map, networks: Mapping[str, Network]) -> Optional[PortVlans]:
    """Return the VLANs that `trunk`, `native` and `access` state, or None without these keys."""
    if not any(tree.has(key) for key in ("trunk", "native", "access")):
        return None
    trunk = [leaf.value for leaf in leaves_at(tree, "trunk") if isinstance(leaf.value, (int, str))]
    untagged = [leaf.value for key in ("access", "native") for leaf in leaves_at(tree, key)]
    first = next((value for value in untagged if isinstance(value, (int, str))), None)
    return make_port_vlans(trunk, first, {name: network.vlan for name, network in networks.items()})


def _bridge_settings(tree: Map) -> Optional[BridgeSettings]:
    """Return the settings under `bridge`, or None if it is true, false or missing."""
    node = tree.get("bridge")
    settings = _bridge_mapping(node) if node is not None else None
    if settings is None:
        return None
    mac = text_at(settings, "mac")
    return BridgeSettings(
        name=text_at(settings, "name"),
        mac=mac.lower() if mac else None,
        stp=boolean_at(settings, "stp"),
        multicast_snooping=boolean_at(settings, "multicast_snooping"),
        vlan_filtering=boolean_at(settings, "vlan_filtering"),
        ageing=number_at(settings, "ageing"),
        priority=number_at(settings, "priority"),
        group_forward_mask=number_at(settings, "group_forward_mask"),
    )


def _options(node: Optional[Node]) -> tuple[tuple[str, Option], ...]:
    """Return the options of a bond, sorted by name. Lists are joined with commas, as nmstate expects them."""
    options: dict[str, Option] = {}
    for key, entry in node.entries.items() if isinstance(node, Map) else ():
        if isinstance(entry.node, Leaf) and entry.node.value is not None:
            options[key] = entry.node.value
        elif isinstance(entry.node, Seq):
            options[key] = ",".join(str(leaf.value) for leaf in leaves_at(node, key))
    return tuple(sorted(options.items()))
