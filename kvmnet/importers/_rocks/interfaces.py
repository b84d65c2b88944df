"""Turns the interfaces of a host in Rocks into interfaces of the definition.

The name of a device shows what it is (rocks add host interface): ethN.V is a VLAN of the host, vlanN a logical VLAN for
guests, bondN a bond, ethN:M one more address, ipmi a BMC, ib… InfiniBand; everything else is a NIC.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import Any, Optional

from kvmnet.importers._draft import HostPart, Part
from kvmnet.importers._numbers import is_number
from kvmnet.importers._rocks.context import LOGICAL, TAGGED, Context, find_tag
from kvmnet.importers._rocks.inventory import MAC, Item

_DEVICE = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,62}\Z")
_BOND = re.compile(r"bond[0-9]+\Z")
LEFT_ALONE = re.compile(r"ib[0-9]|ipmi")
#: Modes of a bond by number, as the kernel's documentation lists them (bonding.rst).
_MODES = {
    str(number): mode
    for number, mode in enumerate(
        ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
    )
}


def add_interface(context: Context, name: str, host: HostPart, device: str, item: Item) -> None:
    """Add an interface to a host, or the network of a logical VLAN. What cannot be added is reported."""
    if LOGICAL.match(device):
        _add_logical_vlan(context, name, device, item)
        return
    if not MAC.match(device) and not _DEVICE.match(device):
        context.report.lose(f"{device!r} is not a name of an interface ({name})", item.place)
        return
    part = Part(_read_values(context, name, device, item), item.origin)
    if MAC.match(device):
        host.interfaces[_name_nameless(context, name, device, item, part)] = part
    elif _BOND.match(device):
        _read_bond(context, name, device, item, part.values)
        host.interfaces[device] = part
    elif (tagged := TAGGED.match(device)) is not None:
        if tagged[1] in context.inventory.interfaces[name]:
            host.interfaces[device] = part
            return
        context.report.lose(f"{device} of {name} is on {tagged[1]}, of which nothing is known", item.place)
        context.draft.remarks.append(Part({}, item.origin, f"host {name} has {device}: {part.values}"))
    else:
        if not LEFT_ALONE.match(device):
            _check_nic(context, name, host, device, item, part.values)
        host.interfaces[device] = part


def _read_values(context: Context, name: str, device: str, item: Item) -> dict[str, Any]:
    """Return the keys that all kinds of interfaces have: network, MAC address, addresses, options."""
    values: dict[str, Any] = {}
    network, mac = item.get("network"), item.get("mac")
    if (name, device) in context.strays:
        item = dataclasses.replace(item, values={k: v for k, v in item.values.items() if k != "network"})
    elif network in context.draft.networks:
        values["network"] = network
    elif network is not None:
        context.report.lose(f"{network!r} is not a name of a network ({device} of {name})", item.place)
    if mac is not None and MAC.match(mac):
        text = ":".join(byte.zfill(2) for byte in mac.lower().split(":"))
        is_of_nic = not TAGGED.match(device) and not _BOND.match(device)  # others have that of a NIC
        if is_of_nic and context.is_first_owner(text, f"{device} of {name}", item.place):
            values["mac"] = text
    elif mac is not None:
        context.report.lose(f"{mac!r} is not a MAC address ({device} of {name})", item.place)
    address = read_address(context, name, device, item)
    if address is not None:
        values["addresses"] = [address]
    if not _BOND.match(device):
        _read_options(context, name, device, item, values)
    if item.get("gateway") is not None:
        _set_gateway(context, name, device, item)
    return values


def _set_gateway(context: Context, name: str, device: str, item: Item) -> None:
    """Set the gateway of a network from the GATEWAY of an interface (Rocks 4.3 to 5.1)."""
    text, network = item.values["gateway"], item.get("network") or ""
    try:
        is_inside = ipaddress.IPv4Address(text) in context.subnets[network]
    except (ValueError, KeyError):
        is_inside = False
    if not is_inside:
        context.report.lose(f"the gateway {text} is not in the network of {device} of {name}", item.place)
        return
    values = context.draft.networks[network].values
    if values.setdefault("gateway", text) != text:
        message = f"{device} of {name} has the gateway {text}, but network {network} has {values['gateway']} here"
        context.report.lose(message, item.place)


def read_address(context: Context, name: str, device: str, item: Item) -> Optional[str]:
    """Return the address of an interface: with its prefix length if that is not its network's."""
    text, mask, report = item.get("ip"), item.get("netmask"), context.report
    if text is None:
        return None
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        report.lose(f"{text!r} is not an IP address ({device} of {name})", item.place)
        return None
    if not context.is_first_owner(text, f"{device} of {name}", item.place):
        return None
    subnet = context.subnets.get(item.get("network") or "")
    if mask is None:
        if subnet is None or address not in subnet:
            report.lose(f"{text} has no netmask ({device} of {name})", item.place)
            return None
        return text
    try:
        own = ipaddress.IPv4Network((text, mask), strict=False)
    except ValueError:
        report.lose(f"{mask!r} is not a netmask ({device} of {name})", item.place)
        return None
    return text if own == subnet else f"{text}/{own.prefixlen}"


def _read_options(context: Context, name: str, device: str, item: Item, values: dict[str, Any]) -> None:
    """Take over the options that Rocks knows: dhcp, and nobridge, novtap and noreport as a part of a word."""
    for word in re.split(r"[\s,]+", (item.get("options") or "").strip("\"' ")):
        lower = word.lower()
        if lower == "dhcp":
            values.pop("addresses", None)
            values["ipv4"] = "dhcp"
        elif "nobridge" in lower:
            values["bridge"] = False
        elif "novtap" in lower:
            message = f"{device} of {name} has novtap: the naming policy decides where guests' macvtaps are"
            context.report.note(message, item.place)
        elif lower.startswith("noreport"):
            values["manage"] = False
            context.report.note(f"{device} of {name} has noreport: kvmnet does not manage it", item.place)
        elif word:
            context.report.lose(f"the option {word} of {device} of {name} is not known", item.place)


def _name_nameless(context: Context, name: str, device: str, item: Item, part: Part) -> str:
    """Return a key for a NIC that is known only by its MAC address. It is not managed, until it has its name."""
    key = "nic-" + device.lower().replace(":", "")[-6:]
    part.values["manage"] = False
    part.comment = "name unknown: rename the key, and delete manage"
    context.report.lose(
        f"an interface of {name} is known only by its MAC address {device}: it is in the definition as {key} and not "
        "managed, until you give it the name of the NIC",
        item.place,
    )
    return key


def _check_nic(context: Context, name: str, host: HostPart, device: str, item: Item, values: dict[str, Any]) -> None:
    """Do not let kvmnet manage a NIC of which too little is known."""
    tag = find_tag(device, item)
    if tag is not None:
        values["manage"] = False
        context.report.lose(
            f"{device} of {name} has VLAN ID {tag} but is no VLAN device: if {name} is a guest, import "
            "`rocks list host vm` too",
            item.place,
        )
    elif "mac" not in values and "network" in values and host.settings.get("kvm"):
        values["manage"] = False
        context.report.lose(
            f"{device} of {name} has no MAC address, which the naming policy rocks needs to rename it: it is not "
            "managed until you add `mac` and delete `manage`",
            item.place,
        )


def _read_bond(context: Context, name: str, device: str, item: Item, values: dict[str, Any]) -> None:
    """Take over the ports of a bond (the interfaces with its name as CHANNEL), its mode and its options."""
    devices = context.inventory.interfaces[name]
    ports = [port for port, i in devices.items() if i.get("channel") == device and not MAC.match(port)]
    if not ports:
        context.report.lose(f"no interface of {name} has {device} as its channel: the bond has no port", item.place)
        values["manage"] = False
        return
    values["ports"] = ports
    options: dict[str, Any] = {}
    for word in (item.get("options") or "").strip("\"'").split():
        key, equals, value = word.partition("=")
        if not equals:
            context.report.lose(f"the option {word} of {device} of {name} is not known", item.place)
        elif key == "mode":
            values["mode"] = _MODES.get(value, value)
        else:
            options[key] = int(value) if is_number(value) else value
    if options:
        values["options"] = options


def add_alias(context: Context, name: str, host: HostPart, base: str, device: str, item: Item) -> None:
    """Add the address of an alias such as eth0:1 to the interface that it belongs to."""
    part = host.interfaces.get(base)
    address = read_address(context, name, device, item)
    if part is None:
        context.report.lose(f"{name} has {device} but no {base}", item.place)
    elif address is not None:
        if "/" not in address and item.get("network") != part.values.get("network"):
            address = f"{address}/{context.subnets[item.get('network') or ''].prefixlen}"
        part.values.setdefault("addresses", []).append(address)
        context.report.note(f"{device} of {name} is one more address of {base}", item.place)


def leave_vlans_of_unmanaged(context: Context, name: str, host: HostPart) -> None:
    """Do not let kvmnet manage a VLAN whose base interface it does not manage."""
    for device, part in host.interfaces.items():
        tagged = TAGGED.match(device)
        if tagged is not None and host.interfaces[tagged[1]].values.get("manage") is False:
            part.values["manage"] = False
            message = f"{device} of {name} is not managed: {tagged[1]} is not managed"
            context.report.lose(message, context.inventory.interfaces[name][device].place)


def _add_logical_vlan(context: Context, name: str, device: str, item: Item) -> None:
    """Add the network of a logical VLAN: it is over the network that it names, on the NIC of the host on that."""
    tag, over = find_tag(device, item), item.get("network")
    if tag is None or over is None or over not in context.draft.networks:
        missing = "VLAN ID" if tag is None else "network that it is over"
        context.report.lose(f"{device} of {name} has no {missing}", item.place)
        return
    if (over, tag) not in context.logical:
        network = f"vlan{tag}" if f"vlan{tag}" not in context.draft.networks else f"vlan{tag}-{over}"
        context.logical[over, tag] = network
        context.draft.networks[network] = Part({"vlan": tag, "over": over}, item.origin)
