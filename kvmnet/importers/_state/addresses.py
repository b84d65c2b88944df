"""The addresses of an interface of nmstate, and where they come from."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from kvmnet.importers._draft import Origin
from kvmnet.importers._report import Report

IpInterface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]
_VERSIONS = {"ipv4": 4, "ipv6": 6}
#: Keys of a family that are read here, or that tune how NetworkManager does what kvmnet does in its own way.
_READ = {
    *("enabled", "dhcp", "autoconf", "address", "auto-gateway", "auto-routes", "auto-route-metric", "auto-dns"),
    *("dhcp-client-id", "dhcp-duid", "dhcp-send-hostname", "dhcp-custom-hostname", "addr-gen-mode", "wait-ip"),
    *("allow-extra-address", "forwarding", "auto-route-table-id", "token"),
}
#: Values by which nmstate shows that a setting has none.
_UNSET: tuple[object, ...] = (None, False, -1, 0, "", [], {})


@dataclass
class IpSettings:
    """What an interface has: static addresses, and the sources of each family (`ipv4: dhcp`) where they differ from the
    default of a definition. `has_default_route`, `metric`: whether DHCP and routers give the default route, and its
    metric (None: NetworkManager's choice). `takes_dns`: whether they give the name servers; None if all addresses are
    static."""

    addresses: list[IpInterface] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    has_default_route: bool = True
    metric: Optional[int] = None
    takes_dns: Optional[bool] = None

    @property
    def is_empty(self) -> bool:
        """Whether the interface has neither addresses nor a source of them."""
        return not self.addresses and not self.sources


def read_ip(interface: Mapping[str, Any], origin: Origin, report: Report) -> IpSettings:
    """Return the addresses of an interface. What a definition cannot state is reported."""
    settings, name = IpSettings(), interface["name"]
    for family, version in _VERSIONS.items():
        values = interface.get(family)
        if not isinstance(values, Mapping) or values.get("enabled") is not True:
            continue
        static = _read_static(values, version, name, origin, report)
        settings.addresses += static
        source = _find_source(values, version, bool(static))
        if source:
            settings.sources[family] = source
        if source in ("dhcp", "auto") and values.get("auto-gateway") is False:
            settings.has_default_route = False
        if source in ("dhcp", "auto"):
            settings.takes_dns = settings.takes_dns is not False and values.get("auto-dns") is not False
        if isinstance(values.get("auto-route-metric"), int):
            settings.metric = values["auto-route-metric"]
        for key in sorted(set(values) - _READ):
            if values[key] in _UNSET:
                continue
            report.lose(f"{name} has {family}.{key}, for which the definition has no key", origin)
    return settings


def _read_static(
    values: Mapping[str, Any], version: int, name: str, origin: Origin, report: Report
) -> list[IpInterface]:
    """Return the static addresses: those with a lifetime are from DHCP or a router, link-local ones from the kernel."""
    addresses = values.get("address")
    static = []
    for row in addresses if isinstance(addresses, list) else []:
        if not isinstance(row, Mapping) or "valid-life-time" in row or "valid-left" in row:
            continue
        text = f"{row.get('ip')}/{row.get('prefix-length')}"
        try:
            address = ipaddress.ip_interface(text)
        except ValueError:
            report.lose(f"{text!r} is not an address ({name})", origin)
            continue
        if address.version != version:
            report.lose(f"{text} is not an IPv{version} address ({name})", origin)
        elif not address.ip.is_link_local:
            static.append(address)
    return static


def _find_source(values: Mapping[str, Any], version: int, has_static: bool) -> str:
    """Return the source of the addresses of a family, or "" where the definition has it by default."""
    dhcp, autoconf = values.get("dhcp") is True, values.get("autoconf") is True
    if version == 4:
        return "dhcp" if dhcp else ""
    if autoconf:
        return "auto"
    if dhcp:
        return "dhcp"
    return "" if has_static else "link-local"
