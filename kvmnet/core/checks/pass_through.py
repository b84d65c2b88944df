"""Checks of what the definition passes through to nmstate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Optional

from kvmnet.core.base.codes import register
from kvmnet.core.base.problem import Mark, Problem, Related, did_you_mean
from kvmnet.core.checks import Context, check
from kvmnet.core.checks.names import find_names
from kvmnet.core.definition.document import Map
from kvmnet.core.definition.model import Host, Interface
from kvmnet.core.definition.pass_through import OTHER
from kvmnet.core.guests.guest_migration import find_device_mtus
from kvmnet.core.views.host_view import HostView, OtherView

#: The sections that belong to a type of interface.
_OF_TYPE = ("vxlan", "vrf", "mac-vlan", "vlan")

register(
    "KVN220",
    "setting of nmstate that the definition has a key for",
    """
    `nmstate:` is for settings that the definition has no key for. This setting has one, which the message names. Use
    that key, so that the setting is in one place only and all checks apply to it.
    """,
)
register(
    "KVN221",
    "setting of nmstate that contains secrets",
    """
    Passwords and keys (802.1X, MACsec, WireGuard, IPsec, external IDs of Open vSwitch) cannot be passed through to
    nmstate. A definition is committed and copied to all hosts, and kvmnet prints its values in plans and stores them in
    bundles. Configure them with NetworkManager on the host. kvmnet does not change an interface that the definition
    does not contain.
    """,
)
register(
    "KVN222",
    "setting of nmstate that kvmnet cannot roll back",
    """
    nmstate writes some settings to the disk as soon as it reads them, also during a trial: dispatch scripts and
    alternative names. They would stay after a rollback. Others would contradict what kvmnet does itself, such as the
    names of connection profiles. Remove the key.
    """,
)


def _places(context: Context) -> Iterator[tuple[Host, Interface, Map]]:
    """Yield the interfaces that pass something through, with their hosts and what they pass through."""
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            tree = interface.place.tree.get("nmstate")
            if isinstance(tree, Map):
                yield host, interface, tree


@check("KVN223", "one name for an interface of the definition and one of nmstate")
def find_clashes(context: Context) -> Iterator[Problem]:
    """
    A host has an interface under `interfaces`, and another one of the same name under `nmstate`. Write the settings of
    one interface in one place: under `interfaces` if the definition has a type for it, with `nmstate:` for
    further settings; otherwise under `nmstate` of the host.
    """
    for host in context.cluster.hosts.values():
        others = host.place.tree.get("nmstate")
        for name, entry in others.entries.items() if isinstance(others, Map) else ():
            own = host.interfaces.get(name)
            if own is not None and own.kind != OTHER:
                message = f"host {host.name} has {name} under interfaces and under nmstate"
                related = (Related(own.place.mark, f"{name} is defined here too"),)
                yield Problem("KVN223", message, entry.mark, related=related, hint="rename or remove one of the two")


@check("KVN224", "nmstate setting names an interface that does not exist")
def find_unknown_references(context: Context) -> Iterator[Problem]:
    """
    The base interface or port of an interface under `nmstate` is not an interface of this host. nmstate uses kernel
    names: under a naming policy that renames NICs, the NIC eth0 with a bridge is peth0, and eth0 is the bridge. An
    interface cannot be its own base interface either, also not through others.
    """
    for view in context.views.values():
        host = context.cluster.hosts[view.host]
        names = dict.fromkeys(name for name, _, _ in find_names(view))
        bases = {other.name: other.bases for other in view.others}
        for other in view.others:
            for name in (*other.bases, *other.ports):
                if name not in names:
                    message = f"{other.name} on host {host.name} uses {name}, which is not an interface of this host"
                    yield Problem("KVN224", message, _place_of(host, other, name), hint=did_you_mean(name, names))
            if _is_on_itself(other.name, bases):
                message = f"{other.name} on host {host.name} is its own base interface"
                yield Problem("KVN224", message, _place_of(host, other, *other.bases))


def _is_on_itself(name: str, bases: Mapping[str, tuple[str, ...]]) -> bool:
    seen, below = {name}, bases[name]
    while below and below[0] in bases and below[0] not in seen:
        seen.add(below[0])
        below = bases[below[0]]
    return bool(below) and below[0] == name


def _place_of(host: Host, other: OtherView, *names: str) -> Mark:
    """Return the place where an interface of nmstate names its base interface, or one of these ports."""
    place = host.interfaces[other.name].place
    if names and names[0] in other.ports:
        return place.at("nmstate", other.type, "port", other.ports.index(names[0]))
    return place.at("nmstate", other.type, "base-iface")


@check("KVN225", "nmstate setting that does not fit the interface")
def find_unfit_sections(context: Context) -> Iterator[Problem]:
    """
    A section under `nmstate` has no effect on this interface. `ethernet` is for NICs, `vlan` for VLANs, and
    `bridge` for bridges and interfaces with a bridge. An interface that is down, not managed by kvmnet, or the
    loopback interface passes nothing through. A VF of `sr-iov` has a number below `total-vfs`, is listed once, and
    has `vlan-proto` only with `vlan-id`, and a `min-tx-rate` up to its `max-tx-rate` (0: no limit). An interface
    under `nmstate` of a host has the section of its own type (`vxlan` for `type: vxlan`), and no section of another
    type.
    """
    for host, interface, tree in _places(context):
        if interface.kind == OTHER:
            yield from _find_unfit_sections_of_other(host, interface, tree)
            continue
        for key, entry in tree.entries.items():
            reason = _find_misfit(host, interface, key)
            if reason is not None:
                message = f"{interface.name} on host {host.name} cannot have {key} of nmstate: {reason}"
                yield Problem("KVN225", message, entry.mark, hint=f"remove {key}")
        yield from _find_unfit_vfs(host, interface)


def _find_unfit_vfs(host: Host, interface: Interface) -> Iterator[Problem]:
    """Yield the problems of VFs that nmstate (2.2) would report only when it applies them."""
    settings = interface.nmstate.get("ethernet", {}).get("sr-iov", {})
    path = ("nmstate", "ethernet", "sr-iov", "vfs")
    numbers: set[int] = set()
    for number, vf in enumerate(settings.get("vfs", ())):
        name, vf_id = f"VF {vf.get('id')} of {interface.name} on host {host.name}", vf.get("id")
        if vf_id is not None and vf_id >= settings.get("total-vfs", vf_id + 1):
            message = f"{name} does not exist: total-vfs is {settings['total-vfs']}, and the first VF is 0"
            yield Problem("KVN225", message, interface.place.at(*path, number, "id"))
        elif vf_id in numbers:
            yield Problem("KVN225", f"{name} is listed twice", interface.place.at(*path, number, "id"))
        numbers.add(vf_id)
        if 0 < vf.get("max-tx-rate", 0) < vf.get("min-tx-rate", 0):
            message = f"{name} has a min-tx-rate above its max-tx-rate"
            yield Problem("KVN225", message, interface.place.at(*path, number, "min-tx-rate"))
        if vf.get("vlan-proto") == "802.1ad" and not vf.get("vlan-id") and not vf.get("qos"):
            message = f"{name} has vlan-proto without vlan-id"
            hint = "add vlan-id, or remove vlan-proto"
            yield Problem("KVN225", message, interface.place.at(*path, number, "vlan-proto"), hint=hint)


def _find_misfit(host: Host, interface: Interface, key: str) -> Optional[str]:
    if interface.left_alone or not interface.managed:
        return "kvmnet does not manage the interface"
    if not interface.up:
        return "the interface is down"
    if interface.is_loopback:
        return "it is the loopback interface"
    if key == "ethernet" and (not interface.is_nic or interface.is_infiniband):
        return "it is not an Ethernet NIC"
    if key == "vlan" and not interface.is_vlan:
        return "it is not a VLAN"
    if key == "bridge" and not interface.is_bridge and not host.bridged(interface):
        return "it has no bridge"
    return None


def _find_unfit_sections_of_other(host: Host, interface: Interface, tree: Map) -> Iterator[Problem]:
    kind = interface.nmstate["type"]
    if not tree.has(kind):
        message = f"{interface.name} on host {host.name} has type: {kind} but no key {kind}"
        yield Problem("KVN225", message, interface.place.at("nmstate", "type"), hint=f"add {kind}: {{…}}")
    for key, entry in tree.entries.items():
        if key in _OF_TYPE and key != kind:
            message = f"{interface.name} on host {host.name} has type: {kind}, so it cannot have {key}"
            yield Problem("KVN225", message, entry.mark, hint=f"remove {key}, or write type: {key}")


@check("KVN226", "nmstate setting uses what another interface has")
def find_conflicts(context: Context) -> Iterator[Problem]:
    """
    A port of a VRF is also a port of a bridge, a bond or another VRF, or a VLAN under `nmstate` has the base interface
    and VLAN ID of another VLAN. The kernel allows one controller for each interface, and one VLAN device for each VLAN
    ID of a base interface. Remove one of the two.
    """
    for view in context.views.values():
        host = context.cluster.hosts[view.host]
        controllers, vlans = _find_controllers(view), _find_vlans(view)
        for other in view.others:
            for port in other.ports:
                if port in controllers:
                    message = f"{port} on host {host.name} is a port of {controllers[port]} and of {other.name}"
                    yield Problem("KVN226", message, _place_of(host, other, port))
                controllers[port] = other.name
            section = host.interfaces[other.name].nmstate.get(other.type, {})
            if other.type == "vlan" and other.bases:
                key = (other.bases[0], section.get("id"))
                if key in vlans:
                    message = f"{other.name} on host {host.name} has VLAN ID {key[1]} of {key[0]}, as {vlans[key]} has"
                    yield Problem("KVN226", message, host.interfaces[other.name].place.at("nmstate", "vlan", "id"))
                vlans[key] = other.name


@check("KVN227", "MTU of an nmstate interface is larger than its base interface allows")
def find_large_mtus(context: Context) -> Iterator[Problem]:
    """
    The kernel refuses or reduces an MTU that does not fit into the frames of the base interface. A VXLAN needs 50 bytes
    less than its base interface over IPv4, and 70 over IPv6. Reduce the MTU, or increase that of the base interface.
    """
    for view in context.views.values():
        host, mtus = context.cluster.hosts[view.host], find_device_mtus(view)
        for other in view.others:
            largest = min((mtus[base] - other.overhead for base in other.bases if base in mtus), default=None)
            if largest is not None and other.mtu is not None and other.mtu > largest:
                message = f"{other.name} on host {host.name} has MTU {other.mtu}, its base interface allows {largest}"
                interface = host.interfaces[other.name]
                yield Problem("KVN227", message, interface.place.at("nmstate", "mtu"))


def _find_controllers(view: HostView) -> dict[str, str]:
    ports = {port: bridge.name for bridge in view.bridges for port in bridge.ports}
    ports.update({port: bond.name for bond in view.bonds for port in bond.ports})
    return ports


def _find_vlans(view: HostView) -> dict[tuple[str, object], str]:
    return {(vlan.base, vlan.tag): vlan.name for vlan in (*view.vlans, *view.guest_vlans)}
