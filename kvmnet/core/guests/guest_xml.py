"""libvirt's XML of a guest's NICs, and merging these NICs into the XML of a domain.

Merging replaces text: expat gives the position of each element, and only the bytes that must change are replaced. So
comments, white space, quotes, namespaces and unknown elements are preserved. A parser that builds a tree and writes it
out again does not preserve them (see docs/architecture.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Optional
from xml.parsers import expat

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.views.host_view import GuestPortView

#: The elements of an <interface> that kvmnet sets; all others belong to the administrator. <vlan> is one of them: it is
#: for other switches, and libvirt starts no guest with a <vlan> on a bridge (before 11.0) or on a macvtap.
_CONNECTION = ("source", "target", "virtualport", "vlan")
_HINT = "`virsh dumpxml --inactive GUEST` prints a domain's XML"

Change = tuple[int, int, bytes]
"""The first and last byte of a part of a text, and the bytes that replace it."""


class DomainError(KvmnetError):
    """The text is not the XML of a domain, or NICs cannot be merged into it. The message has the reason."""


def format_interface(port: GuestPortView, indent: str = "", *, note: bool = False) -> str:
    """Return an <interface> element. With `note`, a comment before it describes the connection.

    The type is "bridge" for a bridge. For a macvtap that exists from boot it is "ethernet" with managed='no': libvirt
    uses the device but does not create or delete it. For a macvtap on demand it is "direct": libvirt creates the
    device and chooses its name.
    """
    lines = [f"<interface type='{_type(port)}'>", f"  <mac address='{port.mac.lower()}'/>"]
    lines += [f"  {element}" for element in _connection_elements(port)]
    lines += ["  <model type='virtio'/>", "</interface>"]
    if note:
        comment = re.sub("-(?=-)", "- ", _escape(_describe(port)))  # "--" is not allowed in a comment
        lines.insert(0, f"<!-- {comment} -->")
    return "".join(f"{indent}{line}\n" for line in lines)


def format_interfaces(ports: Iterable[GuestPortView]) -> str:
    """Return the <interface> elements of a guest's NICs, in this order, each with a comment."""
    return "".join(format_interface(port, note=True) for port in ports)


def _type(port: GuestPortView) -> str:
    return "bridge" if port.macvtap is None else "ethernet" if port.always else "direct"


def _connection_elements(port: GuestPortView) -> list[str]:
    """Return the elements of an <interface> that set what it is connected to."""
    if port.macvtap is None:
        return [f"<source bridge='{_escape(port.device)}'/>"]
    if port.always:
        return [f"<target dev='{_escape(port.macvtap)}' managed='no'/>"]
    return [f"<source dev='{_escape(port.device)}' mode='{port.mode}'/>"]


def _describe(port: GuestPortView) -> str:
    tag = f" (VLAN {port.tag})" if port.tag is not None else ""
    if port.macvtap is None:
        return f"network {port.network}{tag}: bridge {port.device}"
    if port.always:
        return f"network {port.network}{tag}: {port.macvtap} on {port.device}, exists from boot"
    return f"network {port.network}{tag}: a macvtap on {port.device}, created and named by libvirt"


def _escape(text: str) -> str:
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&apos;")):
        text = text.replace(plain, entity)
    return text


# ---- merging


@dataclass
class _Element:
    """An element and its position: the start tag is [begin, inside), the end tag [closing, end)."""

    name: str
    attributes: dict[str, str]
    begin: int
    inside: int = 0
    closing: int = 0
    end: int = 0
    children: list[_Element] = field(default_factory=list)
    comments: list[tuple[int, int]] = field(default_factory=list)  # at any depth

    def child(self, name: str) -> Optional[_Element]:
        return next((c for c in self.children if c.name == name), None)

    @property
    def is_self_closing(self) -> bool:
        """Whether it is written as <name/>."""
        return self.closing == self.end


@dataclass(frozen=True)
class Merged:
    """The new XML of a domain.

    `unknown` are the MAC addresses of its NICs that are not in the definition and were not changed. A NIC without a MAC
    address has an empty string.
    """

    text: bytes
    unknown: tuple[str, ...]


def merge(domain: bytes, ports: Sequence[GuestPortView]) -> Merged:
    """Merge these NICs into the XML of a domain (UTF-8). NICs are matched by their MAC addresses.

    In an existing NIC, only its type and its source, target, virtualport and vlan elements change, and elements that
    libvirt accepts for the old type only are removed. New NICs are inserted in the order of the definition, after the
    existing ones. NICs with other MAC addresses do not change. Raises DomainError if the text is not a domain.
    """
    devices = _find_devices(domain)
    existing: dict[str, _Element] = {}
    unknown = []
    wanted = {port.mac.lower() for port in ports}
    for element in devices.children:
        if element.name != "interface":
            continue
        mac = _mac_of(element)
        if mac in existing:
            raise DomainError(f"the domain has two NICs with MAC {mac}", "remove one of them")
        if mac in wanted:
            existing[mac] = element
        else:
            unknown.append(mac)
    slots = sorted(existing.values(), key=lambda element: element.begin)
    if not slots:
        return Merged(_append_interfaces(domain, devices, ports), tuple(unknown))
    pieces, at = [], 0
    for number, slot in enumerate(slots):
        chosen = ports[number:] if number == len(slots) - 1 else ports[number : number + 1]
        indent = _indent_of(domain, slot.begin)
        texts = [
            _update_interface(domain, existing[port.mac.lower()], port)
            if port.mac.lower() in existing
            else format_interface(port, indent).strip().encode()
            for port in chosen
        ]
        pieces += [domain[at : slot.begin], f"\n{indent}".encode().join(texts)]
        at = slot.end
    return Merged(b"".join([*pieces, domain[at:]]), tuple(unknown))


def _mac_of(interface: _Element) -> str:
    """Return a NIC's MAC address as six pairs of digits: libvirt also accepts parts without a leading zero."""
    mac = interface.child("mac")
    text = mac.attributes.get("address", "").lower() if mac is not None else ""
    parts = text.split(":")
    is_mac = len(parts) == 6 and all(re.fullmatch("[0-9a-f]{1,2}", part) for part in parts)
    return ":".join(part.zfill(2) for part in parts) if is_mac else text


def _indent_of(text: bytes, at: int) -> str:
    """Return the white space before a position, or "" if something else is before it on its line."""
    line = text[text.rfind(b"\n", 0, at) + 1 : at]
    return line.decode() if not line.strip() else ""


def _append_interfaces(domain: bytes, devices: _Element, ports: Sequence[GuestPortView]) -> bytes:
    """Return the domain with new NICs after the last existing one, else at the end of its devices."""
    if not ports:
        return domain
    last = [c for c in devices.children if c.name == "interface"][-1:] or devices.children[-1:]
    outer = _indent_of(domain, devices.begin)
    indent = _indent_of(domain, last[0].begin) if last else outer + "  "
    text = "".join(format_interface(port, indent) for port in ports)
    if devices.is_self_closing:
        opened = domain[devices.begin : devices.end - 2].rstrip() + b">"
        return domain[: devices.begin] + opened + f"\n{text}{outer}</devices>".encode() + domain[devices.end :]
    at = last[0].end if last else devices.inside
    return domain[:at] + ("\n" + text.rstrip("\n")).encode() + domain[at:]


def _update_interface(domain: bytes, interface: _Element, port: GuestPortView) -> bytes:
    """Return the text of a NIC's element connected to a port: the same bytes if it is already."""
    correct = _find_correct_element(interface, port)
    if correct is not None and not any(interface.child(name) for name in ("virtualport", "vlan")):
        return domain[interface.begin : interface.end]
    kind = interface.attributes["type"]
    changes = _change_type(domain, interface, _type(port)) if kind != _type(port) else []
    new = "".join(_connection_elements(port)) if correct is None else ""
    keeps_target = not port.always and kind != "ethernet"
    for child in interface.children:
        if child.name not in _CONNECTION or child is correct or (child.name == "target" and keeps_target):
            continue
        changes.append(_remove_element(domain, child, new))
        new = ""
    if new:
        changes.append(_insert_after_mac(domain, interface, new))
    if interface.child("model") is None:
        changes.append(_insert_after_mac(domain, interface, "<model type='virtio'/>"))
    return _apply_changes(domain, interface.begin, interface.end, changes)


def _insert_after_mac(domain: bytes, interface: _Element, element: str) -> Change:
    """Return the change that inserts an element after <mac>, on a line of its own if <mac> has one."""
    mac = interface.child("mac")
    assert mac is not None
    indent = _indent_of(domain, mac.begin)
    return mac.end, mac.end, (f"\n{indent}{element}" if indent else element).encode()


def _find_correct_element(interface: _Element, port: GuestPortView) -> Optional[_Element]:
    """Return the element that already connects a NIC to a port, or None. The type must be correct too."""
    if interface.attributes.get("type") != _type(port):
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


def _change_type(domain: bytes, interface: _Element, kind: str) -> list[Change]:
    """Return the changes that set the type of a NIC.

    They also remove what libvirt accepts for the old type only. Otherwise libvirt would reject the domain.
    """
    _, value, close = _find_attribute(domain, interface, "type")
    changes = [(value, close, kind.encode())]
    if "managed" in interface.attributes:
        before, _, close = _find_attribute(domain, interface, "managed")
        changes.append((before, close + 1, b""))
    old = interface.attributes["type"]
    return changes + [_remove_element(domain, child) for child in interface.children if _is_of_type(child, old)]


def _is_of_type(child: _Element, kind: str) -> bool:
    """Whether libvirt accepts an element for this type of NIC only.

    These are the driver of a PCI device (a virtio NIC has a <driver> too), and passt with its forwarded ports.
    """
    if child.name == "backend":
        return child.attributes.get("type") == "passt"
    return (child.name, kind) == ("driver", "hostdev") or child.name == "portForward"


def _find_attribute(domain: bytes, element: _Element, name: str) -> tuple[int, int, int]:
    """Return the positions of an attribute: of the white space before it, of its value, and of the closing quote.

    expat does not give the positions of attributes.
    """
    at = element.begin + 1 + len(element.name.encode())
    while True:
        equals = domain.index(b"=", at)
        quote = next(i for i in range(equals, element.inside) if domain[i : i + 1] in (b"'", b'"'))
        close = domain.index(domain[quote : quote + 1], quote + 1)
        if domain[at:equals].strip() == name.encode():
            return at, quote + 1, close
        at = close + 1


def _remove_element(domain: bytes, element: _Element, new: str = "") -> Change:
    """Return the change that replaces an element with a new one, or removes it with the white space before it.

    The comments inside it are kept.
    """
    kept = [new.encode()] if new else []
    kept += [domain[begin:end] for begin, end in element.comments]
    return element.begin if kept else _skip_space_back(domain, element.begin), element.end, b" ".join(kept)


def _skip_space_back(text: bytes, at: int) -> int:
    """Return where the white space before a position begins."""
    while text[at - 1 : at].isspace():
        at -= 1
    return at


def _apply_changes(text: bytes, begin: int, end: int, changes: list[Change]) -> bytes:
    """Return a part of a text with changes applied."""
    pieces, at = [], begin
    for first, last, new in sorted(changes, key=lambda change: change[:2]):
        pieces += [text[at:first], new]
        at = last
    return b"".join([*pieces, text[at:end]])


def _find_devices(domain: bytes) -> _Element:
    """Return the <devices> element of a domain. Raises DomainError if the text is not the XML of a domain."""
    root = _parse(domain)
    if root.name != "domain":
        raise DomainError(f"not a domain's XML: the root element is <{root.name}>", _HINT)
    devices = [c for c in root.children if c.name == "devices"]
    if len(devices) != 1:
        raise DomainError(f"the domain must have exactly one <devices> element, not {len(devices)}", _HINT)
    for element in devices[0].children:
        if element.name == "interface" and "type" not in element.attributes:
            raise DomainError("the domain has an <interface> without a type")
    return devices[0]


def _parse(text: bytes) -> _Element:
    """Return the root element of a text. Raises DomainError if it is not XML."""
    parser = expat.ParserCreate()
    opened: list[_Element] = []
    roots: list[_Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        element = _Element(name, attributes, parser.CurrentByteIndex)
        element.inside = _tag_end(text, element.begin)
        (opened[-1].children if opened else roots).append(element)
        opened.append(element)

    def end(name: str) -> None:
        element = opened.pop()
        element.closing = parser.CurrentByteIndex
        if text[element.inside - 2 : element.inside] == b"/>":  # expat gives no usable position for its end
            element.closing = element.end = element.inside
        else:
            element.end = _tag_end(text, element.closing)

    def comment(_: str) -> None:
        begin = parser.CurrentByteIndex
        for element in opened:
            element.comments.append((begin, text.index(b"-->", begin + len("<!--")) + 3))

    def doctype(*_: object) -> None:
        raise DomainError("a DOCTYPE is not allowed in a domain's XML", f"{_HINT} without one")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CommentHandler, parser.StartDoctypeDeclHandler = comment, doctype
    if not text.strip():
        raise DomainError("the domain's XML is empty", _HINT)
    try:
        text.decode("utf-8")
        parser.Parse(text, True)
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code]  # str(error) has the position too, but counts columns from 0
        raise DomainError(f"not XML: line {error.lineno}, column {error.offset + 1}: {reason}") from None
    except (ValueError, LookupError):  # not UTF-8, or it declares an encoding that expat does not support
        raise DomainError("the domain's XML is not UTF-8", f"{_HINT} in UTF-8") from None
    return roots[0]


def _tag_end(text: bytes, begin: int) -> int:
    """Return the position after the '>' of a tag. A '>' in quotes does not end it."""
    quote = b""
    for at in range(begin, len(text)):
        char = text[at : at + 1]
        if quote:
            quote = b"" if char == quote else quote
        elif char in (b"'", b'"'):
            quote = char
        elif char == b">":
            return at + 1
    raise AssertionError("expat reports complete tags only")
