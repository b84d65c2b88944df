"""The next free addresses, MAC addresses and VLAN IDs of a cluster, chosen as Rocks chooses them.

In: the definition. Out: texts. Rocks gives hosts IPv4 addresses from the top of the subnet down (insert-ethers), guests
MAC addresses upwards from a base that it computes from the frontend's public address, and VLAN IDs upwards from 2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import islice
from typing import Optional

from kvmnet.core.base.errors import Usage
from kvmnet.core.base.problem import did_you_mean
from kvmnet.core.definition.model import IP, Cluster, Subnet

#: The VLAN IDs that are given to networks: 1 is the default VLAN of switches, 4095 is reserved (IEEE 802.1Q).
FIRST_TAG, LAST_TAG = 2, 4094
#: The part of a guest's MAC address that all guests of a cluster share (rocks.vmconstant, `rocks report vm mac base`).
_BASE_BITS = 0xFFFFFFC00000


def find_free_addresses(cluster: Cluster, network: str, count: int, version: Optional[int] = None) -> list[str]:
    """Return the next free addresses of a network: the highest ones of IPv4, the lowest ones of IPv6.

    `version` is 4 or 6; None: that of the network's first subnet. An address is free when nothing of the definition has
    it: no host, gateway, name server, next hop or probe. Raises Usage when the network does not exist, has no such
    subnet, or is full.
    """
    if network not in cluster.networks:
        raise Usage(f"the definition has no network {network!r}", did_you_mean(network, cluster.networks))
    subnets = [s.net for s in cluster.networks[network].subnets if version in (None, s.net.version)]
    if not subnets:
        family = f"IPv{version} " if version else ""
        raise Usage(f"network {network} has no {family}subnet", "add it under `subnets` of the network")
    subnets = [net for net in subnets if net.version == subnets[0].version]
    used = set(_find_used_addresses(cluster))
    free = (str(ip) for net in subnets for ip in _list_addresses(net) if ip not in used)
    return _take(free, count, f"network {network} has only {{}} free addresses in {', '.join(map(str, subnets))}")


def _list_addresses(net: Subnet) -> Iterator[IP]:
    """Yield the addresses that an interface can have, in the order in which they are given away."""
    first, last = int(net.network_address), int(net.broadcast_address)
    if net.version == 6:
        lowest = (
            first if net.prefixlen >= 127 else first + 1
        )  # the first one is the routers' anycast address (RFC 4291)
        return (ipaddress.IPv6Address(number) for number in range(lowest, last + 1))
    if net.prefixlen < 31:
        first, last = first + 1, last - 1
    return (ipaddress.IPv4Address(number) for number in range(last, first - 1, -1))


def _find_used_addresses(cluster: Cluster) -> Iterator[IP]:
    for network in cluster.networks.values():
        yield from (placed.ip for placed in (*network.gateways, *network.dns_servers))
    for host in cluster.hosts.values():
        yield from (placed.ip for interface in host.interfaces.values() for placed in interface.addresses)
        yield from (route.via for route in host.routes if route.via is not None)
        targets = [placed.probe.address for placed in host.probes]
        yield from (ipaddress.ip_address(target.partition("%")[0]) for target in targets if target is not None)


def find_free_macs(cluster: Cluster, count: int, base: Optional[str] = None) -> list[str]:
    """Return the next MAC addresses for guests: those after the highest one in use.

    `base` is the IPv4 address that the first three and a half bytes are computed from; None: those of the guests, or
    else of the first host's first IPv4 address. Raises Usage when there is no base, or when it has no address left.
    """
    used = [int(nic.mac.replace(":", ""), 16) for guest in cluster.guests.values() for nic in guest.nics]
    start = _compute_base(base) if base is not None else None
    if start is None and used:
        start = max(used) & _BASE_BITS
    if start is None:
        addresses = [p.ip for h in cluster.hosts.values() for i in h.interfaces.values() for p in i.addresses]
        start = next((_compute_base(str(ip)) for ip in addresses if ip.version == 4), None)
    if start is None:
        raise Usage("no guest has a MAC address and no host has an IPv4 address", "give an address with --base")
    highest = max((mac for mac in used if mac & _BASE_BITS == start), default=start - 1)
    free = (_format_mac(mac) for mac in range(highest + 1, start + (~_BASE_BITS & 0xFFFFFFFFFFFF) + 1))
    return _take(free, count, f"only {{}} MAC addresses follow the highest one of {_format_mac(start)}")


def _compute_base(address: str) -> int:
    """Return the base of guests' MAC addresses by the rule of Rocks: the address in reverse order, with the bit of
    locally administered addresses set and the group bit clear."""
    try:
        a, b, c, d = ipaddress.IPv4Address(address).packed
    except ValueError:
        raise Usage(f"{address!r} is not an IPv4 address", "give the public address of the cluster") from None
    del a  # it is the same for many clusters
    return int.from_bytes(bytes(((d & ~3) | 2, c, b, (d & 3) << 6, 0, 0)), "big")


def _format_mac(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in number.to_bytes(6, "big"))


def find_free_tags(cluster: Cluster, count: int) -> list[str]:
    """Return the next free VLAN IDs, from 2 to 4094. Raises Usage when all are used."""
    used = {network.vlan for network in cluster.networks.values()}
    used |= {interface.tag for host in cluster.hosts.values() for interface in host.interfaces.values()}
    free = (str(tag) for tag in range(FIRST_TAG, LAST_TAG + 1) if tag not in used)
    return _take(free, count, f"only {{}} VLAN IDs from {FIRST_TAG} to {LAST_TAG} are free")


def _take(free: Iterator[str], count: int, message: str) -> list[str]:
    """Return the first `count` texts. Raises Usage with the message when there are fewer."""
    taken = list(islice(free, count))
    if len(taken) < count:
        raise Usage(message.format(len(taken)), "choose a smaller --count, or free some of them")
    return taken
