"""libvirt's XML of a guest's NICs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kvmnet.core.views.host_view import GuestPortView

#: The attribute of a <vlan> whose guest gets tagged frames.
TRUNK = " trunk='yes'"


def format_interface(port: GuestPortView, indent: str = "", *, note: bool = False) -> str:
    """Return an <interface> element. With `note`, a comment before it describes the connection.

    The type is "bridge" for a bridge. For a macvtap that exists from boot it is "ethernet" with managed='no': libvirt
    uses the device but does not create or delete it. For a macvtap on demand it is "direct": libvirt creates the
    device and chooses its name. The guest is trusted only there: libvirt filters no other device.
    """
    kind = connection_type(port)
    trust = " trustGuestRxFilters='yes'" if kind == "direct" and port.trusts_guest else ""
    lines = [f"<interface type='{kind}'{trust}>", f"  <mac address='{port.mac.lower()}'/>"]
    lines += [f"  {element}" for element in connection_elements(port)]
    lines += ["  <model type='virtio'/>", "</interface>"]
    if note:
        comment = re.sub("-(?=-)", "- ", _escape(_describe(port)))  # "--" is not allowed in a comment
        lines.insert(0, f"<!-- {comment} -->")
    return "".join(f"{indent}{line}\n" for line in lines)


def format_interfaces(ports: Iterable[GuestPortView]) -> str:
    """Return the <interface> elements of a guest's NICs, in this order, each with a comment."""
    return "".join(format_interface(port, note=True) for port in ports)


def connection_type(port: GuestPortView) -> str:
    """Return the type of the <interface> of a port."""
    return "bridge" if port.macvtap is None else "ethernet" if port.always else "direct"


def connection_elements(port: GuestPortView) -> list[str]:
    """Return the elements of an <interface> that set what it is connected to."""
    if port.macvtap is None:
        vlans = [format_vlans(port)] if port.needs_vlans else []
        return [f"<source bridge='{_escape(port.device)}'/>", *vlans]
    if port.always:
        return [f"<target dev='{_escape(port.macvtap)}' managed='no'/>"]
    return [f"<source dev='{_escape(port.device)}' mode='{port.mode}'/>"]


def format_vlans(port: GuestPortView) -> str:
    """Return the <vlan> element of a port of a VLAN-aware bridge (libvirt 11.0.0 and later).

    libvirt makes the port a member of these VLANs and of no other. It does not turn VLAN filtering of the bridge on.
    """
    native = " nativeMode='untagged'" if port.trunk else ""
    untagged = [f"<tag id='{port.untagged}'{native}/>"] if port.untagged is not None else []
    tags = "".join([*untagged, *(f"<tag id='{tag}'/>" for tag in port.trunk)])
    return f"<vlan{TRUNK if port.trunk else ''}>{tags}</vlan>"


def _describe(port: GuestPortView) -> str:
    tag = f" (VLAN {port.tag})" if port.tag is not None else ""
    if port.trunk:
        native = f", untagged {port.network}" if port.untagged is not None else ""
        return f"VLANs {', '.join(map(str, port.trunk))} with tags{native}: VLAN-aware bridge {port.device}"
    if port.macvtap is None and port.needs_vlans:
        return f"network {port.network}{tag}: VLAN-aware bridge {port.device}"
    if port.macvtap is None:
        return f"network {port.network}{tag}: bridge {port.device}"
    if port.always:
        return f"network {port.network}{tag}: {port.macvtap} on {port.device}, exists from boot"
    return f"network {port.network}{tag}: a macvtap on {port.device}, created and named by libvirt"


def _escape(text: str) -> str:
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&apos;")):
        text = text.replace(plain, entity)
    return text
