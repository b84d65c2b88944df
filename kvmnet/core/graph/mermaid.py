"""Pictures as a Mermaid flowchart, for pages that render Mermaid themselves (GitHub, GitLab, wikis)."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import printable
from kvmnet.core.graph.layout import line_text
from kvmnet.core.graph.model import ADDED, EVENT_TEXTS, Box, Document, Picture
from kvmnet.core.graph.palette import LIGHT

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:/-+()=")
_SHAPES = {"guest": '("{}")', "guests": '("{}")', "network": '[["{}"]]'}


def quote(text: str) -> str:
    """Return a text for a label between quotation marks. All that could end the label or be markup is a number."""
    return "".join(c if c in _PLAIN else f"#{ord(c)};" for c in printable(text))


def format_mermaid(document: Document) -> str:
    """Return a document as a Mermaid flowchart with a subgraph for each picture."""
    lines = ["flowchart LR", f"accTitle: {_plain(document.title)}", f"accDescr: {_plain(' '.join(document.summary))}"]
    for number, picture in enumerate(document.pictures, 1):
        lines += _format_picture(picture, f"p{number}")
    lines += [
        f"classDef {event} fill:{LIGHT.tints[event]},stroke:{colour},color:{LIGHT.text},stroke-width:2px"
        + (",stroke-dasharray:7 4" if event == "removed" else "")
        for event, colour in LIGHT.events.items()
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Return a text for a line of its own, which has no quotation marks: without what may be markup."""
    return "".join(c for c in printable(text) if c in _PLAIN)


def _format_picture(picture: Picture, prefix: str) -> Iterator[str]:
    event = f" ({picture.event})" if picture.event else ""
    yield f'subgraph {prefix} ["{quote(picture.title + event)}"]'
    yield "  direction LR"
    names = {box.key: f"{prefix}n{number}" for number, box in enumerate(picture.boxes, 1)}
    for box in picture.boxes:
        shape = _SHAPES.get(box.kind, '["{}"]').replace("{}", _label(box))
        yield f"  {names[box.key]}{shape}" + (f":::{box.event}" if box.event else "")
    for connection in picture.connections:
        if connection.start in names and connection.end in names:
            arrow = "-.-" if connection.is_weak or connection.event == "removed" else "---"
            arrow = "===" if connection.event == ADDED else arrow
            label = f'|"{quote(EVENT_TEXTS[connection.event])}"|' if connection.event else ""
            yield f"  {names[connection.start]} {arrow}{label} {names[connection.end]}"
    yield "end"


def _label(box: Box) -> str:
    event = f" ({box.event})" if box.event else ""
    first = f"{quote(box.title)}<br/>{quote(box.kind + event)}"
    return "<br/>".join([first, *(quote(line_text(line.text, line.event)) for line in box.lines)])
