"""Pictures as SVG: a file of its own, or a part of a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from kvmnet.core.base.problem import printable
from kvmnet.core.graph.layout import (
    HEADER,
    KIND_SIZE,
    LINE_HEIGHT,
    LINE_SIZE,
    PADDING,
    TITLE_SIZE,
    Layout,
    PlacedBox,
    PlacedConnection,
    lay_out,
)
from kvmnet.core.graph.model import ADDED, EVENT_TEXTS, Document
from kvmnet.core.graph.palette import LIGHT, Palette
from kvmnet.core.graph.text_width import measure, shorten

FONTS = "'Liberation Sans', Arial, Helvetica, 'DejaVu Sans', sans-serif"
_HEADING, _SUMMARY = 19.0, 13.0
_MARGIN, _GAP = 24, 20


def quote(text: str) -> str:
    """Return a text for XML and HTML, also inside of an attribute. Control characters are shown as escapes."""
    return escape(printable(text))


def picture_style(palette: Palette) -> str:
    """Return the style sheet of pictures."""
    rules = [
        f".picture text {{ font-family: {FONTS}; fill: {palette.text}; white-space: pre; }}",
        f".picture .title {{ font-size: {TITLE_SIZE:g}px; font-weight: bold; }}",
        f".picture .kind {{ font-size: {KIND_SIZE:g}px; }}",
        f".picture .line {{ font-size: {LINE_SIZE:g}px; fill: {palette.faint}; }}",
        f".picture .card {{ fill: {palette.card}; stroke: {palette.border}; }}",
        f".picture .connection {{ fill: none; stroke: {palette.connection}; stroke-width: 1.5; }}",
        f".picture .sign {{ font-size: {LINE_SIZE:g}px; font-weight: bold; }}",
        ".picture .on-demand .card, .picture .weak { stroke-dasharray: 3 3; }",
    ]
    for kind, colour in palette.kinds.items():
        rules.append(
            f".picture .k-{_class_name(kind)} .bar, .picture .k-{_class_name(kind)} .kind {{ fill: {colour}; }}"
        )
    for event, colour in palette.events.items():
        rules += [
            f".picture .e-{event} .card {{ fill: {palette.tints[event]}; stroke: {colour}; stroke-width: 2; }}",
            f".picture .e-{event} .kind, .picture .line.e-{event}, .picture .sign.e-{event} {{ fill: {colour}; }}",
            f".picture .connection.e-{event} {{ stroke: {colour}; stroke-width: 2.5; }}",
        ]
    rules += [
        ".picture .e-removed .card, .picture .connection.e-removed { stroke-dasharray: 7 4; }",
        ".picture .e-removed .title { text-decoration: line-through; }",
    ]
    return "\n".join(rules) + "\n"


def _class_name(kind: str) -> str:
    return "".join(filter(str.isalnum, kind.lower()))


def picture_elements(layout: Layout) -> list[str]:
    """Return the elements of a picture, a line each."""
    identity = layout.picture.identity
    keys = {placed.box.key: f"{identity}-{number}" for number, placed in enumerate(layout.boxes, 1)}
    lines = [_connection_element(placed, keys) for placed in layout.connections]
    lines += [_box_element(placed, keys[placed.box.key]) for placed in layout.boxes]
    signs = {
        (placed.points[-1], placed.connection.event): None for placed in layout.connections if placed.connection.event
    }
    return lines + [_sign_element(x, y, event) for (x, y), event in signs]


def _connection_element(placed: PlacedConnection, keys: dict[str, str]) -> str:
    connection, points = placed.connection, placed.points
    path = f"M{points[0][0]} {points[0][1]}"
    for (x, y), (next_x, next_y) in zip(points, points[1:]):
        middle = (x + next_x) // 2
        path += f"H{next_x}" if y == next_y else f"C{middle} {y} {middle} {next_y} {next_x} {next_y}"
    names = ["connection", *(["weak"] if connection.is_weak else [])]
    names += [f"e-{connection.event}"] if connection.event else []
    ends = f'data-from="{keys[connection.start]}" data-to="{keys[connection.end]}"'
    return f'<path class="{" ".join(names)}" {ends} d="{path}"/>'


def _sign_element(x: int, y: int, event: str) -> str:
    """Return the sign of a connection that comes (above its end) or goes (below it)."""
    sign = EVENT_TEXTS[event].split()[0]
    return f'<text class="sign e-{event}" x="{x - 13}" y="{y - 5 if event == ADDED else y + 12}">{sign}</text>'


def _box_element(placed: PlacedBox, identity: str) -> str:
    box, x, y, width = placed.box, placed.x, placed.y, placed.width
    names = ["box", f"k-{_class_name(box.kind)}"]
    names += [f"e-{box.event}"] if box.event else []
    names += ["on-demand"] if box.is_on_demand else []
    baseline = y + HEADER // 2 + 5
    parts = [
        f'<g class="{" ".join(names)}" id="{identity}" role="img" aria-label="{quote(box.label)}">',
        f"<title>{quote(box.label)}</title>",
        f'<rect class="card" x="{x}" y="{y}" width="{width}" height="{placed.height}" rx="6"/>',
        f'<rect class="bar" x="{x}" y="{y}" width="5" height="{placed.height}" rx="2"/>',
        f'<text class="title" x="{x + PADDING}" y="{baseline}">{quote(placed.title)}</text>',
        f'<text class="kind" x="{x + width - PADDING}" y="{baseline}" text-anchor="end">{quote(placed.kind)}</text>',
    ]
    for number, (line, text) in enumerate(zip(box.lines, placed.lines)):
        event = f" e-{line.event}" if line.event else ""
        line_y = y + HEADER + LINE_HEIGHT * number + 12
        parts.append(f'<text class="line{event}" x="{x + PADDING}" y="{line_y}">{quote(text)}</text>')
    element = "".join([*parts, "</g>"])
    return f'<a href="#{quote(box.link)}">{element}</a>' if box.link else element


def svg_of_layout(layout: Layout) -> str:
    """Return a picture as an element of a page. Its title is that of the page's section."""
    identity = layout.picture.identity
    size = f'width="{layout.width}" height="{layout.height}" viewBox="0 0 {layout.width} {layout.height}"'
    names = f'role="group" aria-labelledby="{identity}-title" aria-describedby="{identity}-description"'
    first = f'<svg class="picture" xmlns="http://www.w3.org/2000/svg" {size} {names}>'
    return "\n".join([first, *picture_elements(layout), "</svg>"])


def format_svg(document: Document) -> str:
    """Return a document as an SVG file: its pictures one below the other."""
    layouts = [lay_out(picture) for picture in document.pictures]
    summary = [*document.summary, *([_legend()] if document.is_comparison else [])]
    texts = [measure(document.title, _HEADING, True), *(measure(text, _SUMMARY) for text in summary)]
    texts += [min(900.0, measure(layout.picture.title, _HEADING, True)) for layout in layouts]
    texts += [measure(text, _SUMMARY) for layout in layouts for text in _visible_texts(layout)]
    width = round(max([400, *texts, *(float(layout.width) for layout in layouts)])) + 2 * _MARGIN
    body, y = _heading(document.title, summary, _MARGIN, width)
    for layout in layouts:
        lines, y = _heading(_picture_title(layout), _visible_texts(layout), y + _GAP, width)
        inner = "\n".join(picture_elements(layout))
        identity = layout.picture.identity
        attributes = f'id="{identity}" role="group" aria-label="{quote(_picture_title(layout))}"'
        description = f"<desc>{quote(layout.picture.description)}</desc>"
        body += [*lines, f'<g {attributes} transform="translate({_MARGIN - 16} {y})">', description, inner, "</g>"]
        y += layout.height
    return _wrap(document, body, width, y + _MARGIN)


def _visible_texts(layout: Layout) -> list[str]:
    """Return the texts below the title of a picture: what the overview shows. Those of hosts may be long."""
    return [layout.picture.description] if layout.picture.identity == "overview" else []


def _picture_title(layout: Layout) -> str:
    event = layout.picture.event
    return layout.picture.title + (f" ({event})" if event else "")


def _legend() -> str:
    return "Changes are marked: + added, - removed (dashed), ± changed."


def _heading(title: str, summary: Sequence[str], y: int, width: int) -> tuple[list[str], int]:
    """Return the elements of a heading with a text below it, and where what follows begins."""
    text = shorten(printable(title), _HEADING, width - 2 * _MARGIN, True)
    y += round(_HEADING)
    lines = [f'<text class="heading" x="{_MARGIN}" y="{y}">{quote(text)}</text>']
    for line in summary:
        y += 21
        lines.append(f'<text class="summary" x="{_MARGIN}" y="{y}">{quote(line)}</text>')
    return lines, y + 6


def _wrap(document: Document, body: Sequence[str], width: int, height: int) -> str:
    style = picture_style(LIGHT) + (
        f".picture .heading {{ font-size: {_HEADING:g}px; font-weight: bold; }}\n"
        f".picture .summary {{ font-size: {_SUMMARY:g}px; fill: {LIGHT.faint}; }}\n"
    )
    title = quote(document.title)
    description = quote(" ".join([*document.summary, *(f"{p.title}: {p.description}" for p in document.pictures)]))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    names = 'role="group" aria-labelledby="title description" lang="en"'
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg class="picture" xmlns="http://www.w3.org/2000/svg" {size} {names}>',
            f'<title id="title">{title}</title>',
            f'<desc id="description">{description}</desc>',
            f"<style>\n{style}</style>",
            f'<rect width="{width}" height="{height}" fill="{LIGHT.page}"/>',
            *body,
            "</svg>\n",
        ]
    )
