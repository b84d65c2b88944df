"""The addresses, routes and name servers of a connection profile (nm-settings-keyfile(5))."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.boot.keyfile import parse_boolean, split_list
from kvmnet.importers._draft import Origin
from kvmnet.importers._keyfiles.files import Profile
from kvmnet.importers._numbers import is_number
from kvmnet.importers._report import Report

FAMILIES = {"ipv4": 4, "ipv6": 6}
_DEFAULTS = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
#: Methods of a family by what they mean: whether addresses come from DHCP, and whether from routers.
_METHODS = {
    ("ipv4", "auto"): (True, False),
    ("ipv4", "manual"): (False, False),
    ("ipv6", "auto"): (True, True),
    ("ipv6", "dhcp"): (True, False),
    ("ipv6", "manual"): (False, False),
    ("ipv6", "link-local"): (False, False),
}
_WITHOUT_ADDRESSES = ("disabled", "ignore")
_OPTIONS_OF_ROUTES = ("table",)


@dataclass
class Network:
    """What profiles contain beside the interfaces: routes, rules and name servers of nmstate, and the places of routes
    and rules by `routes/0`, `route-rules/0` and so on."""

    routes: list[dict[str, Any]] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)

    def add_route(self, route: dict[str, Any], origin: Origin) -> None:
        """Add a route with its place."""
        self.origins[f"routes/{len(self.routes)}"] = origin
        self.routes.append(route)


def read_family(profile: Profile, family: str, network: Network, report: Report) -> Optional[dict[str, Any]]:
    """Return a family of an interface as nmstate has it; None without addresses. Its routes and name servers are added
    to `network`."""
    stored, method = profile.stored, profile.stored.method(family)
    if method in _WITHOUT_ADDRESSES:
        return None
    origin = profile.origin(family, "method")
    if (family, method) not in _METHODS:
        text = f"{profile.interface} has {family}.method={method}"
        report.lose(f"{text}, for which the definition has no key", origin)
        return None
    dhcp, autoconf = _METHODS[family, method]
    values: dict[str, Any] = {"enabled": True, "dhcp": dhcp, "address": _read_addresses(profile, family, report)}
    if family == "ipv6":
        values["autoconf"] = autoconf
    is_never_default = parse_boolean(stored.value(family, "never-default"), False)
    if is_never_default and dhcp:
        values["auto-gateway"] = False
    if parse_boolean(stored.value(family, "ignore-auto-dns"), False):
        values["auto-dns"] = False
    metric = stored.value(family, "route-metric")
    if dhcp and is_number(metric):
        values["auto-route-metric"] = int(metric)
    if not is_never_default:
        _add_gateway(profile, family, network, report)
    for key, text in stored.numbered(family, ("routes", "route")):
        _add_route(profile, family, key, text, network, report)
    for key, text in stored.numbered(family, ("routing-rule",)):
        network.origins[f"route-rules/{len(network.rules)}"] = profile.origin(family, key)
        network.rules.append(text)
    network.servers += [_without_name(text) for text in split_list(stored.groups.get(family, {}).get("dns", ""))]
    network.search += split_list(stored.groups.get(family, {}).get("dns-search", ""))
    return values


def _without_name(server: str) -> str:
    """Return the address of a name server without the name for TLS (`10.1.0.53#dns.example.org`)."""
    return re.sub(r"\Adns\+(udp|tls)://", "", server).partition("#")[0].strip("[]")


def _read_addresses(profile: Profile, family: str, report: Report) -> list[dict[str, Any]]:
    rows = []
    for key, text in profile.stored.numbered(family, ("addresses", "address")):
        address = re.split("[,;]", text)[0]
        try:
            parsed = ipaddress.ip_interface(address)
        except ValueError:
            parsed = None
        if parsed is None or parsed.version != FAMILIES[family]:
            origin = profile.origin(family, key)
            report.lose(f"{address} is not an IPv{FAMILIES[family]} address ({profile.interface})", origin)
        else:
            rows.append({"ip": str(parsed.ip), "prefix-length": parsed.network.prefixlen})
    return rows


def _add_gateway(profile: Profile, family: str, network: Network, report: Report) -> None:
    gateway = profile.stored.gateway(family)
    if not gateway or not _is_address(gateway, family):
        if gateway:
            report.lose(f"the gateway {gateway} is not an address", profile.origin(family, "gateway"))
        return
    if gateway in ("0.0.0.0", "::"):  # the old form of an address without a gateway
        return
    origin = profile.origin(family, "gateway", *(key for key, _ in profile.stored.numbered(family, ("address",))))
    route: dict[str, Any] = {"destination": _DEFAULTS[family], "next-hop-address": gateway}
    network.add_route({**route, **_read_common(profile, family)}, origin)


def _read_common(profile: Profile, family: str) -> dict[str, Any]:
    """Return the interface of a profile's routes, and the metric and table that all of them have by default."""
    route: dict[str, Any] = {"next-hop-interface": profile.interface}
    for key, name in (("route-metric", "metric"), ("route-table", "table-id")):
        text = profile.stored.value(family, key)
        if is_number(text) and int(text):
            route[name] = int(text)
    return route


def _add_route(profile: Profile, family: str, key: str, text: str, network: Network, report: Report) -> None:
    """Add a static route: DESTINATION/PREFIX[,NEXT HOP[,METRIC]], with more in the key NAME_options."""
    origin = profile.origin(family, key)
    destination, *rest = [part for part in re.split("[,;]", text) if part]
    try:
        route: dict[str, Any] = {"destination": str(ipaddress.ip_network(destination, strict=False))}
    except ValueError:
        report.lose(f"{destination} is not the destination of a route", origin)
        return
    route.update(_read_common(profile, family))
    if rest and _is_address(rest[0], family) and rest[0] not in ("0.0.0.0", "::"):
        route["next-hop-address"] = rest[0]
    if len(rest) > 1 and is_number(rest[1]):
        route["metric"] = int(rest[1])
    options = profile.stored.value(family, f"{key}_options")
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if name in _OPTIONS_OF_ROUTES and is_number(value):
            route["table-id"] = int(value)
        else:
            message = f"the option {option} of the route to {route['destination']} is not in the definition"
            report.lose(message, profile.origin(family, f"{key}_options"))
    network.add_route(route, origin)


def _is_address(text: str, family: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == FAMILIES[family]
    except ValueError:
        return False
