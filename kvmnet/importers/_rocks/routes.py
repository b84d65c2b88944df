"""Turns the routes of Rocks, and its attributes about the network, into parts of the definition."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from kvmnet.importers._draft import Part
from kvmnet.importers._rocks.context import Context
from kvmnet.importers._rocks.records import Record

#: Destinations of routes that Rocks gives every host and that no host needs: broadcasts and multicast.
_NEEDLESS = (ipaddress.ip_network("255.255.255.255/32"), ipaddress.ip_network("224.0.0.0/24"))
#: Name servers by the network whose hosts use them: attributes of the frontend's kickstart.
_NAME_SERVERS = {"private": "Kickstart_PrivateDNSServers", "public": "Kickstart_PublicDNSServers"}


def add_route(context: Context, record: Record, guests: Collection[str]) -> None:
    """Add a route to the cluster, to the hosts of an appliance, or to one host, after its source."""
    report, draft = context.report, context.draft
    mask = record.get("netmask") or "255.255.255.255"
    subnet = context.read_subnet(record.get("subnet"), mask, "a route", record.origin)
    gateway, host, appliance = record.get("gateway"), record.get("host"), record.get("appliance")
    if subnet is None:
        return
    if subnet in _NEEDLESS:
        report.skip(f"the route to {subnet} is not needed: every interface has it", record.origin)
        return
    try:
        via = str(ipaddress.IPv4Address(gateway or ""))
    except ValueError:
        report.lose(f"the route to {subnet} leads to {gateway!r}, which is not an address", record.origin)
        return
    part = Part({"to": str(subnet), "via": via}, record.origin)
    is_for_all = record.get("os") is not None or (host is None and appliance is None)
    if host is not None and host in guests:
        report.skip(f"the route to {subnet} is guest {host}'s own", record.origin)
    elif is_for_all or (record.get("source") or "").upper() in ("G", "O"):
        _add_once(draft.routes, part)
    elif appliance is not None:
        hosts = [name for name in context.hosts_of_appliance(appliance) if name in draft.hosts]
        for name in hosts:
            _add_once(draft.hosts[name].settings.setdefault("routes", []), part)
        if not hosts:
            message = f"the route to {subnet} is for appliance {appliance}, of which no host is known"
            report.lose(message, record.origin)
    elif host is not None and host in draft.hosts:
        _add_once(draft.hosts[host].settings.setdefault("routes", []), part)
    else:
        report.lose(f"the route to {subnet} is for {host}, of which nothing is known", record.origin)


def _add_once(routes: list[Part], part: Part) -> None:
    if all(route.values != part.values for route in routes):
        routes.append(part)


def add_name_servers(context: Context) -> None:
    """Add the name servers of the attributes to networks private and public."""
    for network, name in _NAME_SERVERS.items():
        words = re.split(r"[\s,]+", context.inventory.attribute(name) or "")
        servers = [word for word in words if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", word)]
        if servers and network in context.draft.networks:
            context.draft.networks[network].values["dns"] = {"servers": servers}


def report_attributes(context: Context) -> None:
    """Report the attributes that are not about the network."""
    for record in context.inventory.attributes:
        if record.get("attribute") not in ("kvm", *_NAME_SERVERS.values()):
            context.report.skip(f"the attribute {record.get('attribute')} is not about the network", record.origin)
