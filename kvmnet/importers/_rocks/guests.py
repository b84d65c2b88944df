"""Turns the virtual machines of Rocks into guests of the definition."""

from __future__ import annotations

from typing import Optional

from kvmnet.importers._draft import Part
from kvmnet.importers._numbers import is_number
from kvmnet.importers._rocks.context import LOGICAL, Context, find_tag
from kvmnet.importers._rocks.interfaces import LEFT_ALONE
from kvmnet.importers._rocks.inventory import MAC, Inventory, Item


def find_guests(inventory: Inventory) -> list[str]:
    """Return the guests: what a list of virtual machines names and has NICs, or is no host elsewhere."""
    names = [n for n, item in inventory.guests.items() if item.get("host") or n not in inventory.hosts]
    return [n for n in names if n in inventory.interfaces or n in inventory.guest_macs]


def add_guest(context: Context, name: str) -> None:
    """Add a guest with its NICs. A NIC whose network is unknown is reported, and is a comment of the definition."""
    item, report = context.inventory.guests[name], context.report
    host, nics = item.get("host"), []
    rows = context.inventory.interfaces.get(name, {})
    for device, row in rows.items():
        mac = row.get("mac")
        if mac is None or not MAC.match(mac):
            report.lose(f"{device} of guest {name} has no MAC address", row.place)
            continue
        if not context.is_first_owner(mac.lower(), f"{device} of guest {name}", row.place):
            continue
        network = _find_network(context, row, host)
        if network is None or (host in context.draft.hosts and not _has_network(context, host or "", network)):
            wanted = f"VLAN ID {row.get('vlan')}" if row.get("vlan") else f"network {row.get('network')}"
            report.lose(f"{device} of guest {name} ({mac}): {host or 'no host'} has no NIC for its {wanted}", row.place)
            context.draft.remarks.append(Part({}, row.origin, f"guest {name} has a NIC {mac} on {wanted}"))
            continue
        nics.append({"network": network, "mac": mac.lower()})
    if not rows:
        for mac, origin in context.inventory.guest_macs.get(name, []):
            hint = f"import `rocks list host interface {name}` too"
            report.lose(f"the network of guest {name}'s NIC {mac} is unknown: {hint}", origin)
            remark = f"guest {name} has a NIC {mac} on an unknown network"
            context.draft.remarks.append(Part({}, origin, remark))
    if host is None or host not in context.draft.hosts:
        report.lose(f"the host of guest {name} is unknown: import `rocks list host vm` too", item.place)
    elif nics:
        context.draft.guests[name] = Part({"host": host, "nics": nics}, item.origin)


def _has_network(context: Context, host: str, network: str) -> bool:
    """Whether a host has a managed interface on a network, or on the network that a logical VLAN is over."""
    base = context.draft.networks[network].values.get("over", network)
    return any(
        part.values.get("network") in (network, base)
        and part.values.get("manage") is not False
        and not LEFT_ALONE.match(device)
        for device, part in context.draft.hosts[host].interfaces.items()
    )


def _find_network(context: Context, row: Item, host: Optional[str]) -> Optional[str]:
    """Return the network of a guest's NIC: the VLAN of its VLAN ID on its host, or the network that it names."""
    text = row.get("vlan")
    if text is None or text == "0":
        return row.get("network") if row.get("network") in context.draft.networks else None
    if not is_number(text):
        return None
    tag = int(text)
    devices = context.inventory.interfaces.get(host or "", {})
    bases = [i.get("network") for d, i in devices.items() if LOGICAL.match(d) and find_tag(d, i) == tag]
    names = {n for (over, t), n in context.logical.items() if t == tag and (not bases or over in bases)}
    names |= {n for n, t in context.tags.items() if t == tag}
    return names.pop() if len(names) == 1 else None
