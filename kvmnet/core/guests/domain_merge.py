"""Merging a guest's NICs into the XML of its domain: only what the NICs are connected to is changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from kvmnet.core.guests.domain_text import (
    Change,
    DomainError,
    Element,
    apply_changes,
    find_devices,
    indent_of,
    insert_after,
    remove_attribute,
    remove_element,
    set_attribute,
)
from kvmnet.core.guests.guest_xml import connection_elements, connection_type, format_interface
from kvmnet.core.guests.interface_settings import (
    DIRECT,
    TRUST,
    Setting,
    find_lost_settings,
    has_vlans_of,
    is_virtio,
)
from kvmnet.core.views.host_view import GuestPortView

#: The elements of an <interface> that set what it is connected to. If one of them goes, the new connection replaces it.
_CONNECTION = ("source", "target", "virtualport", "vlan")


@dataclass(frozen=True)
class Merged:
    """The new XML of a domain.

    `unknown` are the MAC addresses of its NICs that are not in the definition and were not changed. A NIC without a MAC
    address has an empty string. `notes` are the settings that were dropped, a line each. `losses` are those among them
    that protected others from the guest: the XML must not be used if the user does not allow it.
    """

    text: bytes
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


@dataclass
class _Report:
    """Collects what is lost."""

    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)


def merge(domain: bytes, ports: Sequence[GuestPortView]) -> Merged:
    """Merge these NICs into the XML of a domain (UTF-8). NICs are matched by their MAC addresses.

    In an existing NIC, only its type and its source, target, virtualport and vlan elements change, and settings that
    libvirt refuses or ignores on the new connection are removed (interface_settings). New NICs are inserted in the
    order of the definition, after the existing ones. NICs with other MAC addresses do not change, nor does the PCI
    device of a team (<teaming type='transient'>), which has the MAC address of its other NIC. Raises DomainError if
    the text is not a domain.
    """
    devices, report = find_devices(domain), _Report()
    existing, unknown = _match_nics(devices, {port.mac.lower() for port in ports})
    slots = sorted(existing.values(), key=lambda element: element.begin)
    if not slots:
        return Merged(_append_interfaces(domain, devices, ports), tuple(unknown))
    pieces, at = [], 0
    for number, slot in enumerate(slots):
        chosen = ports[number:] if number == len(slots) - 1 else ports[number : number + 1]
        indent = indent_of(domain, slot.begin)
        texts = [
            _update_interface(domain, existing[port.mac.lower()], port, report)
            if port.mac.lower() in existing
            else format_interface(port, indent).strip().encode()
            for port in chosen
        ]
        pieces += [domain[at : slot.begin], f"\n{indent}".encode().join(texts)]
        at = slot.end
    text = b"".join([*pieces, domain[at:]])
    return Merged(text, tuple(unknown), tuple(report.notes), tuple(report.losses))


def _match_nics(devices: Element, wanted: set[str]) -> tuple[dict[str, Element], list[str]]:
    """Return the NICs with one of these MAC addresses by MAC address, and the MAC addresses of the others.

    Raises DomainError for two NICs with the same MAC address that are no team, and for a team that lacks its first NIC.
    """
    existing: dict[str, Element] = {}
    unknown: list[str] = []
    second_nics: list[str] = []
    for element in devices.children:
        if element.name != "interface":
            continue
        mac = _mac_of(element)
        if element.attribute_of("teaming", "type") == "transient":
            second_nics.append(mac)
        elif mac in existing:
            raise DomainError(f"the domain has two NICs with MAC {mac}", "remove one of them, or make them a team")
        elif mac in wanted:
            existing[mac] = element
        else:
            unknown.append(mac)
    for mac in second_nics:
        if mac in wanted and mac not in existing:
            raise DomainError(
                f"NIC {mac} is the second of a team (<teaming type='transient'>), and no other NIC has its MAC address",
                "give both NICs of the team the same MAC address",
            )
    return existing, unknown


def _mac_of(interface: Element) -> str:
    """Return a NIC's MAC address as six pairs of digits: libvirt also accepts parts without a leading zero."""
    text = interface.attribute_of("mac", "address").lower()
    parts = text.split(":")
    is_mac = len(parts) == 6 and all(re.fullmatch("[0-9a-f]{1,2}", part) for part in parts)
    return ":".join(part.zfill(2) for part in parts) if is_mac else text


def _append_interfaces(domain: bytes, devices: Element, ports: Sequence[GuestPortView]) -> bytes:
    """Return the domain with new NICs after the last existing one, else at the end of its devices."""
    if not ports:
        return domain
    last = [c for c in devices.children if c.name == "interface"][-1:] or devices.children[-1:]
    outer = indent_of(domain, devices.begin)
    indent = indent_of(domain, last[0].begin) if last else outer + "  "
    text = "".join(format_interface(port, indent) for port in ports)
    if devices.is_self_closing:
        opened = domain[devices.begin : devices.end - 2].rstrip() + b">"
        return domain[: devices.begin] + opened + f"\n{text}{outer}</devices>".encode() + domain[devices.end :]
    at = last[0].end if last else devices.inside
    return domain[:at] + ("\n" + text.rstrip("\n")).encode() + domain[at:]


def _update_interface(domain: bytes, interface: Element, port: GuestPortView, report: _Report) -> bytes:
    """Return the text of a NIC's element connected to a port: the same bytes if it is already."""
    correct = _find_correct_element(interface, port)
    lost = list(find_lost_settings(interface, port, correct is None))
    _report_lost(interface, port, [setting for setting, _ in lost], report)
    gone = [element for _, element in lost if element.name in ("virtualport", "vlan")]
    gone += [child for child in interface.children if correct is None and _is_replaced(child, interface, port)]
    changes = _change_type(domain, interface, connection_type(port))
    for setting, element in lost:
        if element not in gone:
            changes += setting.remove(domain, element)
    new = "".join(connection_elements(port)) if correct is None else ""
    for child in interface.children:
        if child in gone:
            changes.append(remove_element(domain, child, new))
            new = ""
    mac = interface.child("mac")
    assert mac is not None
    if new:
        changes.append(insert_after(domain, mac, new))
    if interface.child("model") is None:
        changes.append(insert_after(domain, mac, "<model type='virtio'/>"))
    if _must_trust(interface, port):
        changes.append(set_attribute(domain, interface, TRUST, "yes", after="type"))
    return apply_changes(domain, interface.begin, interface.end, changes)


def _report_lost(interface: Element, port: GuestPortView, lost: Sequence[Setting], report: _Report) -> None:
    """Note each lost setting once, and that the definition trusts the guest without effect."""
    mac = port.mac.lower()
    for setting in dict.fromkeys(lost):
        fate = "stays, but" if setting.stays else "is removed:"
        report.notes.append(f"NIC {mac}: {setting.name} {fate} {setting.reason}")
        if setting.protects:
            report.losses.append(f"NIC {mac} would lose {setting.name}: {setting.reason}")
    if port.trusts_guest and not (connection_type(port) == DIRECT and is_virtio(interface)):
        model = interface.attribute_of("model", "type") or "virtio"
        kind = f"model {model}" if connection_type(port) == DIRECT else f"type {connection_type(port)}"
        report.notes.append(f"NIC {mac}: trust_guest_rx_filters of the definition has no effect on a NIC of {kind}")


def _must_trust(interface: Element, port: GuestPortView) -> bool:
    """Whether the definition asks for trust that the NIC does not have yet."""
    is_possible = connection_type(port) == DIRECT and is_virtio(interface)
    return bool(port.trusts_guest) and is_possible and interface.attributes.get(TRUST) != "yes"


def _is_replaced(child: Element, interface: Element, port: GuestPortView) -> bool:
    """Whether an element of the old connection goes: the name of a tap that libvirt creates stays."""
    if child.name == "target":
        return port.always or interface.attributes["type"] == "ethernet"
    return child.name == "source" or (child.name == "vlan" and port.needs_vlans)


def _find_correct_element(interface: Element, port: GuestPortView) -> Optional[Element]:
    """Return the element that already connects a NIC to a port, or None. The type must be correct too."""
    if interface.attributes.get("type") != connection_type(port):
        return None
    vlan = interface.child("vlan")
    if port.needs_vlans and (vlan is None or not has_vlans_of(vlan, port)):
        return None
    child = interface.child("target" if port.always else "source")
    attributes = child.attributes if child is not None else {}
    if port.macvtap is None:
        is_correct = attributes.get("bridge") == port.device
    elif port.always:
        is_correct = (attributes.get("dev"), attributes.get("managed")) == (port.macvtap, "no")
    else:
        is_correct = (attributes.get("dev"), attributes.get("mode", "vepa")) == (port.device, port.mode)
    return child if is_correct else None


def _change_type(domain: bytes, interface: Element, kind: str) -> list[Change]:
    """Return the changes that set the type of a NIC. `managed` is an attribute of a hostdev only."""
    if interface.attributes["type"] == kind:
        return []
    changes = [set_attribute(domain, interface, "type", kind)]
    if "managed" in interface.attributes:
        changes.append(remove_attribute(domain, interface, "managed"))
    return changes
