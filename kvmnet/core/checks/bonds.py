"""Bonds, their ports, and what lies over what."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import WARNING, Mark, Problem, Related, did_you_mean, quoted
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Host, Interface

#: BOND_MAX_ARP_TARGETS of the kernel's bonding.h.
MAX_ARP_TARGETS = 16
_NO_PARTNER = ("balance-rr", "active-backup", "balance-xor", "broadcast")
_ONE_AT_A_TIME = ("active-backup", "balance-tlb", "balance-alb")
#: Options that are refused in other modes (Documentation/networking/bonding.rst, and NetworkManager).
_MODES = {
    "packets_per_slave": ("balance-rr",),
    **dict.fromkeys(("arp_interval", "arp_ip_target", "arp_missed_max", "arp_validate"), _NO_PARTNER),
    **dict.fromkeys(("lacp_rate", "ad_actor_sys_prio", "ad_actor_system", "ad_user_port_key"), ("802.3ad",)),
    "primary": _ONE_AT_A_TIME,
    "tlb_dynamic_lb": ("balance-tlb", "balance-alb"),
}

#: Options that say nothing without another one.
_NEEDED = {
    "arp_interval": "arp_ip_target",
    "arp_ip_target": "arp_interval",
    "updelay": "miimon",
    "downdelay": "miimon",
}


def _interfaces(context: Context) -> Iterator[tuple[Host, Interface]]:
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            yield host, interface


def _bonds(context: Context) -> Iterator[tuple[Host, Interface]]:
    return ((host, interface) for host, interface in _interfaces(context) if interface.is_bond)


def _ports(context: Context) -> Iterator[tuple[Host, Interface, Interface]]:
    """Every port with its bond; the first one, where a port is used twice."""
    for host in context.cluster.hosts.values():
        bonds = [i for i in host.interfaces.values() if i.is_bond]
        told: set[str] = set()
        for bond in bonds:
            for name in bond.ports:
                if name in host.interfaces and name not in told:
                    told.add(name)
                    yield host, host.interfaces[name], bond


@check("KVN170", "a port that is not a NIC")
def port_not_a_nic(context: Context) -> Iterator[Problem]:
    """
    `ports` are keys of NICs of the same host. A bond or a VLAN cannot be a port, nor can what kvmnet leaves
    alone.
    """
    for host, bond in _bonds(context):
        for number, name in enumerate(bond.ports):
            port, mark = host.interfaces.get(name), bond.place.at("ports", number)
            if port is None:
                nics = [i.name for i in host.interfaces.values() if i.is_nic]
                words = f"{host.name} has no interface {quoted(name)} for {bond.name}"
                yield Problem("KVN170", words, mark, hint=did_you_mean(name, nics))
            elif not port.is_nic or port.left_alone:
                what = "a bond" if port.is_bond else "a VLAN" if port.is_vlan else "left alone"
                there = Related(port.place.mark, "it is here")
                words = f"{host.name} {bond.name}: {name} cannot be a port, it is {what}"
                yield Problem("KVN170", words, mark, related=(there,))


@check("KVN171", "a port used twice")
def port_twice(context: Context) -> Iterator[Problem]:
    """A NIC is a port of one bond, and is named there once."""
    for host in context.cluster.hosts.values():
        first: dict[str, tuple[str, Mark]] = {}
        for bond in (i for i in host.interfaces.values() if i.is_bond):
            for number, name in enumerate(bond.ports):
                mark = bond.place.at("ports", number)
                if name in first:
                    other, place = first[name]
                    words = f"{host.name} {bond.name}: {name} is already a port of {other}"
                    yield Problem("KVN171", words, mark, related=(Related(place, "it is here"),))
                else:
                    first[name] = bond.name, mark


@check("KVN172", "a port that is something else too")
def port_in_use(context: Context) -> Iterator[Problem]:
    """
    A NIC that is a bond's port has no network, no addresses, no bridge and no VLAN of its own: the bond has
    them.
    """
    for host, port, bond in _ports(context):
        there = (Related(bond.place.at("ports"), f"{bond.name} is here"),)
        for key in ("network", "addresses", "ipv4", "ipv6", "bridge"):
            none = key in ("ipv4", "ipv6") and port.source(int(key[3])) == "none"
            if port.place.tree.get(key) is not None and not none and not (key == "bridge" and port.bridge is False):
                words = f"{host.name} {port.name} is a port of {bond.name}: {key} belongs to the bond"
                yield Problem("KVN172", words, port.place.at(key), related=there)
        for vlan in host.interfaces.values():
            if vlan.parent == port.name:
                words = f"{host.name} {vlan.name} lies over {port.name}, which is a port of {bond.name}"
                yield Problem("KVN172", words, vlan.place.mark, related=there)


@check("KVN173", "a bond with one port")
def one_port(context: Context) -> Iterator[Problem]:
    """A bond with one port works, but nothing takes over when that port fails."""
    for host, bond in _bonds(context):
        if len(bond.ports) == 1:
            words = f"{host.name} {bond.name} has one port"
            yield Problem("KVN173", words, bond.place.at("ports"), severity=WARNING)


@check("KVN174", "bond options that do not go together")
def options(context: Context) -> Iterator[Problem]:
    """
    A bond watches its ports' links by miimon or by ARP, not by both; ARP needs targets, at most 16 of IPv4, and the
    delays updelay and downdelay are miimon's. balance_slb is for balance-xor with xmit_hash_policy vlan+srcmac.
    `primary` is one of the bond's ports. ad_actor_system is no multicast MAC. num_grat_arp and num_unsol_na are two
    names of one setting of the kernel. Some options have a meaning in some modes only; the kernel and
    NetworkManager refuse them in others.
    """
    for host, bond in _bonds(context):
        given, name = dict(bond.options), f"{host.name} {bond.name}"
        if given.get("arp_interval") and given.get("miimon"):
            words = f"{name}: miimon and arp_interval exclude each other"
            yield Problem("KVN174", words, bond.place.at("options", "arp_interval"))
        for option, other in _NEEDED.items():
            # Without a word about either, miimon is on.
            on = given.get(other, other == "miimon" and "arp_interval" not in given)
            if given.get(option) and not on:
                yield Problem("KVN174", f"{name}: {option} needs {other}", bond.place.at("options", option))
        if {"num_grat_arp", "num_unsol_na"} <= given.keys() and given["num_grat_arp"] != given["num_unsol_na"]:
            words = f"{name}: num_unsol_na must be as num_grat_arp ({given['num_grat_arp']}), or be left out"
            yield Problem("KVN174", words, bond.place.at("options", "num_unsol_na"))
        for option in given:
            modes = _MODES.get(option)
            if modes is not None and bond.mode not in modes:
                words = f"{name}: {option} is not for mode {bond.mode}, but for {', '.join(modes)}"
                yield Problem("KVN174", words, bond.place.at("options", option))
        slb = bond.mode == "balance-xor" and given.get("xmit_hash_policy") == "vlan+srcmac"
        if given.get("balance_slb") and not slb:
            words = f"{name}: balance_slb needs mode balance-xor and xmit_hash_policy vlan+srcmac"
            yield Problem("KVN174", words, bond.place.at("options", "balance_slb"))
        yield from _values(name, bond)
        if "primary" in given and given["primary"] not in bond.ports:
            words = f"{name}: primary {quoted(given['primary'])} is none of its ports"
            hint = did_you_mean(str(given["primary"]), bond.ports)
            yield Problem("KVN174", words, bond.place.at("options", "primary"), hint=hint)


def _values(name: str, bond: Interface) -> Iterator[Problem]:
    """Values that have their form and are refused all the same."""
    given = dict(bond.options)
    targets = str(given.get("arp_ip_target", "")).split(",")
    if len(targets) > MAX_ARP_TARGETS or any(":" in target for target in targets):
        words = f"{name}: arp_ip_target takes at most {MAX_ARP_TARGETS} addresses, of IPv4"
        yield Problem("KVN174", words, bond.place.at("options", "arp_ip_target"))
    system = str(given.get("ad_actor_system", "00"))
    if int(system[:2], 16) & 1 or system == "00:00:00:00:00:00":
        words = f"{name}: {system} is not the MAC of a system"
        yield Problem("KVN174", words, bond.place.at("options", "ad_actor_system"))


@check("KVN175", "keys that do not belong to this kind of interface")
def wrong_kind(context: Context) -> Iterator[Problem]:
    """
    `mode` and `options` are a bond's, one with `ports`. A bond has the MAC of its first port: `mac` and
    `match` find NICs. A bond is no VLAN: neither `over` nor a key such as eth0.5. `state: down` is a NIC's.
    """
    for host, interface in _interfaces(context):
        name = f"{host.name} {interface.name}"
        if not interface.is_bond:
            for key in ("mode", "options"):
                if interface.place.has(key) and not interface.place.has("ports"):
                    yield Problem("KVN175", f"{name} has no ports: {key} is a bond's", interface.place.at(key))
        else:
            for key in ("mac", "match", "over"):
                if interface.place.has(key):
                    words = f"{name} is a bond: {key} does not belong here"
                    yield Problem("KVN175", words, interface.place.at(key))
        if not interface.up and not interface.is_nic:
            words = f"{name} is not a NIC: leave it out, it is not made then"
            yield Problem("KVN175", words, interface.place.at("state"))


@check("KVN176", "a VLAN without a tag")
def no_tag(context: Context) -> Iterator[Problem]:
    """An interface with `over` is a VLAN; its tag is that of its `network`, so it must be on one with `vlan`."""
    for host, interface in _interfaces(context):
        if interface.is_vlan and interface.tag is None and interface.network is None:
            words = f"{host.name} {interface.name} is a VLAN over {interface.parent}, on no network"
            yield Problem("KVN176", words, interface.place.mark, hint="add network: with one that has a tag")


@check("KVN177", "a port with a smaller MTU than its bond")
def port_mtu(context: Context) -> Iterator[Problem]:
    """The ports of a bond carry what the bond carries. Leave a port's `mtu` out and it takes the bond's."""
    for host, port, bond in _ports(context):
        view = context.views.get(host.name)
        for shown in view.bonds if view and port.mtu is not None else ():
            if shown.interface == bond.name and (shown.mtu or 1500) > (port.mtu or 0):
                words = f"{host.name} {port.name} has MTU {port.mtu}, below {shown.mtu or 1500} of {bond.name}"
                there = Related(bond.place.mark, "the bond is here")
                yield Problem("KVN177", words, port.place.at("mtu"), related=(there,))


@check("KVN178", "over an interface that is not there")
def over_nothing(context: Context) -> Iterator[Problem]:
    """
    A VLAN or bond needs NICs that are up and that kvmnet manages: not one with `manage: false` or
    `state: down`, nor InfiniBand or a BMC (ib0, ipmi), which are never bridged either.
    """
    for host, interface in _interfaces(context):
        below = [interface.parent] if interface.parent else list(interface.ports)
        for name in below if interface.managed and interface.up else ():
            other = host.interfaces.get(name)
            if other is not None and (not other.managed or not other.up or (other.left_alone and interface.parent)):
                why = "is down" if not other.up else "is left alone"
                words = f"{host.name} {interface.name} lies over {name}, which {why}"
                there = Related(other.place.mark, "it is here")
                yield Problem("KVN178", words, interface.place.mark, related=(there,))
        if interface.left_alone and interface.bridge:
            words = f"{host.name} {interface.name} is left alone and gets no bridge"
            yield Problem("KVN178", words, interface.place.at("bridge"))


@check("KVN124", "a MAC of 20 bytes on a NIC that is not InfiniBand")
def long_mac(context: Context) -> Iterator[Problem]:
    """InfiniBand alone has MACs of 20 bytes; its interfaces are named ib0, ib1 and so on, and are left alone."""
    for host, interface in _interfaces(context):
        if interface.mac is not None and len(interface.mac) > 17 and not interface.left_alone:
            path = ("mac",) if interface.place.tree.get("mac") is not None else ("match", "mac")
            words = f"{host.name} {interface.name} has a MAC of 20 bytes, which only InfiniBand (ib0) has"
            yield Problem("KVN124", words, interface.place.at(*path))
