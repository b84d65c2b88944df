"""Turns an inventory of Rocks into a draft of a definition: networks first, then hosts, guests and routes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from kvmnet.importers._draft import Draft, HostPart, Origin, Part
from kvmnet.importers._rocks.context import ALIAS, LOGICAL, NAME, Context, find_tag
from kvmnet.importers._rocks.guests import add_guest, find_guests
from kvmnet.importers._rocks.interfaces import add_alias, add_interface
from kvmnet.importers._rocks.inventory import Inventory, Item
from kvmnet.importers._rocks.records import Report
from kvmnet.importers._rocks.routes import add_name_servers, add_route, report_attributes

#: Memberships of hosts that run guests.
_CONTAINERS = ("vm container", "vm-container")
_TRUE = ("true", "yes", "1", "on")

_TITLE = """Imported from Rocks Clusters. The comments name the file and line of each part.
Check it: kvmnet validate. See what it changes on a host: kvmnet plan."""


def convert(inventory: Inventory, report: Report) -> Draft:
    """Return the draft of a definition."""
    context = Context(inventory, report, Draft(_TITLE, "rocks", "rocks"))
    for name, item in inventory.networks.items():
        _add_network(context, name, item)
    guests = find_guests(inventory)
    listed = [*inventory.interfaces, *(h for h in inventory.hosts if h not in inventory.interfaces)]
    hosts = [name for name in listed if name not in guests]
    _add_missing_networks(context, hosts)
    containers = {host for item in inventory.guests.values() if (host := item.get("host")) is not None}
    for name in sorted(containers - set(hosts) - set(guests)):
        if NAME.match(name):
            hosts.append(name)
            report.note(f"host {name} is only known as the host of guests", _first_guest_on(inventory, name))
    for name in hosts:
        _add_host(context, name, name in containers)
    add_name_servers(context)
    for name in guests:
        add_guest(context, name)
    for record in inventory.routes:
        add_route(context, record, guests)
    report_attributes(context)
    return context.draft


def _first_guest_on(inventory: Inventory, host: str) -> Origin:
    return next(item.place for item in inventory.guests.values() if item.get("host") == host)


def _add_network(context: Context, name: str, item: Item) -> None:
    if not NAME.match(name):
        context.report.lose(f"{name!r} is not a name of a network", item.place)
        return
    values: dict[str, Any] = {}
    subnet = context.read_subnet(item.get("subnet"), item.get("netmask"), f"network {name}", item.place)
    if subnet is not None:
        context.subnets[name] = subnet
        values["subnets"] = [str(subnet)]
    mtu = item.get("mtu")
    if mtu is not None and mtu != "1500":  # the default, in Rocks and in the kernel
        if mtu.isdigit() and 68 <= int(mtu) <= 65520:
            values["mtu"] = int(mtu)
        else:
            context.report.lose(f"{mtu!r} is not an MTU (network {name})", item.place)
    for key, noun in (("dnszone", "DNS zone"), ("servedns", "servedns")):
        if item.get(key) is not None:
            context.report.skip(f"the {noun} of network {name} is for the DNS server of the frontend", item.place)
    context.draft.networks[name] = Part(values, item.origin)


def _add_missing_networks(context: Context, hosts: Iterable[str]) -> None:
    """Add the networks that only interfaces name, with the subnet of their addresses; and the VLAN IDs of networks."""
    report, networks = context.report, context.draft.networks
    for host in hosts:
        for device, item in context.inventory.interfaces.get(host, {}).items():
            name = item.get("network")
            if name is None or not NAME.match(name):
                continue
            if name not in networks:
                networks[name] = Part({}, item.origin)
                message = f"network {name} is in no list of networks: it is made from its interfaces"
                report.note(message, item.place)
            if name not in context.subnets and item.get("ip") and item.get("netmask"):
                subnet = context.read_subnet(item.get("ip"), item.get("netmask"), f"network {name}", item.place)
                if subnet is not None:
                    context.subnets[name] = subnet
                    networks[name].values["subnets"] = [str(subnet)]
            tag = find_tag(device, item)
            if tag is None or LOGICAL.match(device) or not device.endswith(f".{tag}"):
                continue
            if context.tags.setdefault(name, tag) != tag:
                message = f"network {name} has VLAN ID {context.tags[name]}, and {tag} on {device} of {host}"
                report.lose(message, item.place)
            else:
                networks[name].values["vlan"] = tag


def _add_host(context: Context, name: str, has_guests: bool) -> None:
    inventory, report = context.inventory, context.report
    item = inventory.hosts.get(name, Item())
    if not NAME.match(name):
        report.lose(f"{name!r} is not a name of a host", item.place)
        return
    membership = item.get("membership") or ""
    attribute = (inventory.attribute("kvm", name) or "").lower()
    devices = inventory.interfaces.get(name, {})
    has_logical_vlan = any(LOGICAL.match(device) for device in devices)  # these are for guests alone
    runs_guests = membership.lower() in _CONTAINERS or has_guests or has_logical_vlan or attribute in _TRUE
    kind = re.sub(r"[^a-z0-9]+", "-", membership.lower()).strip("-")
    host = HostPart({"kvm": True} if runs_guests else {}, kind=kind, origin=item.origin)
    for device, interface in devices.items():
        if not ALIAS.match(device):
            add_interface(context, name, host, device, interface)
    for device, interface in devices.items():
        if (alias := ALIAS.match(device)) is not None:
            add_alias(context, name, host, alias[1], device, interface)
    if not devices and item.origin is not None:
        report.note(f"no interface of host {name} is listed", item.origin)
    context.draft.hosts[name] = host
