"""VLANs and MTUs."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Host, Interface


def _vlans(context: Context) -> Iterator[tuple[Host, Interface]]:
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            if interface.is_vlan:
                yield host, interface


@check("KVN130", "VLAN tag out of range")
def tag_range(context: Context) -> Iterator[Problem]:
    """
    A VLAN tag has 12 bits, of which 0 (no VLAN, priority only) and 4095 are reserved (IEEE 802.1Q):
    1 to 4094 are left. A network without a tag has no `vlan` key.
    """
    for host, interface in _vlans(context):
        if interface.tag is not None and not 1 <= interface.tag <= 4094:
            words = f"{host.name} {interface.name}: a VLAN tag is 1 to 4094, not {interface.tag}"
            yield Problem("KVN130", words, interface.place.mark)


@check("KVN131", "a logical VLAN over a network that cannot carry it")
def over_what(context: Context) -> Iterator[Problem]:
    """
    `over` makes a logical VLAN: it needs a tag of its own (`vlan`), and the network it names must be an
    untagged one that is not itself over another: its tag travels on that network's NICs.
    """
    networks = context.cluster.networks
    for network in networks.values():
        if network.over is None:
            continue
        if not network.place.has("vlan"):
            words = f"network {network.name} is over {network.over} but has no vlan"
            yield Problem("KVN131", words, network.place.mark)
        carrier = networks.get(network.over)
        if carrier is not None and (carrier.vlan is not None or carrier.over is not None):
            words = f"network {network.name} cannot be over {carrier.name}, which has a tag itself"
            there = Related(carrier.place.mark, f"network {carrier.name} is here")
            yield Problem("KVN131", words, network.place.at("over"), related=(there,))


@check("KVN132", "one tag twice on one NIC")
def tag_twice(context: Context) -> Iterator[Problem]:
    """
    Two VLANs with the same tag lie over the same NIC: the kernel has one device for both. That is so when
    two logical VLANs over one network have the same tag, or an explicit VLAN (eth0.2) has the tag of a
    logical one that the host's guests use.
    """
    first: dict[tuple[str, int], tuple[str, Mark]] = {}
    for network in context.cluster.networks.values():
        if network.over is None or network.vlan is None:
            continue
        key = network.over, network.vlan
        if key in first:
            name, mark = first[key]
            words = f"tag {network.vlan} over {network.over} is already that of network {name}"
            yield Problem("KVN132", words, network.place.at("vlan"), related=(Related(mark, "it is here"),))
        else:
            first[key] = network.name, network.place.at("vlan")
    for host, interface in _vlans(context):
        parent = host.interfaces.get(interface.parent or "")
        for network in context.cluster.networks.values():
            if parent is None or network.over is None or network.over != parent.network:
                continue
            if network.vlan is not None and network.vlan == interface.tag:
                words = f"{host.name} {interface.name}: tag {interface.tag} is also that of logical VLAN {network.name}"
                there = Related(network.place.at("vlan"), "the logical VLAN")
                yield Problem("KVN132", words, interface.place.mark, related=(there,))


@check("KVN133", "interface and network disagree about the tag")
def tag_mismatch(context: Context) -> Iterator[Problem]:
    """
    A VLAN's key ends in its tag (eth0.5), and its network has one too (`vlan: 5`): they must be equal. A NIC
    (eth0) must be on a network without a tag. A logical VLAN is for guests only: no interface of a host is
    on it.
    """
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            network = context.cluster.networks.get(interface.network or "")
            if network is None:
                continue
            mark, name = interface.place.at("network"), f"{host.name} {interface.name}"
            there = (Related(network.place.at("vlan"), f"network {network.name} is here"),)
            if network.over is not None:
                words = f"{name}: network {network.name} is a logical VLAN, which only guests are on"
                yield Problem("KVN133", words, mark, related=there)
            elif network.vlan is None and interface.is_vlan:
                words = f"{name} is a VLAN, but network {network.name} has no tag"
                yield Problem("KVN133", words, mark, related=there)
            elif network.vlan is not None and not interface.is_vlan:
                what = "bond" if interface.is_bond else "NIC"
                words = f"{name} is a {what}, but network {network.name} has tag {network.vlan}"
                hint = f"its VLAN would be {interface.name}.{network.vlan}"
                yield Problem("KVN133", words, mark, related=there, hint=hint)
            elif network.vlan != interface.tag:
                words = f"{name}: network {network.name} has tag {network.vlan}"
                yield Problem("KVN133", words, mark, related=there)


@check("KVN134", "a VLAN over nothing")
def no_parent(context: Context) -> Iterator[Problem]:
    """
    The interface eth0.5 is a VLAN over eth0: the host must have an interface eth0, and that must be a NIC.
    """
    for host, interface in _vlans(context):
        parent = host.interfaces.get(interface.parent or "")
        if parent is None:
            words = f"{host.name} has no interface {interface.parent} for {interface.name} to lie over"
            yield Problem("KVN134", words, interface.place.mark)
        elif parent.is_vlan:
            words = f"{host.name}: {interface.name} lies over {parent.name}, which is a VLAN itself"
            yield Problem("KVN134", words, interface.place.mark)


@check("KVN135", "a MAC on a VLAN")
def vlan_mac(context: Context) -> Iterator[Problem]:
    """A VLAN has the MAC of the NIC it lies over: `mac` and `match` find NICs, nothing else."""
    for host, interface in _vlans(context):
        for key in ("mac", "match"):
            if interface.place.has(key):
                words = f"{host.name} {interface.name} is a VLAN: {key} belongs to the NIC {interface.parent}"
                yield Problem("KVN135", words, interface.place.at(key))


@check("KVN140", "an MTU below one that it carries")
def mtu_order(context: Context) -> Iterator[Problem]:
    """
    An interface states an `mtu` smaller than that of its own network or of a VLAN over it; the kernel
    refuses a VLAN larger than its parent (ERANGE). Leave the interface's `mtu` out and it is derived: the
    largest of all it carries.
    """
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            if interface.mtu is None:
                continue
            for other in host.interfaces.values():
                network = context.cluster.networks.get(other.network or "")
                mtu = other.mtu or (network.mtu if network else None)
                if other.name == interface.name:
                    mtu = network.mtu if network else None
                elif other.parent != interface.name:
                    continue
                if mtu is not None and mtu > interface.mtu:
                    named = network is not None and mtu == network.mtu
                    whose = f"network {network.name}" if network and named else other.name
                    mark = network.place.at("mtu") if network and named else other.place.at("mtu")
                    words = f"{host.name} {interface.name} has MTU {interface.mtu}, below {mtu} of {whose}"
                    there = Related(mark, "it is here")
                    yield Problem("KVN140", words, interface.place.at("mtu"), related=(there,))
            yield from _below_logical(context, host, interface)


def _below_logical(context: Context, host: Host, interface: Interface) -> Iterator[Problem]:
    view = context.views.get(host.name)
    for nic in view.nics if view else ():
        for vlan in view.guest_vlans if view else ():
            if nic.interface == interface.name and vlan.base == nic.name and (vlan.mtu or 0) > (nic.mtu or 0):
                owner = f"{host.name} {interface.name}"
                words = f"{owner} has MTU {nic.mtu}, below {vlan.mtu} of a logical VLAN"
                there = Related(vlan.mark, "the logical VLAN")
                yield Problem("KVN140", words, interface.place.at("mtu"), related=(there,))


@check("KVN141", "an MTU too small for IPv6")
def ipv6_mtu(context: Context) -> Iterator[Problem]:
    """IPv6 needs links of at least 1280 bytes (RFC 8200, section 5); below that the kernel switches it off."""
    for network in context.cluster.networks.values():
        if network.mtu is not None and network.mtu < 1280 and any(s.net.version == 6 for s in network.subnets):
            words = f"network {network.name} has an IPv6 subnet, which needs an MTU of 1280 or more"
            yield Problem("KVN141", words, network.place.at("mtu"))
