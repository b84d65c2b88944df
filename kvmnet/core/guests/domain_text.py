"""The text of a domain's XML: where its elements are, and replacing parts of it.

expat gives the position of each element, and only the bytes that must change are replaced. So comments, white space,
quotes, namespaces and unknown elements are preserved. A parser that builds a tree and writes it out again does not
preserve them (see docs/architecture.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional
from xml.parsers import expat

from kvmnet.core.base.errors import KvmnetError

_HINT = "`virsh dumpxml --inactive GUEST` prints a domain's XML"

Change = tuple[int, int, bytes]
"""The first and last byte of a part of a text, and the bytes that replace it."""


class DomainError(KvmnetError):
    """The text is not the XML of a domain, or NICs cannot be merged into it. The message has the reason."""


@dataclass
class Element:
    """An element and its position: the start tag is [begin, inside), the end tag [closing, end)."""

    name: str
    attributes: dict[str, str]
    begin: int
    inside: int = 0
    closing: int = 0
    end: int = 0
    children: list[Element] = field(default_factory=list)
    comments: list[tuple[int, int]] = field(default_factory=list)  # at any depth

    def child(self, name: str) -> Optional[Element]:
        """Return the first child with this name, or None."""
        return next((c for c in self.children if c.name == name), None)

    def attribute_of(self, name: str, attribute: str) -> str:
        """Return an attribute of the first child with this name, or ""."""
        child = self.child(name)
        return child.attributes.get(attribute, "") if child is not None else ""

    @property
    def is_self_closing(self) -> bool:
        """Whether it is written as <name/>."""
        return self.closing == self.end


# ---- changes


def apply_changes(text: bytes, begin: int, end: int, changes: list[Change]) -> bytes:
    """Return a part of a text with changes applied."""
    pieces, at = [], begin
    for first, last, new in sorted(changes, key=lambda change: change[:2]):
        pieces += [text[at:first], new]
        at = last
    return b"".join([*pieces, text[at:end]])


def remove_element(text: bytes, element: Element, new: str = "") -> Change:
    """Return the change that replaces an element with a new one, or removes it with the white space before it.

    The comments inside it are kept.
    """
    kept = [new.encode()] if new else []
    kept += [text[begin:end] for begin, end in element.comments]
    return element.begin if kept else _skip_space_back(text, element.begin), element.end, b" ".join(kept)


def remove_attribute(text: bytes, element: Element, name: str) -> Change:
    """Return the change that removes an attribute, with the white space before it."""
    before, _, close = _find_attribute(text, element, name)
    return before, close + 1, b""


def set_attribute(text: bytes, element: Element, name: str, value: str, after: str = "") -> Change:
    """Return the change that sets an attribute: a new one is written after the attribute `after`."""
    if name in element.attributes:
        _, first, close = _find_attribute(text, element, name)
        return first, close, value.encode()
    close = _find_attribute(text, element, after)[2]
    return close + 1, close + 1, f" {name}='{value}'".encode()


def insert_after(text: bytes, element: Element, new: str) -> Change:
    """Return the change that inserts an element after another one, on a line of its own if that has one."""
    indent = indent_of(text, element.begin)
    return element.end, element.end, (f"\n{indent}{new}" if indent else new).encode()


def indent_of(text: bytes, at: int) -> str:
    """Return the white space before a position, or "" if something else is before it on its line."""
    line = text[text.rfind(b"\n", 0, at) + 1 : at]
    return line.decode() if not line.strip() else ""


def _find_attribute(text: bytes, element: Element, name: str) -> tuple[int, int, int]:
    """Return the positions of an attribute: of the white space before it, of its value, and of the closing quote.

    expat does not give the positions of attributes.
    """
    at = element.begin + 1 + len(element.name.encode())
    while True:
        equals = text.index(b"=", at)
        quote = next(i for i in range(equals, element.inside) if text[i : i + 1] in (b"'", b'"'))
        close = text.index(text[quote : quote + 1], quote + 1)
        if text[at:equals].strip() == name.encode():
            return at, quote + 1, close
        at = close + 1


def _skip_space_back(text: bytes, at: int) -> int:
    """Return where the white space before a position begins."""
    while text[at - 1 : at].isspace():
        at -= 1
    return at


# ---- parsing


def find_devices(domain: bytes) -> Element:
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


def _parse(text: bytes) -> Element:
    """Return the root element of a text. Raises DomainError if it is not XML."""
    parser = expat.ParserCreate()
    opened: list[Element] = []
    roots: list[Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes, parser.CurrentByteIndex)
        element.inside = _find_tag_end(text, element.begin)
        (opened[-1].children if opened else roots).append(element)
        opened.append(element)

    def end(name: str) -> None:
        element = opened.pop()
        element.closing = parser.CurrentByteIndex
        if text[element.inside - 2 : element.inside] == b"/>":  # expat gives no usable position for its end
            element.closing = element.end = element.inside
        else:
            element.end = _find_tag_end(text, element.closing)

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


def _find_tag_end(text: bytes, begin: int) -> int:
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
