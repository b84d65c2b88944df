"""Names that must be there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional

from kvmnet.core.base.problem import Mark, Problem, did_you_mean, quoted
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.document import Leaf

#: The profiles that kvmnet brings.
BROUGHT = ("plain", "rocks")


def _unknown(code: str, kind: str, name: Optional[str], known: Iterable[str], mark: Mark) -> Iterator[Problem]:
    names = list(known)
    if name is not None and name not in names:
        yield Problem(code, f"there is no {kind} {quoted(name)}", mark, hint=did_you_mean(name, names))


@check("KVN101", "unknown network")
def unknown_network(context: Context) -> Iterator[Problem]:
    """An interface, a guest's NIC or the `over` of a logical VLAN names a network that is not there."""
    cluster = context.cluster
    for network in cluster.networks.values():
        yield from _unknown("KVN101", "network", network.over, cluster.networks, network.place.at("over"))
    for host in cluster.hosts.values():
        for interface in host.interfaces.values():
            place = interface.place.at("network")
            yield from _unknown("KVN101", "network", interface.network, cluster.networks, place)
    for guest in cluster.guests.values():
        for nic in guest.nics:
            yield from _unknown("KVN101", "network", nic.network, cluster.networks, nic.place.at("network"))


@check("KVN102", "unknown group")
def unknown_group(context: Context) -> Iterator[Problem]:
    """A host, a guest or another group names a group that is not among `groups`."""
    cluster = context.cluster
    for group in cluster.groups.values():
        yield from _unknown("KVN102", "group", group.parent, cluster.groups, group.place.at("group"))
    for host in cluster.hosts.values():
        yield from _unknown("KVN102", "group", host.group, cluster.groups, host.place.at("group"))
    for guest in cluster.guests.values():
        yield from _unknown("KVN102", "group", guest.group, cluster.groups, guest.place.at("group"))


@check("KVN106", "a group over itself")
def group_loop(context: Context) -> Iterator[Problem]:
    """A group is laid over the group that it names, and so on: that must end."""
    groups = context.cluster.groups
    for group in groups.values():
        seen, name = [group.name], group.parent
        while name in groups and name not in seen:
            seen.append(str(name))
            name = groups[str(name)].parent
        if name == group.name:
            words = f"group {group.name} is laid over itself: {' over '.join([*seen, name])}"
            yield Problem("KVN106", words, group.place.at("group"))


@check("KVN103", "unknown host")
def unknown_host(context: Context) -> Iterator[Problem]:
    """A guest names a host that is not among `hosts`."""
    cluster = context.cluster
    for guest in cluster.guests.values():
        yield from _unknown("KVN103", "host", guest.host, cluster.hosts, guest.place.at("host"))


@check("KVN104", "unknown profile")
def unknown_profile(context: Context) -> Iterator[Problem]:
    """
    The cluster, a group or a host names a profile that does not exist. kvmnet brings `rocks` (NIC eth0
    becomes peth0, bridge eth0) and `plain` (eth0 stays, bridge br-eth0); a definition adds its own under
    `profiles`, each of which extends another.
    """
    cluster = context.cluster
    known = [*cluster.profiles, *(name for name in cluster.own_profiles if name not in cluster.profiles)]
    for place in cluster.own_profiles.values():
        extends = place.tree.get("extends")
        if isinstance(extends, Leaf):
            yield from _unknown("KVN104", "profile", str(extends.value), known, place.at("extends"))
    for host in cluster.hosts.values():
        if host.profile:  # absent: the schema has told already
            yield from _unknown("KVN104", "profile", host.profile, known, host.profile_mark)


@check("KVN107", "a profile that is not one")
def profile_loop(context: Context) -> Iterator[Problem]:
    """
    A profile of the definition extends another one, and so on down to one that kvmnet brings: not itself. It
    has a name of its own.
    """
    cluster = context.cluster
    for name, place in cluster.own_profiles.items():
        seen, at = [name], name
        while at in cluster.own_profiles:
            leaf = cluster.own_profiles[at].tree.get("extends")
            at = str(leaf.value) if isinstance(leaf, Leaf) else ""
            if at in seen:
                break
            seen.append(at)
        if name in BROUGHT:
            yield Problem("KVN107", f"profile {name} comes with kvmnet: this one needs another name", place.mark)
        elif at == name:
            words = f"profile {name} extends itself: {' extends '.join([*seen, name])}"
            yield Problem("KVN107", words, place.at("extends"))
