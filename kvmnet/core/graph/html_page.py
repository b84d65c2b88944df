"""A document as one HTML file that needs nothing else: pictures, tables, and a search for those who have scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence

from kvmnet.core.graph.layout import lay_out
from kvmnet.core.graph.model import EVENT_TEXTS, Document, Picture, Row, Table
from kvmnet.core.graph.palette import DARK, LIGHT, Palette
from kvmnet.core.graph.search_script import SEARCH_SCRIPT
from kvmnet.core.graph.svg import FONTS, picture_style, quote, svg_of_layout

_STYLE = f"""\
* {{ box-sizing: border-box; }}
html {{ scroll-padding-top: 5rem; }}
body {{ margin: 0; font: 15px/1.5 {FONTS}; }}
header {{ position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; align-items: center;
  padding: .6rem 1.5rem; }}
main {{ padding: .8rem 1.5rem 3rem; }}
h1 {{ font-size: 1.25rem; margin: 0; }}
h2 {{ font-size: 1.1rem; margin: 2.2rem 0 .2rem; overflow-wrap: anywhere; }}
p {{ margin: .2rem 0 .6rem; max-width: 75ch; overflow-wrap: anywhere; }}
nav ul {{ columns: 20rem; padding-left: 1.2rem; margin: .5rem 0; }}
.scroll {{ overflow-x: auto; border-radius: 8px; border: 1px solid; }}
.scroll svg {{ display: block; }}
table {{ border-collapse: collapse; width: 100%; font-size: 14px; }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem .8rem; border-bottom: 1px solid;
  overflow-wrap: break-word; min-width: 7rem; }}
td > div {{ padding-left: 1rem; text-indent: -1rem; }}
tbody th {{ white-space: nowrap; }}
.event {{ font-weight: bold; }}
.search {{ position: relative; flex: 1 1 20rem; max-width: 34rem; }}
.search input {{ width: 100%; font: inherit; padding: .4rem .7rem; border: 1px solid; border-radius: 6px; }}
.search ul {{ position: absolute; left: 0; right: 0; margin: .2rem 0 0; padding: .3rem; list-style: none;
  max-height: 60vh; overflow-y: auto; border: 1px solid; border-radius: 6px; }}
.search li a {{ display: block; padding: .25rem .5rem; border-radius: 4px; text-decoration: none;
  overflow-wrap: anywhere; }}
.search .status {{ font-size: 13px; margin: .1rem 0 0; }}
:focus-visible {{ outline: 3px solid; outline-offset: 2px; }}
.picture .dim {{ opacity: .25; }}
.picture .near .card {{ stroke-width: 3; }}
.picture .connection.near {{ stroke-width: 3; }}
@media print {{ header {{ position: static; }} .search {{ display: none; }} .scroll {{ overflow: visible; }} }}
"""


def _page_colours(palette: Palette) -> str:
    rules = [
        f":root {{ color-scheme: {'light' if palette is LIGHT else 'dark'}; }}",
        f"body {{ background: {palette.page}; color: {palette.text}; }}",
        f"header {{ background: {palette.card}; border-bottom: 1px solid {palette.border}; }}",
        f"p, .search .status {{ color: {palette.faint}; }}",
        f"a {{ color: {palette.focus}; }}",
        f"table, .scroll, th, td {{ border-color: {palette.border}; }}",
        f".search input {{ background: {palette.card}; color: {palette.text}; border-color: {palette.connection}; }}",
        f".search ul {{ background: {palette.card}; border-color: {palette.connection}; }}",
        f".search li a:focus {{ background: {palette.focus}; color: {palette.page}; }}",
        f":focus-visible {{ outline-color: {palette.focus}; }}",
        f".picture .near .card, .picture .connection.near {{ stroke: {palette.focus}; }}",
        f"tr.hit {{ background: {palette.tints['changed']}; }}",
    ]
    rules += [f".event.e-{event} {{ color: {colour}; }}" for event, colour in palette.events.items()]
    return picture_style(palette) + "\n".join(rules) + "\n"


def format_html(document: Document) -> str:
    """Return a document as a page. Without scripts it lacks the search alone."""
    style = _STYLE + _page_colours(LIGHT) + f"@media (prefers-color-scheme: dark) {{\n{_page_colours(DARK)}}}\n"
    digest = base64.b64encode(hashlib.sha256(SEARCH_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{quote(document.title)}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        f'<header><h1>{quote(document.title)}</h1><div class="search" id="search"></div></header>',
        "<main>",
        *(f"<p>{quote(text)}</p>" for text in document.summary),
        *_contents(document),
        *(line for picture in document.pictures for line in _picture_section(picture)),
        *(line for table in document.tables for line in _table_section(table)),
        "</main>",
        f"<script>{SEARCH_SCRIPT}</script>",
        "</body>",
        "</html>\n",
    ]
    return "\n".join(lines)


def _event_mark(event: str) -> str:
    return f' <span class="event e-{event}">{EVENT_TEXTS[event]}</span>' if event else ""


def _contents(document: Document) -> Iterator[str]:
    yield '<nav aria-label="Contents"><ul>'
    for picture in document.pictures:
        yield f'<li><a href="#{picture.identity}">{quote(picture.title)}</a>{_event_mark(picture.event)}</li>'
    for table in document.tables:
        yield f'<li><a href="#{table.identity}">{quote(table.title)}</a> (table)</li>'
    yield "</ul></nav>"


def _picture_section(picture: Picture) -> Iterator[str]:
    identity = picture.identity
    yield f'<section id="{identity}" aria-labelledby="{identity}-title">'
    yield f'<h2 id="{identity}-title">{quote(picture.title)}{_event_mark(picture.event)}</h2>'
    yield f'<p id="{identity}-description">{quote(picture.description)}</p>'
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="Picture: {quote(picture.title)}">'
    yield svg_of_layout(lay_out(picture))
    yield "</div></section>"


def _table_section(table: Table) -> Iterator[str]:
    identity = table.identity
    yield f'<section id="{identity}" aria-labelledby="{identity}-title"><h2 id="{identity}-title">{table.title}</h2>'
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {table.title}"><table>'
    yield "<thead><tr>" + "".join(f'<th scope="col">{quote(c)}</th>' for c in table.columns) + "</tr></thead>"
    yield "<tbody>"
    yield from (_row(row, table.title) for row in table.rows)
    yield "</tbody></table></div></section>"


def _row(row: Row, title: str) -> str:
    first, *rest = row.cells
    name = quote(", ".join(first))
    link = f'<a href="#{row.link}">{name}</a>' if row.link else name
    cells = "".join(f"<td>{_cell(cell)}</td>" for cell in rest)
    identity = f' id="{row.identity}" tabindex="-1" data-find="{quote(title[:-1].lower())} {name}"'
    return f'<tr{identity}><th scope="row">{link}{_event_mark(row.event)}</th>{cells}</tr>'


def _cell(texts: Sequence[str]) -> str:
    return "".join(f"<div>{quote(text)}</div>" for text in texts)
