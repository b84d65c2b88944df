"""Checks of bonds, their ports, and which interface may be the base of which."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import WARNING, Mark, Problem, Related, did_you_mean, quoted
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.interface_kinds import is_like_bridge
from kvmnet.core.definition.model import Host, Interface

#: BOND_MAX_ARP_TARGETS of the kernel's bonding.h.
MAX_ARP_TARGETS = 16
_NO_PARTNER = ("balance-rr", "active-backup", "balance-xor", "broadcast")
_ONE_AT_A_TIME = ("active-backup", "balance-tlb", "balance-alb")
#: Options that are rejected in other modes (Documentation/networking/bonding.rst, and NetworkManager).
_MODES = {
    "packets_per_slave": ("balance-rr",),
    **dict.fromkeys(("arp_interval", "arp_ip_target", "arp_missed_max", "arp_validate"), _NO_PARTNER),
    **dict.fromkeys(("lacp_rate", "ad_actor_sys_prio", "ad_actor_system", "ad_user_port_key"), ("802.3ad",)),
    "primary": _ONE_AT_A_TIME,
    "tlb_dynamic_lb": ("balance-tlb", "balance-alb"),
}

#: Options that have no effect without another one.
_NEEDED = {
    "arp_interval": "arp_ip_target",
    "arp_ip_target": "arp_interval",
    "updelay": "miimon",
    "downdelay": "miimon",
}


def _interfaces(context: Context) -> Iterator[tuple[Host, Interface]]:
    """Every interface with its host."""
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            yield host, interface


def _bonds(context: Context) -> Iterator[tuple[Host, Interface]]:
    """Every bond with its host."""
    return ((host, interface) for host, interface in _interfaces(context) if interface.is_bond)


def _ports(context: Context) -> Iterator[tuple[Host, Interface, Interface]]:
    """Every port with its host and bond. A port of two bonds is returned with the first one only."""
    for host in context.cluster.hosts.values():
        bonds = [i for i in host.interfaces.values() if i.is_bond]
        seen: set[str] = set()
        for bond in bonds:
            for name in bond.ports:
                if name in host.interfaces and name not in seen:
                    seen.add(name)
                    yield host, host.interfaces[name], bond


@check("KVN170", "bond port is not a NIC")
def find_ports_that_are_not_nics(context: Context) -> Iterator[Problem]:
    """
    `ports` lists the keys of NICs of the same host. A bond or a VLAN cannot be a port. A BMC (ipmi) cannot be a port
    either, because kvmnet never configures it. Remove the key from `ports`, or correct it.
    """
    for host, bond in _bonds(context):
        for number, name in enumerate(bond.ports):
            port, mark = host.interfaces.get(name), bond.place.at("ports", number)
            if port is None:
                nics = [i.name for i in host.interfaces.values() if i.is_nic]
                message = f"port {quoted(name)} of {bond.name} is not an interface of host {host.name}"
                yield Problem("KVN170", message, mark, hint=did_you_mean(name, nics))
            elif not port.is_nic or port.left_alone:
                kinds = {"bond": "a bond", "vlan": "a VLAN", "bridge": "a bridge", "dummy": "a dummy"}
                reason = kinds.get(port.kind, "not managed by kvmnet")
                definition = Related(port.place.mark, f"{name} is defined here")
                message = f"{bond.name} on host {host.name}: {name} cannot be a port, it is {reason}"
                yield Problem("KVN170", message, mark, related=(definition,))


@check("KVN171", "interface listed twice as a port")
def find_duplicate_ports(context: Context) -> Iterator[Problem]:
    """An interface can be a port of one bond or one bridge only. List it once."""
    for host in context.cluster.hosts.values():
        first: dict[str, tuple[str, Mark]] = {}
        for controller in host.interfaces.values():
            for number, name in enumerate(controller.ports):
                mark = controller.place.at("ports", number)
                if name in first:
                    other, place = first[name]
                    message = f"{controller.name} on host {host.name}: {name} is already a port of {other}"
                    yield Problem("KVN171", message, mark, related=(Related(place, "first listed here"),))
                else:
                    first[name] = controller.name, mark


@check("KVN172", "bond port with settings of its own")
def find_configured_ports(context: Context) -> Iterator[Problem]:
    """
    A NIC that is a bond port cannot have a network, addresses, a bridge or a VLAN. Move these settings to the bond.
    """
    for host, port, bond in _ports(context):
        bond_ports = (Related(bond.place.at("ports"), f"the ports of {bond.name}"),)
        for key in ("network", "addresses", "ipv4", "ipv6", "bridge"):
            is_disabled = key in ("ipv4", "ipv6") and port.source(int(key[3])) == "none"
            is_disabled = is_disabled or (key == "bridge" and port.bridge is False)
            if port.place.tree.get(key) is not None and not is_disabled:
                message = f"{port.name} on host {host.name} is a port of {bond.name}: set {key} on the bond instead"
                yield Problem("KVN172", message, port.place.at(key), related=bond_ports)
        for vlan in host.interfaces.values():
            if vlan.parent == port.name:
                message = f"{vlan.name} on host {host.name}: base interface {port.name} is a port of {bond.name}"
                hint = f"define the VLAN on {bond.name}"
                yield Problem("KVN172", message, vlan.place.mark, related=bond_ports, hint=hint)


@check("KVN173", "bond with one port")
def find_bonds_with_one_port(context: Context) -> Iterator[Problem]:
    """
    A bond with one port works, but has no redundancy: when the port fails, the bond is down. Add a second port. If you
    meant a bridge, write `type: bridge`: without `type`, an interface with `ports` is a bond.
    """
    for host, bond in _bonds(context):
        is_stated = bond.place.has("type")
        is_reported_elsewhere = not is_stated and is_like_bridge(bond.name)  # KVN200
        if len(bond.ports) == 1 and not is_reported_elsewhere:
            message = f"{bond.name} on host {host.name} is a bond with only one port"
            hint = None if is_stated else "ports without type make a bond: for a bridge write type: bridge"
            yield Problem("KVN173", message, bond.place.at("ports"), severity=WARNING, hint=hint)


@check("KVN174", "bond options that conflict")
def find_conflicting_options(context: Context) -> Iterator[Problem]:
    """
    Bond options conflict with each other or with the bond's mode, or an option has a value that the kernel rejects.
    Remove or correct one of the options. The rules are:

    A bond monitors its links with miimon or with ARP, not with both. ARP monitoring needs arp_interval and
    arp_ip_target, with at most 16 IPv4 addresses. updelay and downdelay need miimon.

    balance_slb needs mode balance-xor and xmit_hash_policy vlan+srcmac. `primary` must be one of the bond's ports.
    ad_actor_system must not be a multicast MAC. num_grat_arp and num_unsol_na are two names of the same kernel
    setting and must be equal.

    Some options are valid in some modes only. The kernel and NetworkManager reject them in other modes.
    """
    for host, bond in _bonds(context):
        given, name = dict(bond.options), f"{bond.name} on host {host.name}"
        if given.get("arp_interval") and given.get("miimon"):
            message = f"{name}: miimon and arp_interval cannot be used together"
            yield Problem("KVN174", message, bond.place.at("options", "arp_interval"))
        for option, other in _NEEDED.items():
            # miimon is on when neither miimon nor arp_interval is given.
            is_enabled = given.get(other, other == "miimon" and "arp_interval" not in given)
            if given.get(option) and not is_enabled:
                yield Problem("KVN174", f"{name}: {option} needs {other}", bond.place.at("options", option))
        if {"num_grat_arp", "num_unsol_na"} <= given.keys() and given["num_grat_arp"] != given["num_unsol_na"]:
            message = f"{name}: num_unsol_na differs from num_grat_arp ({given['num_grat_arp']}): remove one of them"
            yield Problem("KVN174", message, bond.place.at("options", "num_unsol_na"))
        for option in given:
            modes = _MODES.get(option)
            if modes is not None and bond.mode not in modes:
                message = f"{name}: {option} is not valid in mode {bond.mode}, only in {', '.join(modes)}"
                yield Problem("KVN174", message, bond.place.at("options", option))
        is_slb_mode = bond.mode == "balance-xor" and given.get("xmit_hash_policy") == "vlan+srcmac"
        if given.get("balance_slb") and not is_slb_mode:
            message = f"{name}: balance_slb needs mode balance-xor and xmit_hash_policy vlan+srcmac"
            yield Problem("KVN174", message, bond.place.at("options", "balance_slb"))
        yield from _find_rejected_values(name, bond)
        if "primary" in given and given["primary"] not in bond.ports:
            message = f"{name}: primary {quoted(given['primary'])} is not one of its ports"
            hint = did_you_mean(str(given["primary"]), bond.ports)
            yield Problem("KVN174", message, bond.place.at("options", "primary"), hint=hint)


def _find_rejected_values(name: str, bond: Interface) -> Iterator[Problem]:
    """Yield problems with option values that the schema accepts and the kernel rejects."""
    given = dict(bond.options)
    targets = str(given.get("arp_ip_target", "")).split(",")
    if len(targets) > MAX_ARP_TARGETS or any(":" in target for target in targets):
        message = f"{name}: arp_ip_target takes at most {MAX_ARP_TARGETS} addresses, all IPv4"
        yield Problem("KVN174", message, bond.place.at("options", "arp_ip_target"))
    system = str(given.get("ad_actor_system", "00"))
    if int(system[:2], 16) & 1 or system == "00:00:00:00:00:00":
        message = f"{name}: ad_actor_system {system} is a multicast or zero MAC address"
        yield Problem("KVN174", message, bond.place.at("options", "ad_actor_system"))


@check("KVN175", "key not valid for this kind of interface")
def find_keys_of_other_kinds(context: Context) -> Iterator[Problem]:
    """
    `mode` and `options` are for bonds: interfaces with `ports`. `mac` and `match` identify NICs; a bond has the MAC of
    its first port. `over` and `name` are for VLANs, and neither a bond nor a bridge is a VLAN. An interface with
    `type: bridge` is a bridge itself: its key is its name, `mac` is its MAC address, and `bridge` has its other
    settings. `state: down` is for NICs; remove any other interface from the definition instead. `transport_mode` is for
    InfiniBand.
    """
    for host, interface in _interfaces(context):
        name = f"{interface.name} on host {host.name}"
        if interface.is_bridge:
            yield from _find_keys_not_for_bridges(name, interface)
        elif not interface.is_bond:
            for key in ("mode", "options"):
                if interface.place.has(key) and not interface.place.has("ports"):
                    message = f"{name} has no ports: {key} is for bonds only"
                    yield Problem("KVN175", message, interface.place.at(key))
        else:
            for key in ("mac", "match", "over"):
                if interface.place.has(key):
                    message = f"{name} is a bond: {key} is not valid for bonds"
                    yield Problem("KVN175", message, interface.place.at(key))
        if interface.place.has("transport_mode") and not interface.is_infiniband:
            message = f"{name} is not InfiniBand: transport_mode is for InfiniBand only"
            hint = "InfiniBand interfaces have a key such as ib0 or ibp5s0, or a MAC address of 20 bytes"
            yield Problem("KVN175", message, interface.place.at("transport_mode"), hint=hint)
        if interface.place.has("name") and not interface.is_vlan:
            kinds = {"nic": "a NIC", "bond": "a bond", "bridge": "a bridge"}
            hints = {"nic": "its kernel name is its key, or match: {name: …}; its bridge is named by bridge: NAME"}
            message = f"{name} is {kinds.get(interface.kind, interface.kind)}: name is for VLANs only"
            hint = hints.get(interface.kind, "its name is its key")
            yield Problem("KVN175", message, interface.place.at("name"), hint=hint)
        if not interface.up and not interface.is_nic:
            message = f"{name} is not a NIC: remove the interface instead of setting state: down"
            yield Problem("KVN175", message, interface.place.at("state"))


def _find_keys_not_for_bridges(name: str, bridge: Interface) -> Iterator[Problem]:
    """Yield a problem for each key that an interface with `type: bridge` cannot have."""
    for key in ("match", "over", "mode", "options"):
        if bridge.place.has(key):
            yield Problem("KVN175", f"{name} is a bridge: {key} is not valid for bridges", bridge.place.at(key))
    if bridge.bridge is False:
        message = f"{name} is a bridge itself: remove bridge: false, or type: bridge"
        yield Problem("KVN175", message, bridge.place.at("bridge"))
    if bridge.bridge_settings.name not in (None, bridge.name):
        message = f"{name} is a bridge itself: its key is its name, not {bridge.bridge_settings.name}"
        yield Problem("KVN175", message, bridge.place.at("bridge", "name"))
    if bridge.bridge_settings.mac is not None:
        message = f"{name} is a bridge itself: set mac on the interface, not under bridge"
        yield Problem("KVN175", message, bridge.place.at("bridge", "mac"))


@check("KVN176", "VLAN without a VLAN ID")
def find_vlans_without_id(context: Context) -> Iterator[Problem]:
    """
    An interface with `over` is a VLAN. Its VLAN ID is that of its `network`. Set `network` to a network with `vlan`.
    """
    for host, interface in _interfaces(context):
        if interface.is_vlan and interface.tag is None and interface.network is None:
            message = f"{interface.name} on host {host.name} has over: {interface.parent} but no network with a VLAN ID"
            yield Problem("KVN176", message, interface.place.mark, hint="set network to a network with vlan")


@check("KVN177", "bond port with a smaller MTU than its bond")
def find_port_mtus_below_bond(context: Context) -> Iterator[Problem]:
    """A port must not have a smaller MTU than its bond. Remove `mtu` from the port: it then gets the bond's MTU."""
    for host, port, bond in _ports(context):
        view = context.views.get(host.name)
        for bond_view in view.bonds if view and port.mtu is not None else ():
            if bond_view.interface == bond.name and (bond_view.mtu or 1500) > (port.mtu or 0):
                bond_mtu = bond_view.mtu or 1500
                message = f"{port.name} on host {host.name} has MTU {port.mtu}, less than MTU {bond_mtu} of {bond.name}"
                definition = Related(bond.place.mark, "the bond is defined here")
                yield Problem("KVN177", message, port.place.at("mtu"), related=(definition,))


@check("KVN178", "base interface or port that kvmnet does not configure")
def find_unusable_base_interfaces(context: Context) -> Iterator[Problem]:
    """
    The base interface of a VLAN and the ports of a bond must be up and managed by kvmnet. Remove `state: down` or
    `manage: false` from them. kvmnet never manages BMCs (ipmi), so they cannot have a VLAN or a bridge. InfiniBand
    interfaces, and bonds of them, cannot have one either: IPoIB has no Ethernet frames. A guest reaches an InfiniBand
    network through the host as its router, or by SR-IOV.
    """
    for host, interface in _interfaces(context):
        below = [interface.parent] if interface.parent and interface.pkey is None else list(interface.ports)
        for name in below if interface.managed and interface.up else ():
            other = host.interfaces.get(name)
            if other is not None and (not other.managed or not other.up or (other.left_alone and interface.parent)):
                state = "has state: down" if not other.up else "is not managed by kvmnet"
                message = f"{interface.name} on host {host.name} uses {name}, which {state}"
                definition = Related(other.place.mark, f"{name} is defined here")
                yield Problem("KVN178", message, interface.place.mark, related=(definition,))
            if interface.is_vlan and other is not None and host.is_over_infiniband(other):
                kind = "an InfiniBand interface" if other.is_infiniband else "a bond of InfiniBand interfaces"
                message = f"{interface.name} on host {host.name} is over {name}, {kind}, which cannot have VLANs"
                definition = Related(other.place.mark, f"{name} is defined here")
                yield Problem("KVN178", message, interface.place.mark, related=(definition,))
        if interface.bridge and host.is_over_infiniband(interface):
            message = f"{interface.name} on host {host.name} is InfiniBand and cannot have a bridge"
            yield Problem("KVN178", message, interface.place.at("bridge"), hint="remove bridge")
        if interface.left_alone and interface.bridge:
            message = f"{interface.name} on host {host.name} is not managed by kvmnet and cannot have a bridge"
            yield Problem("KVN178", message, interface.place.at("bridge"))


@check("KVN179", "bond without ports")
def find_bonds_without_ports(context: Context) -> Iterator[Problem]:
    """
    A bond needs at least one port. List the keys of its NICs in `ports`. A bridge may have no ports: write
    `type: bridge`.
    """
    for host, bond in _bonds(context):
        is_reported_elsewhere = bond.place.has("ports") and bond.place.tree.get("ports") is None  # by the schema
        if not bond.ports and not is_reported_elsewhere:
            message = f"{bond.name} on host {host.name} is a bond without ports"
            hint = "add ports, or write type: bridge for a bridge without ports"
            yield Problem("KVN179", message, bond.place.at("ports"), hint=hint)


@check("KVN124", "20-byte MAC address on a NIC that is not InfiniBand")
def find_long_macs(context: Context) -> Iterator[Problem]:
    """
    Only InfiniBand interfaces have MAC addresses of 20 bytes. A NIC with such an address is one, whatever its key. A
    VLAN, bond or bridge is not. Correct the MAC address, or remove it.
    """
    for host, interface in _interfaces(context):
        if interface.mac is not None and len(interface.mac) > 17 and not interface.is_infiniband:
            path = ("mac",) if interface.place.tree.get("mac") is not None else ("match", "mac")
            name = f"{interface.name} on host {host.name}"
            message = f"{name} has a 20-byte MAC address, which is valid for InfiniBand only"
            yield Problem("KVN124", message, interface.place.at(*path))
