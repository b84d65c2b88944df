"""Builds the objects of kvmnet.core.definition.model from a tree that has been validated against the schema."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

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
    PlacedSubnet,
    Route,
)
from kvmnet.core.definition.naming_policy import NamingPolicy, extend_naming_policy
from kvmnet.core.definition.port_vlans import PortVlans, make_port_vlans
from kvmnet.core.definition.tree_values import boolean as _boolean
from kvmnet.core.definition.tree_values import leaves as _leaves
from kvmnet.core.definition.tree_values import number as _number
from kvmnet.core.definition.tree_values import text as _text


def read_cluster(tree: Map, built_in: Mapping[str, NamingPolicy]) -> Cluster:
    """Return the cluster that a tree defines, without the values that the schema rejected."""
    networks = {name: _network(name, part) for name, part in _parts(tree, "networks")}
    groups = {name: _group(name, part) for name, part in _parts(tree, "groups")}
    hosts = {name: _host(name, part, tree, groups, networks) for name, part in _parts(tree, "hosts")}
    guests = {name: read_guest(name, part) for name, part in _parts(tree, "guests")}
    own_policies = dict(_parts(tree, "profiles"))
    policies = _naming_policies(own_policies, built_in)
    return Cluster(_text(tree, "cluster") or "", networks, groups, hosts, guests, policies, own_policies)


def _naming_policies(own: Mapping[str, Place], built_in: Mapping[str, NamingPolicy]) -> dict[str, NamingPolicy]:
    """Return the built-in naming policies and those of the definition whose `extends` chain ends in a known one."""
    policies = dict(built_in)
    for name in own:
        chain: list[str] = []
        base = name
        while base not in policies and base in own and base not in chain:
            chain.append(base)
            base = _text(own[base].tree, "extends") or ""
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


def _subnet(leaf: Leaf) -> PlacedSubnet:
    net = ipaddress.ip_network(str(leaf.value), strict=False)
    has_host_bits = ipaddress.ip_interface(str(leaf.value)).ip != net.network_address
    return PlacedSubnet(net, leaf.mark, has_host_bits)


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
        default_route=_boolean(tree, "default_route") is not False,
        metric=_number(tree, "metric"),
        attach=_text(tree, "attach"),
        place=place,
    )


def _group(name: str, place: Place) -> Group:
    interfaces = place.tree.get("interfaces")
    return Group(
        name=name,
        parent=_text(place.tree, "group"),
        interfaces=interfaces if isinstance(interfaces, Map) else None,
        place=place,
    )


def _chain(name: Optional[str], groups: Mapping[str, Group]) -> list[Group]:
    """Return a group, the group that it inherits from, and so on. A loop ends the chain."""
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
    merged: Optional[Map] = None
    for layer in [*(group.interfaces for group in reversed(chain)), own if isinstance(own, Map) else None]:
        merged = _merge_interfaces(merged, layer)
    levels = [place, *(group.place for group in chain), Place(tree.mark, tree)]
    policy_level = next((level for level in levels if _text(level.tree, "profile") is not None), levels[-1])
    kvm = [k for k in (_boolean(level.tree, "kvm") for level in levels) if k is not None]
    interfaces = {
        key: _interface(key, Place(entry.mark, entry.node), networks)
        for key, entry in (merged.entries.items() if merged else ())
        if isinstance(entry.node, Map)
    }
    return Host(
        name=name,
        group=group_name,
        groups=tuple(group.name for group in chain),
        policy_name=_text(policy_level.tree, "profile") or "",
        kvm=bool(kvm) and kvm[0],
        hostname=_hostname(name, levels),
        interfaces=interfaces,
        routes=tuple(_routes(levels)),
        probes=tuple(_probes(levels)),
        place=place,
        policy_mark=policy_level.at("profile"),
    )


def _hostname(name: str, levels: Sequence[Place]) -> Optional[str]:
    """Return the hostname that the nearest level sets, or None if kvmnet does not set it."""
    for level in levels:
        text, uses_name = _text(level.tree, "hostname"), _boolean(level.tree, "hostname")
        if text is not None or uses_name is not None:
            return text if text is not None else name if uses_name else None
    return None


def _routes(levels: Sequence[Place]) -> list[Route]:
    """Return the routes of all levels, those of the cluster first. The nearest level wins for each destination."""
    routes: dict[str, list[Route]] = {}
    for level in reversed(levels):
        of_level: dict[str, list[Route]] = {}
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
            of_level.setdefault(str(subnet.net), []).append(route)
        routes.update(of_level)
    return [route for of_destination in routes.values() for route in of_destination]


def _probes(levels: Sequence[Place]) -> Iterator[PlacedProbe]:
    """Yield the probes of all levels, those of the cluster first, without duplicates."""
    seen: set[Probe] = set()
    for level in reversed(levels):
        node = level.tree.get("probes")
        for item in node.items if isinstance(node, Seq) else ():
            for kind, entry in item.entries.items() if isinstance(item, Map) else ():
                leaves = _leaves(item, kind)
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
    return {_placed(leaf).ip.version for leaf in _leaves(tree, "addresses")}


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
            source = _text(entry.node, family)
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
        kept: list[Node] = [leaf for leaf in _leaves(tree, "addresses") if _placed(leaf).ip.version != version]
        tree.entries["addresses"] = Entry(entry.mark, Seq(entry.node.mark, kept))


def _interface(name: str, place: Place, networks: Mapping[str, Network]) -> Interface:
    tree = place.tree
    match = tree.get("match")
    matched = match if isinstance(match, Map) else Map(tree.mark)
    network = networks.get(_text(tree, "network") or "")
    kind, key, over = find_kind(name, tree), split_vlan_key(name), _text(tree, "over")
    parent, tag, pkey = None, None, None
    mac = _text(tree, "mac") or _text(matched, "mac")
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
        network=_text(tree, "network"),
        mac=mac.lower() if mac else None,
        kernel_name=_text(matched, "name"),
        addresses=tuple(_placed(leaf) for leaf in _leaves(tree, "addresses")),
        ipv4=_text(tree, "ipv4") or ("static" if 4 in versions else "none"),
        ipv6=_text(tree, "ipv6") or ("static" if 6 in versions else "none"),
        bridge=_boolean(tree, "bridge") if settings is None else True,
        bridge_settings=settings or BridgeSettings(),
        mtu=_number(tree, "mtu"),
        parent=parent,
        tag=tag,
        ports=tuple(str(leaf.value) for leaf in _leaves(tree, "ports")) if kind in ("bond", "bridge") else (),
        mode=_text(tree, "mode") or "active-backup",
        options=_options(tree.get("options")),
        managed=_boolean(tree, "manage") is not False,
        up=_text(tree, "state") != "down",
        left_alone=is_left_alone(name, kind),
        vlans=_port_vlans(tree, networks),
        own_name=_text(tree, "name"),
        is_infiniband=infiniband,
        transport_mode=_text(tree, "transport_mode"),
        pkey=pkey,
        place=place,
    )


def _port_vlans(tree: Map, networks: Mapping[str, Network]) -> Optional[PortVlans]:
    """Return the VLANs that `trunk`, `native` and `access` state, or None without these keys."""
    if not any(tree.has(key) for key in ("trunk", "native", "access")):
        return None
    trunk = [leaf.value for leaf in _leaves(tree, "trunk") if isinstance(leaf.value, (int, str))]
    untagged = [leaf.value for key in ("access", "native") for leaf in _leaves(tree, key)]
    first = next((value for value in untagged if isinstance(value, (int, str))), None)
    return make_port_vlans(trunk, first, {name: network.vlan for name, network in networks.items()})


def _bridge_settings(tree: Map) -> Optional[BridgeSettings]:
    """Return the settings under `bridge`, or None if it is true, false or missing."""
    node = tree.get("bridge")
    settings = _bridge_mapping(node) if node is not None else None
    if settings is None:
        return None
    mac = _text(settings, "mac")
    return BridgeSettings(
        name=_text(settings, "name"),
        mac=mac.lower() if mac else None,
        stp=_boolean(settings, "stp"),
        multicast_snooping=_boolean(settings, "multicast_snooping"),
        vlan_filtering=_boolean(settings, "vlan_filtering"),
        ageing=_number(settings, "ageing"),
        priority=_number(settings, "priority"),
        group_forward_mask=_number(settings, "group_forward_mask"),
    )


def _options(node: Optional[Node]) -> tuple[tuple[str, Option], ...]:
    """Return the options of a bond, sorted by name. Lists are joined with commas, as nmstate expects them."""
    options: dict[str, Option] = {}
    for key, entry in node.entries.items() if isinstance(node, Map) else ():
        if isinstance(entry.node, Leaf) and entry.node.value is not None:
            options[key] = entry.node.value
        elif isinstance(entry.node, Seq):
            options[key] = ",".join(str(leaf.value) for leaf in _leaves(node, key))
    return tuple(sorted(options.items()))
