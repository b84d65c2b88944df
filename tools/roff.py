"""Writes manual pages: text and a part of Markdown to the macros of man(7), as groff and mandoc read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

#: Markdown inside a line: code, bold text, links, and plain text between them.
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^]]+)\]\([^)]*\)|<(https?://[^>]+)>")
_LIST_ITEM = re.compile(r"(?:[-*]|[0-9]+\.) +(.*)")


def escape(text: str) -> str:
    """Return a text for a line of roff: backslashes, quotes and hyphens that must stay what they are."""
    text = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq").replace("^", "\\(ha")
    )
    text = text.replace("~", "\\(ti").replace('"', "\\(dq")
    return "".join(c if ord(c) < 128 else f"\\[u{ord(c):04X}]" for c in text)


def inline(text: str) -> str:
    """Return a line of Markdown as roff: code and bold text are bold, a link is its text."""
    parts, end = [], 0
    for match in _INLINE.finditer(text):
        parts.append(escape(text[end : match.start()]))
        bold = match[1] or match[2]
        parts.append(f"\\fB{escape(bold)}\\fR" if bold else inline(match[3]) if match[3] else escape(match[4]))
        end = match.end()
    return "".join([*parts, escape(text[end:])])


def line(text: str) -> str:
    """Return a line of text that roff does not take for a request."""
    text = " ".join(text.split())
    return f"\\&{text}" if text[:1] in (".", "'") else text


def title(name: str, section: int, date: str, source: str, manual: str) -> list[str]:
    """Return the beginning of a page. `date` is YYYY-MM-DD."""
    return [f'.TH "{escape(name.upper())}" "{section}" "{date}" "{escape(source)}" "{escape(manual)}"', ".nh", ".ad l"]


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f".SH {escape(text.upper())}"


def subheading(text: str) -> str:
    """Return the heading of a part of a section."""
    return f".SS {inline(text)}"


def paragraph(text: str) -> list[str]:
    """Return a paragraph of Markdown."""
    return [".PP", line(inline(text))]


def term(name: str, text: str) -> list[str]:
    """Return an entry of a list of terms: `name` is roff, `text` is Markdown."""
    return [".TP", line(name), line(inline(text))]


def literal(lines: Iterable[str]) -> list[str]:
    """Return lines that are shown as they are."""
    return [".PP", ".nf", ".RS 4", *(line_of or "\\&" for line_of in map(_literal_line, lines)), ".RE", ".fi"]


def _literal_line(text: str) -> str:
    escaped = escape(text)
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def markdown(text: str) -> Iterator[str]:
    """Yield a page of Markdown as roff: headings, paragraphs, lists, tables and code.

    The title of the page and comments are left out. A row of a table becomes a term: its first cell, and the others
    below it, each after the name of its column.
    """
    lines = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).splitlines()
    while lines:
        if not lines[0].strip() or lines[0].startswith("# "):
            lines.pop(0)
        elif lines[0].startswith("#"):
            level, _, name = lines.pop(0).partition(" ")
            yield heading(name) if level == "##" else subheading(name)
        elif lines[0].startswith("```"):
            lines.pop(0)
            yield from literal(_take(lines, lambda text: not text.startswith("```")))
            if lines:
                lines.pop(0)
        elif lines[0].startswith("|"):
            yield from _table(_take(lines, lambda text: text.startswith("|")))
        elif _LIST_ITEM.match(lines[0].strip()):
            yield from _list(_take(lines, lambda text: bool(text.strip()) and not text.startswith(("#", "|"))))
        else:
            block = _take(lines, lambda text: bool(text.strip()) and not text.startswith(("#", "|", "```", "- ")))
            yield from paragraph(" ".join(block))


def _take(lines: list[str], belongs: Callable[[str], bool]) -> list[str]:
    """Remove the first lines that belong together, and return them."""
    taken = []
    while lines and belongs(lines[0]):
        taken.append(lines.pop(0))
    return taken


def _list(lines: Sequence[str]) -> Iterator[str]:
    items: list[str] = []
    for text in lines:
        match = _LIST_ITEM.match(text.strip())
        if match:
            items.append(match[1])
        else:
            items[-1] += " " + text.strip()
    for item in items:
        yield from (".IP \\(bu 2", line(inline(item)))  # codespell:ignore bu


def _table(lines: Sequence[str]) -> Iterator[str]:
    rows = [[cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", text)[1:-1]] for text in lines]
    columns, rows = rows[0], rows[2:]
    for row in rows:
        yield from (".TP", line(inline(row[0])) or "\\&")
        cells = [(name, cell) for name, cell in zip(columns[1:], row[1:]) if cell]
        for number, (name, cell) in enumerate(cells):
            label = f"\\fI{escape(name)}\\fR: " if len(columns) > 2 else ""
            yield from ([".br"] if number else [])
            yield line(label + inline(cell))
