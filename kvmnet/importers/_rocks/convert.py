"""Turns an inventory of Rocks into a draft of a definition: networks first, then hosts, guests and routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from kvmnet.importers._draft import Draft, HostPart, Origin, Part
from kvmnet.importers._numbers import is_number
from kvmnet.importers._report import Report
from kvmnet.importers._rocks.context import ALIAS, LOGICAL, NAME, TAGGED, Context, as_name, find_tag
from kvmnet.importers._rocks.guests import add_guest, find_guests
from kvmnet.importers._rocks.interfaces import add_alias, add_interface, leave_vlans_of_unmanaged
from kvmnet.importers._rocks.inventory import Inventory, Item
from kvmnet.importers._rocks.routes import add_name_servers, add_route, report_attributes

#: The appliance of hosts that run guests.
_CONTAINER = "vm-container"
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
        if is_number(mtu) and 68 <= int(mtu) <= 65520:
            values["mtu"] = int(mtu)
        else:
            context.report.lose(f"{mtu!r} is not an MTU (network {name})", item.place)
    if item.get("dnszone") is not None or item.get("servedns") is not None:
        context.report.skip(f"DNSZONE and SERVEDNS of network {name} are for the frontend's DNS server", item.place)
    context.draft.networks[name] = Part(values, item.origin)


def _add_missing_networks(context: Context, hosts: Iterable[str]) -> None:
    """Add the networks that only interfaces name, with the subnet of their addresses; and the VLAN IDs of networks."""
    report, networks = context.report, context.draft.networks
    for host in hosts:
        for item in context.inventory.interfaces.get(host, {}).values():
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
    _find_tags(context, hosts)
    _separate_subnets(context)


def _find_tags(context: Context, hosts: Iterable[str]) -> None:
    """Set the VLAN IDs of networks that are only on VLAN devices. A network that is also untagged has none here: its
    VLAN devices are reported, and are here without a network."""
    rows = [(h, d, i) for h in hosts for d, i in context.inventory.interfaces.get(h, {}).items() if i.get("network")]
    untagged = {i.values["network"] for _, d, i in rows if not TAGGED.match(d) and not LOGICAL.match(d)}
    for host, device, item in rows:
        name, tag = item.values["network"], find_tag(device, item)
        if tag is None or not TAGGED.match(device) or name not in context.draft.networks:
            continue
        other = "is untagged elsewhere" if name in untagged else ""
        if not other and context.tags.setdefault(name, tag) != tag:
            other = f"has VLAN ID {context.tags[name]} elsewhere"
        if other:
            message = (
                f"{device} of {host} has VLAN ID {tag}, but its network {name} {other}: it is here without a network"
            )
            context.report.lose(message, item.place)
            context.strays.add((host, device))
        else:
            context.draft.networks[name].values["vlan"] = tag


def _separate_subnets(context: Context) -> None:
    """Take the subnet from a network that overlaps another: kvmnet could not know whose an address is. A network that
    interfaces use comes first."""
    used = {i.get("network") for devices in context.inventory.interfaces.values() for i in devices.values()}
    kept: dict[str, ipaddress.IPv4Network] = {}
    for name in sorted(context.subnets, key=lambda name: name not in used):
        subnet = context.subnets[name]
        other = next((n for n, s in kept.items() if s.overlaps(subnet)), None)
        if other is None:
            kept[name] = subnet
            continue
        part = context.draft.networks[name]
        part.values.pop("subnets", None)
        message = f"{subnet} of network {name} overlaps {kept[other]} of network {other}: {name} has no subnet here"
        context.report.lose(message, part.origin or Origin("", 0))
    context.subnets = kept


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
    runs_guests = as_name(membership) == _CONTAINER or has_guests or has_logical_vlan or attribute in _TRUE
    host = HostPart({"kvm": True} if runs_guests else {}, kind=as_name(membership), origin=item.origin)
    for device, interface in devices.items():
        if not ALIAS.match(device):
            add_interface(context, name, host, device, interface)
    for device, interface in devices.items():
        if (alias := ALIAS.match(device)) is not None:
            add_alias(context, name, host, alias[1], device, interface)
    leave_vlans_of_unmanaged(context, name, host)
    if not devices and item.origin is not None:
        report.note(f"no interface of host {name} is listed", item.origin)
    context.draft.hosts[name] = host
