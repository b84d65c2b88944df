"""Suggestions for values and keys that the schema rejects: what the user probably meant."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

from kvmnet.core.base.problem import did_you_mean, printable

_NUMBER_OR_BOOLEAN = {"integer": re.compile(r"-?[0-9]{1,18}\Z"), "boolean": re.compile(r"(true|false)\Z")}
_MAC = re.compile(r"[0-9A-Fa-f]{12}\Z")
_HEXADECIMAL = re.compile(r"0x[0-9A-Fa-f]{1,8}\Z")
_SPELLED_BOOLEANS = {**dict.fromkeys(("yes", "on", "true"), "true"), **dict.fromkeys(("no", "off", "false"), "false")}
#: What other tools write, and what it is here: values of the key `type`, and keys by the place that has another key.
_TYPES = {
    **dict.fromkeys(("linux-bridge", "bridges"), "did you mean bridge?"),
    **dict.fromkeys(("bonds", "bonding", "team"), "did you mean bond?"),
    **dict.fromkeys(("ethernet", "nic", "physical", "vlan"), "remove type: only bridges, bonds and dummies have one"),
}
_SECRET = "it needs secrets, which a definition must not contain: configure it with NetworkManager on the host"
_OVS = "kvmnet cannot roll back Open vSwitch, whose ports are not in the kernel: configure it with ovs-vsctl"
#: Types of nmstate that cannot be passed through, and why or what to write.
_TYPES_OF_NMSTATE = {
    **dict.fromkeys(
        ("ethernet", "bond", "linux-bridge", "dummy", "infiniband"), "write the interface under interfaces"
    ),
    **dict.fromkeys(("macsec", "wireguard", "ipsec"), _SECRET),
    **dict.fromkeys(("ovs-bridge", "ovs-interface", "ovs-port"), _OVS),
    "veth": "kvmnet cannot remove the ends of a veth pair one by one: create it with NetworkManager on the host",
    "mac-vtap": "macvtaps are made for guests: write attach on the network",
    "macvlan": "did you mean mac-vlan?",
}
_ON_LINK = "write interface: KEY instead: then via may be an address outside the networks"
_FOREIGN_KEYS = {
    ("interfaces", "ports"): "write ports: […] with type: bridge or type: bond",
    ("bridge_ports", "ports"): "write ports: […] with type: bridge",
    ("bridge-ports", "ports"): "write ports: […] with type: bridge",
    ("slaves", "ports"): "write ports: […] with type: bond",
    ("parameters", "ports"): "write bridge: {…} for a bridge, or options: {…} for a bond",
    ("ports", "group_forward_mask"): "ports are a key of an interface with type: bridge",
    ("interfaces", "group_forward_mask"): "write ports: […] on an interface with type: bridge",
    ("ageing-time", "group_forward_mask"): "did you mean ageing?",
    ("ageing_time", "group_forward_mask"): "did you mean ageing?",
    ("mac-ageing-time", "group_forward_mask"): "did you mean ageing?",
    ("group_fwd_mask", "group_forward_mask"): "did you mean group_forward_mask?",
    ("group-fwd-mask", "group_forward_mask"): "did you mean group_forward_mask?",
    ("mcast_snooping", "group_forward_mask"): "did you mean multicast_snooping?",
    ("mtu", "group_forward_mask"): "mtu is a key of the network, or of an interface with type: bridge",
    ("addresses", "group_forward_mask"): "write the addresses on the interface: its bridge gets them",
    **{
        (key, "ipv4"): hint
        for keys, hint in (
            (("gateway", "gateway4", "gateway6", "gateways"), "the gateway is a key of the network: gateway: ADDRESS"),
            (("nameservers", "dns", "dns-nameservers", "dns_servers"), "write dns: {servers: […]} on the network"),
            (("routes", "route"), "routes are a key of the host, of its group, or of the cluster"),
            (("rules", "routing-policy"), "rules are a key of the host, of its group, or of the cluster"),
            (("dhcp", "dhcp4"), "write ipv4: dhcp"),
            (("dhcp6",), "write ipv6: dhcp"),
            (("vlan", "tag", "id"), "write the VLAN as an interface of its own, with the VLAN ID in its key: eth0.5"),
            (("link",), "write over: INTERFACE"),
        )
        for key in keys
    },
    **dict.fromkeys((("on-link", "via"), ("on_link", "via")), _ON_LINK),
    **dict.fromkeys((("gateway", "via"), ("next-hop-address", "via"), ("next_hop", "via")), "did you mean via?"),
    **dict.fromkeys((("dev", "via"), ("next-hop-interface", "via")), "did you mean interface?"),
    **dict.fromkeys((("table-id", "via"), ("table-id", "fwmark"), ("route-table", "fwmark")), "did you mean table?"),
    **dict.fromkeys((("mark", "fwmark"),), "did you mean fwmark?"),
    **dict.fromkeys((("iif", "fwmark"),), "did you mean incoming?"),
    **dict.fromkeys((("ip-from", "fwmark"), ("source", "fwmark")), "did you mean from?"),
    **dict.fromkeys((("ip-to", "fwmark"), ("destination", "fwmark")), "did you mean to?"),
    ("vlan_filtering", "ports"): "write bridge: {vlan_filtering: true}",
    ("vlan-filtering", "ports"): "write bridge: {vlan_filtering: true}",
    ("vlan_aware", "ports"): "write bridge: {vlan_filtering: true}",
    ("bridge-vlan-aware", "ports"): "write bridge: {vlan_filtering: true}",
    ("bridge-vids", "ports"): "write trunk: […]",
    ("pvid", "ports"): "write access: VLAN, or native: VLAN with trunk: […]",
    ("trunk", "group_forward_mask"): "write trunk on the NIC or bond that is the port of the bridge",
    ("trunk", "trust_guest_rx_filters"): "write networks: […], and native: for the network without a tag",
    ("vlan", "trust_guest_rx_filters"): "write network: with the name of a network that has this VLAN ID",
    ("bridges", "interfaces"): "write each bridge under interfaces, with type: bridge",
    ("bonds", "interfaces"): "write each bond under interfaces, with type: bond",
    ("vlans", "interfaces"): "write each VLAN under interfaces, as eth0.5",
    ("ethernets", "interfaces"): "write each NIC under interfaces",
}
_MODE_NUMBERS = {
    str(number): mode
    for number, mode in enumerate(
        ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
    )
}
_LEADING_ZERO = re.compile(r"0[0-9]{1,9}\Z")
_QUOTES = re.compile("[\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb]")
_SHORT = re.compile(r"[^\s\x00-\x20\x7f\[\]{},#&*!|>'\"%@`]{1,60}\Z")


def for_value(schema: Mapping[str, Any], value: Any) -> Optional[str]:
    """Return a hint for a value that its schema rejects, or None."""
    if not isinstance(value, str):
        return None
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if _QUOTES.search(value):
        return "write straight quotes (\" or '), or none"
    if "integer" in types and _LEADING_ZERO.match(value):
        return f"write {int(value)}"
    if any(_NUMBER_OR_BOOLEAN[name].match(value) for name in types if name in _NUMBER_OR_BOOLEAN):
        return "remove the quotes"
    if "boolean" in types and value.lower() in _SPELLED_BOOLEANS:
        return f"write {_SPELLED_BOOLEANS[value.lower()]}"
    if "integer" in types and _HEXADECIMAL.match(value):
        return f"write {int(value, 16)}"
    if "array" in types and _SHORT.match(value):
        return f"write [{value}]"
    if "enum" in schema:
        return _for_choice([str(item) for item in schema["enum"]], value)
    if "MAC" in schema.get("title", ""):
        digits = re.sub("[-.:]", "", value)
        return f"write {':'.join(re.findall('..', digits.lower()))}" if _MAC.match(digits) else None
    if str(schema.get("format", "")).startswith("ip-"):
        return _for_address(str(schema["format"]), value)
    return None


def _for_choice(allowed: list[str], value: str) -> Optional[str]:
    """Return a hint for a value that is none of those allowed."""
    lower = value.lower()
    if "bridge" in allowed and "bond" in allowed and lower in _TYPES:
        return _TYPES[lower]
    if "vxlan" in allowed and value in _TYPES_OF_NMSTATE:
        return _TYPES_OF_NMSTATE[value]
    if "802.3ad" in allowed and value in _MODE_NUMBERS:
        return f"write {_MODE_NUMBERS[value]}"
    return f"did you mean {lower}?" if lower in allowed else _nearest(lower, allowed)


def _for_address(form: str, value: str) -> Optional[str]:
    """Return a hint for an address or subnet that is none."""
    if "/" in value and "." in value.partition("/")[2]:
        with contextlib.suppress(ValueError):
            return f"write {ipaddress.ip_interface(value)} (a prefix length instead of the netmask)"
    if form == "ip-address" and "/" in value:
        with contextlib.suppress(ValueError):
            return f"write {ipaddress.ip_interface(value).ip}, without the prefix length"
    if form == "ip-subnet" and value == "default":
        return "write 0.0.0.0/0 or ::/0 for the default route"
    if form == "ip-subnet" and "/" not in value:
        with contextlib.suppress(ValueError):
            return _for_bare_address(ipaddress.ip_address(value))
        return f"add the prefix length, as in {printable(value)}/24" if _SHORT.match(value) else None
    return None


def _for_bare_address(ip: Union[ipaddress.IPv4Address, ipaddress.IPv6Address]) -> str:
    """Return a hint for an address where a subnet is needed. What it names must be a subnet without host bits."""
    if ip.is_unspecified:
        return f"write {ip}/0 for the default route"
    size = 24 if ip.version == 4 else 64
    if int(ip) % (1 << (ip.max_prefixlen - size)):
        return f"write {ip}/{ip.max_prefixlen} for this address alone, or the subnet with its prefix length"
    return f"add the prefix length, as in {ip}/{size}"


def for_key(key: str, known: Iterable[str]) -> Optional[str]:
    """Return a hint for an unknown key, or None. `known` are the keys that the schema allows."""
    allowed = list(known)
    before_colon = key.partition(":")[0]
    if before_colon != key and before_colon in allowed:
        return f"add a space after {before_colon}:"
    for (foreign_key, known_key), hint in _FOREIGN_KEYS.items():
        if key == foreign_key and known_key in allowed:
            return hint
    return did_you_mean(key, allowed)


def _nearest(wrong: str, known: list[str]) -> Optional[str]:
    """Return the hint of `did_you_mean` if it names one value, not if it lists all of them: the message lists them."""
    hint = did_you_mean(wrong, known)
    return hint if hint is not None and hint.startswith("did you mean") else None
