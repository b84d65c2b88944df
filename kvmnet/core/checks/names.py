"""Checks of the kernel names of interfaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Optional

from kvmnet.core.base.names import INTERFACE_NAME, MAX_INTERFACE_NAME, has_form
from kvmnet.core.base.problem import Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Host
from kvmnet.core.rendering.guest_settings import PREFIXES
from kvmnet.core.views.host_view import HostView

#: Reserved names: "all" and "default" are directories in /proc/sys/net/ipv4/conf (sysctl_dev_name_is_allowed),
#: "bonding_masters" is a file in /sys/class/net.
_RESERVED = (".", "..", "all", "default", "lo", "bonding_masters")


#: How a name that is too long, or used twice, becomes another one.
_VLAN_FIX = 'set name: on the VLAN, or vlan: {name: "vlan{tag}"} in a naming policy (profiles)'
_LOGICAL_FIX = 'set vlan: {name: "vlan{tag}"} in a naming policy (profiles)'
_MACVTAP_FIX = 'set macvtap: {name: "t{mac}"} in a naming policy (profiles)'
_BRIDGE_FIX = "name the bridge: bridge: br0"
_NIC_FIX = "choose a shorter key, with match: {name: …} or mac for the NIC"


def _fix_of(interface: str) -> Optional[str]:
    """Return the fix for the name of an interface with this description."""
    fixes = {
        "NIC ": _NIC_FIX,
        "the VLAN": _VLAN_FIX,
        "the bridge on": _BRIDGE_FIX,
        "the logical": _LOGICAL_FIX,
        "the macvtap": _MACVTAP_FIX,
    }
    return next((fix for start, fix in fixes.items() if interface.startswith(start)), None)


def find_names(view: HostView) -> Iterator[tuple[str, str, Mark]]:
    """The kernel name of every interface of a host, a description of the interface, and its place."""
    for nic in view.nics:
        yield nic.name, f"NIC {nic.interface}", nic.mark
    for bond in view.bonds:
        yield bond.name, "the bond", bond.mark
    for dummy in view.dummies:
        if not dummy.is_loopback:
            yield dummy.name, "the dummy", dummy.mark
    for other in view.others:
        yield other.name, f"the {other.type} of nmstate", other.mark
    for vlan in view.vlans:
        yield vlan.name, f"the VLAN {vlan.tag} on {vlan.base}", vlan.mark
    for bridge in view.bridges:
        ports = ", ".join(bridge.ports)
        yield bridge.name, f"the bridge on {ports}" if ports else "the bridge", bridge.mark
    for logical in view.guest_vlans:
        yield logical.name, f"the logical VLAN {logical.tag} on {logical.base}", logical.mark
    for macvtap in view.macvtaps:
        yield macvtap.name, f"the macvtap of guest {macvtap.guest}", macvtap.mark


@check("KVN150", "invalid interface name")
def find_invalid_names(context: Context) -> Iterator[Problem]:
    """
    An interface name has at most 15 characters (IFNAMSIZ). What the naming policy adds also counts: rocks adds the
    prefix p to a NIC, and a dot with the VLAN ID to a VLAN.

    A name begins with a letter, a digit or an underscore: programs take a dash for an option. The names all, default,
    lo and bonding_masters are reserved. udev rejects a name of digits only, because programs
    read it as an interface index. On hosts with bridges or macvtaps, names that begin with vnet or macvtap are
    reserved for libvirt: NetworkManager does not manage interfaces with these names.

    A VLAN gets another name by `name:`, or by a naming policy with a shorter pattern: `vlan: {name: "vlan{tag}"}`. The
    bridge of an interface gets the name in `bridge: br0`. A NIC gets a shorter key, and `match: {name: …}` or `mac`
    finds it. The pattern of macvtaps is `macvtap: {name: …}` in a naming policy.
    """
    reported: set[tuple[str, Mark]] = set()
    for view in context.views.values():
        may_run_guests = bool(view.bridges or view.macvtaps)
        for name, interface, mark in find_names(view):
            if (name, mark) in reported:  # one problem for a name in a template of 200 hosts
                continue
            reported.add((name, mark))
            if len(name) > MAX_INTERFACE_NAME:
                length = f"{len(name)} characters, at most {MAX_INTERFACE_NAME} are allowed"
                message = f"host {view.host}: name {name} of {interface} is too long: {length}"
                yield Problem("KVN150", message, mark, hint=_fix_of(interface))
            elif name in _RESERVED or name.isdigit() or not has_form(INTERFACE_NAME, name):
                yield Problem("KVN150", f"host {view.host}: {interface} cannot be named {name}", mark)
            elif may_run_guests and name.startswith(PREFIXES):  # unmanaged by NetworkManager on such hosts
                prefixes = " and ".join(PREFIXES)
                message = f"host {view.host}: {interface} cannot be named {name}: libvirt uses the prefixes {prefixes}"
                yield Problem("KVN150", message, mark)


@check("KVN151", "two interfaces with the same name")
def find_duplicate_names(context: Context) -> Iterator[Problem]:
    """
    Two interfaces of a host get the same kernel name, from their keys, from `bridge` or from the naming policy.
    Example: the policy rocks renames NIC eth0 to peth0, so there cannot be another interface peth0. Choose another key
    for one of them.

    The name of a bridge (`bridge: br0`) cannot be the key of another interface either. Either give the NIC
    `bridge: br0` and all settings of the bridge, or define the bridge as an interface of its own: `br0` with
    `type: bridge` and the NIC in `ports`.
    """
    for view in context.views.values():
        owners = _find_owners_of_named_bridges(context.cluster.hosts[view.host], view)
        first: dict[str, tuple[str, Mark]] = {}
        for name, interface, mark in find_names(view):
            if name in first:
                other, place = first[name]
                yield Problem(
                    "KVN151",
                    f"host {view.host}: {interface} and {other} would both be named {name}",
                    mark,
                    related=(Related(place, "first used here"),),
                    hint=_explain_bridge(context.cluster.hosts[view.host], name, owners.get(name, []))
                    or _explain_pattern(interface, other),
                )
            else:
                first[name] = interface, mark
        yield from _find_bridges_named_like_keys(context.cluster.hosts[view.host], view, owners)


def _explain_pattern(interface: str, other: str) -> Optional[str]:
    """Return how two VLANs or macvtaps whose names are from a pattern get different ones, or None."""
    is_of_pattern = all(what.startswith(("the VLAN", "the logical", "the macvtap")) for what in (interface, other))
    return _fix_of(interface) if is_of_pattern else None


def _find_owners_of_named_bridges(host: Host, view: HostView) -> dict[str, list[str]]:
    """Return the keys of the interfaces whose bridge the definition names (`bridge: br0`), by the bridge's name."""
    owners: dict[str, list[str]] = {}
    for bridge in view.bridges:
        if host.interfaces[bridge.interface].bridge_settings.name is not None:
            owners.setdefault(bridge.name, []).append(bridge.interface)
    return owners


def _find_bridges_named_like_keys(host: Host, view: HostView, owners: Mapping[str, list[str]]) -> Iterator[Problem]:
    """Yield a problem for each bridge that has the key of another interface as its name, but not its kernel name."""
    nic_names = {nic.interface: nic.name for nic in view.nics}
    for name, keys in owners.items():
        if name in host.interfaces and name not in keys and nic_names.get(name) != name:
            mark = host.interfaces[keys[0]].place.at("bridge", "name")
            message = (
                f"host {host.name}: the bridge of {keys[0]} cannot be named {name}: another interface has this key"
            )
            related = (Related(host.interfaces[name].place.mark, f"{name} is defined here"),)
            yield Problem("KVN151", message, mark, related=related)


def _explain_bridge(host: Host, name: str, owners: list[str]) -> Optional[str]:
    """Return how to write a bridge that the definition has twice, or None if it does not look like that."""
    settings = f"write {name}: {{type: bridge, ports: [{', '.join(owners)}]}} and remove bridge from the ports"
    if len(owners) > 1:
        return f"for one bridge with several ports {settings}"
    nic = host.interfaces.get(name)
    is_bridge_itself = nic is not None and nic.is_nic and not nic.place.has("mac", "match")
    return f"if they are one bridge, {settings}" if owners and owners != [name] and is_bridge_itself else None


@check("KVN152", "two interfaces match the same NIC")
def find_duplicate_matches(context: Context) -> Iterator[Problem]:
    """
    Two interfaces of a host match the same kernel name (`match: {name: …}`), but only one NIC can have it. Correct the
    name or the key of one of them.
    """
    for host in context.cluster.hosts.values():
        first: dict[str, tuple[str, Mark]] = {}
        for interface in host.interfaces.values():
            if not interface.is_nic or (interface.mac is not None and interface.kernel_name is None):
                continue
            name = interface.kernel_name or interface.name
            mark = interface.place.at("match", "name")
            if name in first:
                other, place = first[name]
                message = f"host {host.name}: {interface.name} and {other} both match NIC {name}"
                yield Problem("KVN152", message, mark, related=(Related(place, "first matched here"),))
            else:
                first[name] = interface.name, mark
