"""Virtual addresses: addresses that another service moves between hosts, such as those of keepalived and pacemaker.

They are no part of the definition. kvmnet neither counts them as drift nor sets or restores them: an address that has
moved to another node must not come back here. If NetworkManager removes one when it applies an interface again, its
service notices that and decides where the address belongs (keepalived: keepalived_netlink.c, set_vrrp_backup).

An address is virtual if one of these is true:

- A running keepalived, pacemaker or CTDB claims it in its configuration (host/virtual_addresses reads it). Neither the
  prefix (/32), the label nor the scope is a sign: all of them are settings, and people set addresses with them by hand.
- The kernel shows that a service other than the kernel has marked it (IFA_PROTO, since Linux 5.18): NetworkManager sets
  no mark. keepalived sets one since 2.3.2, and nmstate ignores such addresses (2.2.62).

An address that the definition or the active connection profile contains is never virtual: it belongs to this host.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.base.nmstate import FAMILIES, State, interfaces_of

#: The blocks of keepalived.conf(5) that list addresses which keepalived sets, removes, or sets again.
_KEEPALIVED_BLOCKS = ("virtual_ipaddress", "virtual_ipaddress_excluded", "static_ipaddress")
#: Words of an entry that are followed by an address of another meaning.
_OTHER_ADDRESSES = ("brd", "broadcast", "peer")
#: The beginnings of the names of pacemaker's agents that set an address, and their parameters for it (ocf:heartbeat).
_PACEMAKER_AGENTS, _PACEMAKER_PARAMETERS = ("ipaddr", "ipv6addr", "viparip"), ("ip", "ipv6addr")


@dataclass(frozen=True)
class Claim:
    """An address (without prefix, in short form) that a running service claims in this file."""

    ip: str
    service: str
    file: str = ""


@dataclass(frozen=True)
class VirtualAddress:
    """A virtual address that an interface has now, with its prefix."""

    interface: str
    address: str
    service: str

    @property
    def ip(self) -> str:
        """The address without its prefix, in short form."""
        return str(ipaddress.ip_interface(self.address).ip)


def find_keepalived_addresses(text: str) -> Iterator[str]:
    """Yield the addresses that a keepalived.conf claims, without prefix. `include` lines must be resolved already."""
    block = ""
    is_open = False
    for line in _read_keepalived_lines(text):
        previous = ""
        for word in re.findall(r"[{}]|[^\s{}]+", line):
            if word == "{":
                is_open = bool(block)
            elif word == "}":
                block, is_open = "", False
            elif not is_open:
                block = word if word in _KEEPALIVED_BLOCKS else ""
            elif previous not in _OTHER_ADDRESSES and (ip := _find_ip(word)):
                yield ip
            previous = word


def _read_keepalived_lines(text: str) -> Iterator[str]:
    """Yield the lines without comments, without the `@ID` of lines for one host only, and with definitions
    (`$NAME=value`) in their places."""
    values: dict[str, str] = {}
    for row in text.splitlines():
        line = re.sub(r"^@\S+\s*", "", re.split(r"[#!]", row, maxsplit=1)[0].strip())
        if definition := re.fullmatch(r"\$(\w+)=(.*)", line):
            values[definition[1]] = definition[2].strip().strip('"')
        else:
            yield re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda name: values.get(name[1] or name[2], ""), line)


def find_pacemaker_addresses(text: str) -> Iterator[str]:
    """Yield the addresses that pacemaker's cib.xml claims. A text that is no XML has none."""
    with contextlib.suppress(ET.ParseError):
        for resource in ET.fromstring(text).iter():
            if resource.tag not in ("primitive", "template"):
                continue
            if resource.get("type", "").lower().startswith(_PACEMAKER_AGENTS):
                for pair in resource.iter("nvpair"):
                    if pair.get("name") in _PACEMAKER_PARAMETERS and (ip := _find_ip(pair.get("value", ""))):
                        yield ip


def find_ctdb_addresses(text: str) -> Iterator[str]:
    """Yield the addresses that CTDB's file public_addresses claims."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words and (ip := _find_ip(words[0])):
            yield ip


def _find_ip(word: str) -> Optional[str]:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_interface(word).ip)
    return None


def separate_virtual(
    state: State, claims: Collection[Claim], marks: Mapping[tuple[str, str], str], own: Collection[str]
) -> tuple[State, tuple[VirtualAddress, ...]]:
    """Return a live state without its virtual addresses, and these.

    `marks`: services by interface and address (without prefix) that the kernel shows as marked. `own`: addresses
    (without prefix) that belong to this host.
    """
    services = {claim.ip: claim.service for claim in claims}
    virtual: list[VirtualAddress] = []
    interfaces = []
    for interface in interfaces_of(state):
        name = str(interface["name"])
        found = {
            str(address["ip"]): service
            for family in FAMILIES
            for address in interface.get(family, {}).get("address", [])
            if (ip := str(ipaddress.ip_address(address["ip"]))) not in own
            and (service := marks.get((name, ip)) or services.get(ip))
        }
        for family in FAMILIES:
            for address in interface.get(family, {}).get("address", []):
                if address["ip"] in found:
                    prefixed = f"{address['ip']}/{address.get('prefix-length', '')}".rstrip("/")
                    virtual.append(VirtualAddress(name, prefixed, found[address["ip"]]))
        interfaces.append(_without_addresses(interface, found) if found else interface)
    return ({**state, "interfaces": interfaces} if virtual else state), tuple(virtual)


def _without_addresses(interface: Mapping[str, Any], ips: Collection[str]) -> dict[str, Any]:
    """Return the interface without these addresses. nmstate calls a family enabled that has any address."""
    result = dict(interface)
    for family in FAMILIES:
        settings = interface.get(family, {})
        remaining = [address for address in settings.get("address", []) if address["ip"] not in ips]
        if len(remaining) == len(settings.get("address", [])):
            continue
        result[family] = {**settings, "address": remaining}
        if not remaining and not settings.get("dhcp") and not settings.get("autoconf"):
            result[family] = {"enabled": False}
    return result


def with_virtual(state: State, virtual: Sequence[VirtualAddress]) -> State:
    """Return a state with virtual addresses in it: the host as it replies now."""
    if not virtual:
        return state
    interfaces = []
    for interface in interfaces_of(state):
        result = dict(interface)
        for one in virtual:
            if one.interface == interface["name"]:
                ip, _, prefix = one.address.partition("/")
                family = "ipv6" if ":" in ip else "ipv4"
                settings = result.get(family, {})
                addresses = [*settings.get("address", []), {"ip": ip, "prefix-length": int(prefix)}]
                result[family] = {**settings, "enabled": True, "address": addresses}
        interfaces.append(result)
    return {**state, "interfaces": interfaces}


def stated_addresses(state: State) -> set[str]:
    """Return the addresses of a state without prefix, in short form."""
    return {
        str(ipaddress.ip_address(address["ip"]))
        for interface in interfaces_of(state)
        for family in FAMILIES
        for address in interface.get(family, {}).get("address", [])
    }
