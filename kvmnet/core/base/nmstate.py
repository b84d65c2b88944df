"""nmstate's vocabulary: what a state is made of, and the kernel's and NetworkManager's words for its interface types.

The one place for these names; nmstate 2.2 (`nmstatectl show --json`) is the source of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

State = dict[str, Any]
"""An nmstate state: plain dicts, lists, strings, integers and booleans, as `nmstatectl show --json` prints."""

#: The keys of an interface that hold its addresses.
FAMILIES = ("ipv4", "ipv6")

ETHERNET = "ethernet"
#: IPoIB interfaces and their partitions.
INFINIBAND = "infiniband"
#: The kernel's main routing table. nmstate also writes 0 for it.
MAIN_TABLE = 254
LOOPBACK = "lo"
#: NetworkManager's type of the connection profile of a NIC.
NM_ETHERNET = "802-3-ethernet"

#: nmstate's types of virtual interfaces, and the kernel's kind of such a link (IFLA_INFO_KIND). A NIC has none.
KERNEL_KINDS = {
    "linux-bridge": "bridge",
    "vlan": "vlan",
    "bond": "bond",
    "mac-vtap": "macvtap",
    "dummy": "dummy",
    "vxlan": "vxlan",
    "vrf": "vrf",
    "mac-vlan": "macvlan",
}
#: nmstate's types, and NetworkManager's type of their connection profiles.
NM_TYPES = {
    ETHERNET: NM_ETHERNET,
    INFINIBAND: "infiniband",
    "linux-bridge": "bridge",
    "bond": "bond",
    "vlan": "vlan",
    "mac-vtap": "macvlan",
    "dummy": "dummy",
    "loopback": "loopback",
    "vxlan": "vxlan",
    "vrf": "vrf",
    "mac-vlan": "macvlan",
}
#: The kernel's kinds of the devices that libvirt makes for guests.
GUEST_KINDS = ("tun", "macvtap")


def interfaces_of(state: Mapping[str, Any]) -> list[Any]:
    """The interfaces of a state, each a dict; empty when it has none."""
    interfaces: list[Any] = state.get("interfaces", [])
    return interfaces


#: How nmstate shows that a route has no next hop.
_NO_NEXT_HOP = (None, "", "0.0.0.0", "::")


def next_hop_of(route: Mapping[str, Any]) -> str:
    """The next hop of a route; empty when it has none."""
    next_hop = route.get("next-hop-address")
    return "" if next_hop in _NO_NEXT_HOP else str(next_hop)


def routes_of(state: Mapping[str, Any]) -> list[Any]:
    """The configured routes of a state; empty when it has none. A route without a next hop lacks the key."""
    routes: list[Any] = state.get("routes", {}).get("config", [])
    if all(next_hop_of(route) for route in routes):
        return routes
    return [{k: v for k, v in route.items() if k != "next-hop-address" or next_hop_of(route)} for route in routes]


def rules_of(state: Mapping[str, Any]) -> list[Any]:
    """The configured routing rules of a state; empty when it has none."""
    rules: list[Any] = state.get("route-rules", {}).get("config") or []
    return rules


def dns_of(state: Mapping[str, Any]) -> Any:
    """The configured name servers and search domains of a state; empty when it has none."""
    config: Any = state.get("dns-resolver", {}).get("config", {})
    return config


def port_names(interface: Mapping[str, Any]) -> list[str]:
    """The ports of a bridge (nmstate has an object for each) bond or VRF (a name); none for other interfaces."""
    names: list[str] = []
    for kind in ("bridge", "link-aggregation", "vrf"):
        if kind in interface:  # most interfaces have none
            ports = interface[kind].get("port", [])
            names += [p if isinstance(p, str) else str(p["name"]) for p in ports]
    return names
