"""Texts that try to leave their place: in XML, HTML, scripts and Mermaid."""

from __future__ import annotations

from kvmnet.core.graph.model import ADDED, Box, Connection, Document, Line, Picture, Row, Table

TEXTS = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"\' onload="alert(1)" x=\'',
    "]]> <!-- & &amp; &#60;",
    '"]; click p1n1 href "javascript:alert(1)"',
    "`**bold**` #35;quot; %% end\nsubgraph x",
    "\x00\x08\x1b[31m\u202e\u2028\ufffe\udc80",
    "{{x}} ${x} {%x%} |y| (z) <br/>",
)


def document(text: str) -> Document:
    """Return a document that has a text everywhere."""
    box = Box(f"a{text}", "NIC", text, (Line(text), Line(text, ADDED, anchor=text)), ADDED, (text,), link="picture-1")
    other = Box(f"b{text}", "guest", text, (Line(text, anchor=text),))
    picture = Picture("picture-1", text, text, (box, other), (Connection(box.key, other.key, ADDED, text),), ADDED)
    table = Table("hosts", "Hosts", (text,), (Row(((text,), (text,)), ADDED, "host-1", "picture-1"),))
    return Document(text, (text,), (picture,), (table,), True)
