"""Checks of references: every network, group, host and naming policy that is named must be defined."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Optional

from kvmnet.core.base.problem import Mark, Problem, did_you_mean, quoted
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.build import MAX_GROUP_DEPTH
from kvmnet.core.definition.document import Leaf
from kvmnet.core.definition.tree_values import leaves_at

#: The naming policies that are part of kvmnet.
BUILT_IN = ("plain", "rocks")


def _find_unknown(code: str, kind: str, name: Optional[str], known: Collection[str], mark: Mark) -> Iterator[Problem]:
    """Yield a problem where a name is given that is not among the known ones."""
    if name is not None and name not in known:
        yield Problem(code, f"unknown {kind} {quoted(name)}", mark, hint=did_you_mean(name, known))


@check("KVN101", "unknown network")
def find_unknown_networks(context: Context) -> Iterator[Problem]:
    """
    The `network` of an interface or guest NIC, or the `over` of a network, is not defined under `networks`. Correct
    the name or define the network.
    """
    cluster = context.cluster
    for network in cluster.networks.values():
        yield from _find_unknown("KVN101", "network", network.over, cluster.networks, network.place.at("over"))
    for host in cluster.hosts.values():
        for interface in host.interfaces.values():
            place = interface.place.at("network")
            yield from _find_unknown("KVN101", "network", interface.network, cluster.networks, place)
    for guest in cluster.guests.values():
        for nic in guest.nics:
            if not nic.trunk:
                place = nic.place.at("network" if nic.place.has("network") else "native")
                yield from _find_unknown("KVN101", "network", nic.network, cluster.networks, place)
            for number, leaf in enumerate(leaves_at(nic.place.tree, "networks")):
                place = nic.place.at("networks", number)
                yield from _find_unknown("KVN101", "network", str(leaf.value), cluster.networks, place)
            if nic.trunk:
                yield from _find_unknown("KVN101", "network", nic.native, cluster.networks, nic.place.at("native"))


@check("KVN102", "unknown group")
def find_unknown_groups(context: Context) -> Iterator[Problem]:
    """
    The `group` of a host, guest or group is not defined under `groups`. Correct the name or define the group.
    """
    cluster = context.cluster
    for group in cluster.groups.values():
        yield from _find_unknown("KVN102", "group", group.parent, cluster.groups, group.place.at("group"))
    for host in cluster.hosts.values():
        yield from _find_unknown("KVN102", "group", host.group, cluster.groups, host.place.at("group"))
    for guest in cluster.guests.values():
        yield from _find_unknown("KVN102", "group", guest.group, cluster.groups, guest.place.at("group"))


@check("KVN106", "group inherits from itself or from too many groups")
def find_group_loops(context: Context) -> Iterator[Problem]:
    """
    A group inherits from the group in its `group` key. That group may inherit from another one, and so on. Here, this
    chain leads back to the first group, or it has more than 32 groups. Remove `group` from one of these groups.
    """
    groups = context.cluster.groups
    is_depth_reported = False
    for group in groups.values():
        seen, name = [group.name], group.parent
        while name in groups and name not in seen and len(seen) <= MAX_GROUP_DEPTH:
            seen.append(str(name))
            name = groups[str(name)].parent
        if len(seen) > MAX_GROUP_DEPTH and not is_depth_reported:
            is_depth_reported = True  # once: every group further down has the same problem
            message = f"group {group.name} inherits from more than {MAX_GROUP_DEPTH - 1} groups"
            yield Problem("KVN106", message, group.place.at("group"))
        elif name == group.name:
            message = f"group {group.name} inherits from itself: {' -> '.join([*seen, name])}"
            yield Problem("KVN106", message, group.place.at("group"))


@check("KVN103", "unknown host")
def find_unknown_hosts(context: Context) -> Iterator[Problem]:
    """The `host` of a guest is not defined under `hosts`. Correct the name or define the host."""
    cluster = context.cluster
    for guest in cluster.guests.values():
        yield from _find_unknown("KVN103", "host", guest.host, cluster.hosts, guest.place.at("host"))


@check("KVN104", "unknown naming policy")
def find_unknown_naming_policies(context: Context) -> Iterator[Problem]:
    """
    The definition uses a naming policy that does not exist. The name is in `profile` of the cluster, a group or a
    host, or in `extends` of another naming policy. Two policies are part of kvmnet: `rocks` (NIC eth0 is renamed
    peth0, its bridge is eth0) and `plain` (the NIC stays eth0, its bridge is br-eth0). Define others under `profiles`;
    each extends an existing one.
    """
    cluster = context.cluster
    known = [*cluster.policies, *(name for name in cluster.own_policies if name not in cluster.policies)]
    for place in cluster.own_policies.values():
        extends = place.tree.get("extends")
        if isinstance(extends, Leaf):
            yield from _find_unknown("KVN104", "naming policy", str(extends.value), known, place.at("extends"))
    for host in cluster.hosts.values():
        if host.policy_name:  # absent: the schema has already reported it
            yield from _find_unknown("KVN104", "naming policy", host.policy_name, known, host.policy_mark)


@check("KVN107", "invalid naming policy")
def find_invalid_naming_policies(context: Context) -> Iterator[Problem]:
    """
    A naming policy under `profiles` extends another one. This chain must end in `rocks` or `plain` and must not lead
    back to the policy itself. The names `rocks` and `plain` are reserved for the policies of kvmnet.
    """
    cluster = context.cluster
    for name, place in cluster.own_policies.items():
        seen, base = [name], name
        while base in cluster.own_policies:
            leaf = cluster.own_policies[base].tree.get("extends")
            base = str(leaf.value) if isinstance(leaf, Leaf) else ""
            if base in seen:
                break
            seen.append(base)
        if name in BUILT_IN:
            message = f"naming policy {name} is already part of kvmnet: choose another name"
            yield Problem("KVN107", message, place.mark)
        elif base == name:
            message = f"naming policy {name} extends itself: {' -> '.join([*seen, name])}"
            yield Problem("KVN107", message, place.at("extends"))
