"""libvirt's XML of a guest's NICs, and its merging into the XML of a domain.

The merging works on the text: expat says where an element begins and ends, and only what has to change there is
replaced. So comments, blanks, quotes, namespaces and elements that nobody here knows stay byte for byte, which no
reading into a tree and writing out again does (figures and reasons in docs/architecture.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Optional
from xml.parsers import expat

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.views.host_view import GuestPortView

#: What says where a NIC is plugged in; everything else of an <interface> is the administrator's. The tag of another
#: switch's port (<vlan>) belongs to that: libvirt starts no guest with one on a bridge (before 11.0) or a macvtap.
_PLUG = ("source", "target", "virtualport", "vlan")
_WHAT_PRINTS_IT = "`virsh dumpxml --inactive GUEST` prints a domain's XML"


class DomainError(KvmnetError):
    """A text is not a domain's XML that NICs can be merged into; the message says where and why."""


def interface_xml(port: GuestPortView, indent: str = "", *, note: bool = False) -> str:
    """One <interface> element, every line with its end; with `note` under a comment that says what it is.

    A bridge: type bridge. A macvtap that exists from boot: type ethernet with its name, managed='no' (libvirt
    takes it as it is and leaves it). One on demand: type direct, libvirt makes it and chooses its name.
    """
    lines = [f"<interface type='{_type(port)}'>", f"  <mac address='{port.mac.lower()}'/>"]
    lines += [f"  {element}" for element in _plugged(port)]
    lines += ["  <model type='virtio'/>", "</interface>"]
    if note:
        words = re.sub("-(?=-)", "- ", _escaped(_words(port)))  # a comment has no two dashes side by side
        lines.insert(0, f"<!-- {words} -->")
    return "".join(f"{indent}{line}\n" for line in lines)


def interfaces_xml(ports: Iterable[GuestPortView]) -> str:
    """All of a guest's NICs, in their order, each under a comment."""
    return "".join(interface_xml(port, note=True) for port in ports)


def _type(port: GuestPortView) -> str:
    return "bridge" if port.macvtap is None else "ethernet" if port.always else "direct"


def _plugged(port: GuestPortView) -> list[str]:
    if port.macvtap is None:
        return [f"<source bridge='{_escaped(port.device)}'/>"]
    if port.always:
        return [f"<target dev='{_escaped(port.macvtap)}' managed='no'/>"]
    return [f"<source dev='{_escaped(port.device)}' mode='{port.mode}'/>"]


def _words(port: GuestPortView) -> str:
    tag = f" (VLAN {port.tag})" if port.tag is not None else ""
    if port.macvtap is None:
        return f"network {port.network}{tag}: bridge {port.device}"
    if port.always:
        return f"network {port.network}{tag}: {port.macvtap} on {port.device}, there from boot"
    return f"network {port.network}{tag}: a macvtap on {port.device}, which libvirt makes and names"


def _escaped(text: str) -> str:
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&apos;")):
        text = text.replace(plain, entity)
    return text


# --- merging ------------------------------------------------------------------------------------------


@dataclass
class _Element:
    """An element by its bytes: the start tag is [begin, inside), its end tag [closing, end)."""

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
    def empty_tag(self) -> bool:
        """Whether it is written as <name/>."""
        return self.closing == self.end


@dataclass(frozen=True)
class Merged:
    """The domain's new XML. `unknown` are the MACs of its NICs that the definition does not know: they were left
    as they are (an empty text stands for a NIC without a MAC)."""

    text: bytes
    unknown: tuple[str, ...]


def merge(domain: bytes, ports: Sequence[GuestPortView]) -> Merged:
    """A domain's XML (UTF-8) with these NICs, found by their MACs.

    A NIC that is there keeps all but what says where it is plugged in (the type, source, target, virtualport, vlan)
    and what libvirt takes under the old type alone; its model too. New ones come behind those that are there; the
    definition's order counts. NICs with other MACs are left alone. Raises DomainError for what is no domain.
    """
    devices = _devices(domain)
    there: dict[str, _Element] = {}
    unknown = []
    wanted = {port.mac.lower() for port in ports}
    for element in devices.children:
        if element.name != "interface":
            continue
        mac = _mac(element)
        if mac in there:
            raise DomainError(f"the domain has two NICs with MAC {mac}", "take one of them out")
        if mac in wanted:
            there[mac] = element
        else:
            unknown.append(mac)
    slots = sorted(there.values(), key=lambda element: element.begin)
    if not slots:
        return Merged(_appended(domain, devices, ports), tuple(unknown))
    pieces, at = [], 0
    for number, slot in enumerate(slots):
        chosen = ports[number:] if number == len(slots) - 1 else ports[number : number + 1]
        indent = _indent_of(domain, slot.begin)
        texts = [
            _replugged(domain, there[port.mac.lower()], port)
            if port.mac.lower() in there
            else interface_xml(port, indent).strip().encode()
            for port in chosen
        ]
        pieces += [domain[at : slot.begin], f"\n{indent}".encode().join(texts)]
        at = slot.end
    return Merged(b"".join([*pieces, domain[at:]]), tuple(unknown))


def _mac(interface: _Element) -> str:
    """A NIC's MAC in the form of the definition: libvirt takes one digit for a part that begins with a 0."""
    mac = interface.child("mac")
    text = mac.attributes.get("address", "").lower() if mac is not None else ""
    parts = text.split(":")
    is_mac = len(parts) == 6 and all(re.fullmatch("[0-9a-f]{1,2}", part) for part in parts)
    return ":".join(part.zfill(2) for part in parts) if is_mac else text


def _indent_of(text: bytes, at: int) -> str:
    """The blanks before a place, where nothing else is before it on its line."""
    line = text[text.rfind(b"\n", 0, at) + 1 : at]
    return line.decode() if not line.strip() else ""


def _appended(domain: bytes, devices: _Element, ports: Sequence[GuestPortView]) -> bytes:
    """New NICs behind the last one, else at the end of the devices."""
    if not ports:
        return domain
    last = [c for c in devices.children if c.name == "interface"][-1:] or devices.children[-1:]
    outer = _indent_of(domain, devices.begin)
    indent = _indent_of(domain, last[0].begin) if last else outer + "  "
    text = "".join(interface_xml(port, indent) for port in ports)
    if devices.empty_tag:
        opened = domain[devices.begin : devices.end - 2].rstrip() + b">"
        return domain[: devices.begin] + opened + f"\n{text}{outer}</devices>".encode() + domain[devices.end :]
    at = last[0].end if last else devices.inside
    return domain[:at] + ("\n" + text.rstrip("\n")).encode() + domain[at:]


def _replugged(domain: bytes, interface: _Element, port: GuestPortView) -> bytes:
    """The text of a NIC's element, plugged in anew; the same bytes where it is so already."""
    right = _right(interface, port)
    if right is not None and not any(interface.child(name) for name in ("virtualport", "vlan")):
        return domain[interface.begin : interface.end]
    kind = interface.attributes["type"]
    changes = _typed(domain, interface, _type(port)) if kind != _type(port) else []
    new = "".join(_plugged(port)) if right is None else ""
    keeps_target = not port.always and kind != "ethernet"
    for child in interface.children:
        if child.name not in _PLUG or child is right or (child.name == "target" and keeps_target):
            continue
        changes.append(_taken_out(domain, child, new))
        new = ""
    if new:
        mac = interface.child("mac")
        assert mac is not None
        gap = "\n" + indent if (indent := _indent_of(domain, mac.begin)) else ""
        changes.append((mac.end, mac.end, f"{gap}{new}".encode()))
    if interface.child("model") is None:
        mac = interface.child("mac")
        assert mac is not None
        gap = "\n" + indent if (indent := _indent_of(domain, mac.begin)) else ""
        changes.append((mac.end, mac.end, f"{gap}<model type='virtio'/>".encode()))
    return _spliced(domain, interface.begin, interface.end, changes)


def _right(interface: _Element, port: GuestPortView) -> Optional[_Element]:
    """The child that says already where the NIC is to be plugged in, under the right type; None where none does."""
    if interface.attributes.get("type") != _type(port):
        return None
    child = interface.child("target" if port.always else "source")
    has = child.attributes if child is not None else {}
    if port.macvtap is None:
        says = has.get("bridge") == port.device
    elif port.always:
        says = (has.get("dev"), has.get("managed")) == (port.macvtap, "no")
    else:
        says = (has.get("dev"), has.get("mode", "vepa")) == (port.device, port.mode)
    return child if says else None


def _typed(domain: bytes, interface: _Element, kind: str) -> list[tuple[int, int, bytes]]:
    """The changes that make another type of a NIC: what libvirt knows under the old type alone goes, since it refuses
    the domain otherwise."""
    _, value, close = _attribute(domain, interface, "type")
    changes = [(value, close, kind.encode())]
    if "managed" in interface.attributes:
        before, _, close = _attribute(domain, interface, "managed")
        changes.append((before, close + 1, b""))
    old = interface.attributes["type"]
    return changes + [_taken_out(domain, child) for child in interface.children if _is_of_type(child, old)]


def _is_of_type(child: _Element, kind: str) -> bool:
    """Whether an element belongs to this type of NIC: who drives a PCI function (a virtio NIC's driver is its own),
    passt and the ports that it forwards."""
    if child.name == "backend":
        return child.attributes.get("type") == "passt"
    return (child.name, kind) == ("driver", "hostdev") or child.name == "portForward"


def _attribute(domain: bytes, element: _Element, name: str) -> tuple[int, int, int]:
    """Where an attribute stands in a start tag: the blanks before it, its value, the quote after that. The one place
    where attributes are looked for by hand, quotes and all."""
    at = element.begin + 1 + len(element.name.encode())
    while True:
        equals = domain.index(b"=", at)
        quote = next(i for i in range(equals, element.inside) if domain[i : i + 1] in (b"'", b'"'))
        close = domain.index(domain[quote : quote + 1], quote + 1)
        if domain[at:equals].strip() == name.encode():
            return at, quote + 1, close
        at = close + 1


def _taken_out(domain: bytes, element: _Element, new: str = "") -> tuple[int, int, bytes]:
    """The change that takes an element out, for a new one or with the blanks before it; the comments in it stay."""
    left = [new.encode()] if new else []
    left += [domain[begin:end] for begin, end in element.comments]
    return element.begin if left else _before(domain, element.begin), element.end, b" ".join(left)


def _before(text: bytes, at: int) -> int:
    """Where the blanks before a place begin."""
    while text[at - 1 : at].isspace():
        at -= 1
    return at


def _spliced(text: bytes, begin: int, end: int, changes: list[tuple[int, int, bytes]]) -> bytes:
    pieces, at = [], begin
    for first, last, new in sorted(changes, key=lambda change: change[:2]):
        pieces += [text[at:first], new]
        at = last
    return b"".join([*pieces, text[at:end]])


def _devices(domain: bytes) -> _Element:
    """The <devices> of a domain, with its elements down to what is in an interface."""
    root = _parsed(domain)
    if root.name != "domain":
        raise DomainError(f"this is not a domain's XML: it begins with <{root.name}>", _WHAT_PRINTS_IT)
    devices = [c for c in root.children if c.name == "devices"]
    if len(devices) != 1:
        raise DomainError("the domain has no <devices>, or several", _WHAT_PRINTS_IT)
    for element in devices[0].children:
        if element.name == "interface" and "type" not in element.attributes:
            raise DomainError("the domain has an <interface> without a type")
    return devices[0]


def _parsed(text: bytes) -> _Element:
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
        if text[element.inside - 2 : element.inside] == b"/>":  # expat stands at its beginning, then at its end
            element.closing = element.end = element.inside
        else:
            element.end = _tag_end(text, element.closing)

    def comment(_: str) -> None:
        begin = parser.CurrentByteIndex
        for element in opened:
            element.comments.append((begin, text.index(b"-->", begin + len("<!--")) + 3))

    def doctype(*_: object) -> None:
        raise DomainError("a domain's XML has no DOCTYPE", f"{_WHAT_PRINTS_IT} without one")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CommentHandler, parser.StartDoctypeDeclHandler = comment, doctype
    if not text.strip():
        raise DomainError("there is nothing in it", _WHAT_PRINTS_IT)
    try:
        text.decode("utf-8")
        parser.Parse(text, True)
    except expat.ExpatError as error:
        words = expat.errors.messages[error.code]  # the error's own text has a place too, with columns from 0
        raise DomainError(f"not XML: line {error.lineno}, column {error.offset + 1}: {words}") from None
    except (ValueError, LookupError):  # it is not, or says of itself that it is something that expat does not read
        raise DomainError("the domain's XML is not UTF-8", f"{_WHAT_PRINTS_IT} in UTF-8") from None
    return roots[0]


def _tag_end(text: bytes, begin: int) -> int:
    """Where a tag ends, behind its '>': a '>' in quotes does not count."""
    quote = b""
    for at in range(begin, len(text)):
        char = text[at : at + 1]
        if quote:
            quote = b"" if char == quote else quote
        elif char in (b"'", b'"'):
            quote = char
        elif char == b">":
            return at + 1
    raise AssertionError("expat has read the whole tag")
