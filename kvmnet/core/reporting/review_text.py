"""A review as text for a terminal, and as Markdown for a comment in a pull or merge request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvmnet.core.base.problem import printable
from kvmnet.core.effects.impact import DISCONNECTED, INTERRUPTED
from kvmnet.core.reporting.review_lines import NAMED, Entry, count, fold_hosts, list_names
from kvmnet.core.review.host_review import CHANGED, NEW, REMOVED
from kvmnet.core.review.review import GuestChange, Review

#: The characters that a comment on GitHub may have. GitLab permits more.
COMMENT_LIMIT = 65_536
#: The first line of the Markdown: a pipeline finds its comment by it, and updates it.
MARKER = "<!-- kvmnet diff -->"
#: The characters for what was cut, and the hosts that it names.
_CUT_ROOM, _CUT_NAMES = 700, 10
#: How many hosts with the same change a comment lists.
_LISTED = 200


@dataclass(frozen=True)
class _Block:
    """A part of the text, whole and in a line, with the hosts that it is about."""

    full: str
    short: str
    names: Sequence[str]


def format_review(review: Review, limit: int = 0) -> str:
    """Return a review as text of at most `limit` characters; 0: of any length."""
    blocks = [_text_block(entry) for entry in fold_hosts(review.hosts)]
    if review.guests:
        lines = ["guests in the definition:", *(f"  {line}" for line in _guest_changes(review.guests))]
        blocks.append(
            _Block(_join(lines), f"guests in the definition: {count(len(review.guests), 'difference')}\n", ())
        )
    return _fit(_join(_summary(review)), [_Block("\n" + b.full, b.short, b.names) for b in blocks], "", limit)


def format_review_markdown(review: Review, limit: int = COMMENT_LIMIT) -> str:
    """Return a review as Markdown of at most `limit` characters; 0: of any length."""
    title, *rest = _summary(review)
    head = [MARKER, f"### {_escape(title)}", *(f"- {_escape(line)}" for line in rest), ""]
    blocks = [_markdown_block(entry) for entry in fold_hosts(review.hosts)]
    if review.guests:
        summary = f"guests in the definition: {count(len(review.guests), 'difference')}"
        blocks.append(_details(summary, list(_guest_changes(review.guests)), ()))
    return _fit(_join(head), blocks, "- ", limit)


def _join(lines: Sequence[str]) -> str:
    return "".join(printable(line) + "\n" for line in lines)


def _summary(review: Review) -> list[str]:
    """Return the totals, a line each."""
    if review.is_empty:
        return [f"no difference in {count(review.total, 'host')}"]
    changed, new, removed = (review.count(event) for event in (CHANGED, NEW, REMOVED))
    parts = [f"{changed:,} of {count(review.total, 'host')} {'changes' if changed == 1 else 'change'}"]
    parts += [f"{new:,} new"] if new else []
    parts += [f"{removed:,} removed"] if removed else []
    lines = [", ".join(parts)]
    if lost := review.lost_hosts:
        lines.append(f"management address on no interface afterwards: {list_names(lost)}")
    if refused := [host.host for host in review.hosts if host.refusals]:
        lines.append(f"apply will refuse: {list_names(refused)}")
    if away := review.interrupted_hosts:
        seconds = max(host.seconds_away for host in away)
        lines.append(f"without network for at most {seconds:g} s each: {list_names([host.host for host in away])}")
    if routed := [host.host for host in review.hosts if host.default_route_interfaces]:
        lines.append(f"the interface with the default route is affected: {list_names(routed)}")
    if renamed := [host.host for host in review.hosts if host.renamed_nics]:
        lines.append(f"NICs are renamed: {list_names(renamed)}")
    guests = [f"{n:,} {how}" for how in (DISCONNECTED, INTERRUPTED) if (n := review.count_guests(how))]
    if guests:
        lines.append(f"guests of the definition, if all are running: {', '.join(guests)}")
    for how in (DISCONNECTED, INTERRUPTED):
        if others := review.hosts_with_other_guests(how):
            lines.append(f"other guests would be {how}: {list_names(others)}")
    return lines


def _text_block(entry: Entry) -> _Block:
    flags = f" [{'; '.join(entry.flags)}]" if entry.flags else ""
    changes = len(entry.hosts[0].changes)
    number = f": {count(changes, 'change')}" if changes else ""
    more = f"{len(entry.hosts):,} hosts: " if len(entry.hosts) > 1 else ""
    short = f"{more}{list_names(entry.names)}{number}{flags}"
    full = f"{more}{', '.join(entry.names)}{number}{flags}"
    return _Block(_join([full, *entry.lines]), _join([short]), entry.names)


def _markdown_block(entry: Entry) -> _Block:
    changes = len(entry.hosts[0].changes)
    number = f": {count(changes, 'change')}" if changes else ""
    more = f"{len(entry.hosts):,} hosts: " if len(entry.hosts) > 1 else ""
    flags = f" ({'; '.join(entry.flags)})" if entry.flags else ""
    names = [f"hosts: {list_names(entry.names, _LISTED)}"] if len(entry.names) > NAMED else []
    return _details(f"{more}{list_names(entry.names)}{number}{flags}", [*names, *entry.lines], entry.names)


def _details(summary: str, lines: Sequence[str], names: Sequence[str]) -> _Block:
    """Return a part that the reader opens: a line of HTML, and a code block, in which no text is Markdown."""
    text = _join(lines)
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    full = f"<details><summary>{_escape(summary)}</summary>\n\n{fence}text\n{text}{fence}\n</details>\n\n"
    return _Block(full, f"- {_escape(summary)}\n", names)


def _escape(text: str) -> str:
    """Return a line in which no character is Markdown or HTML: names come from the definition."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]#|~@])", r"\\\1", text)


def _guest_changes(changes: Sequence[GuestChange]) -> Iterator[str]:
    for change in changes:
        details = f": {'; '.join(change.details)}" if change.details else ""
        yield f"guest {change.name} {change.event}{details}"


def _fit(head: str, blocks: Sequence[_Block], bullet: str, limit: int) -> str:
    """Return head and blocks in at most `limit` characters: every block in a line, then as many as possible whole, the
    first ones before the others. What is missing is named at the end."""
    if not limit or len(head) + sum(len(block.full) for block in blocks) <= limit:
        return head + "".join(block.full for block in blocks)
    room = limit - len(head) - _CUT_ROOM
    for_lines = room if sum(len(block.short) for block in blocks) <= room else room * 3 // 4
    listed = 0
    for block in blocks:
        if len(block.short) > for_lines:
            break
        for_lines -= len(block.short)
        room -= len(block.short)
        listed += 1
    texts, in_a_line = [], []
    for block in blocks[:listed]:
        if len(block.full) - len(block.short) <= room:
            room -= len(block.full) - len(block.short)
            texts.append(block.full)
        else:
            texts.append(block.short)
            in_a_line.append(block)
    notes = _cut_notes(limit, in_a_line, blocks[listed:])
    return (head + "".join(texts) + "\n" + _join([bullet + note for note in notes]))[:limit]


def _cut_notes(limit: int, in_a_line: Sequence[_Block], missing: Sequence[_Block]) -> Iterator[str]:
    """Yield what was cut, with the first of its hosts."""
    for blocks, what in ((in_a_line, "without details"), (missing, "left out")):
        names = [name for block in blocks for name in block.names]
        if blocks:
            named = f": {list_names([name[:40] for name in names], _CUT_NAMES)}" if names else ""
            yield f"cut at {limit:,} characters: {count(len(names), 'host')} {what}{named}"
    yield "`kvmnet diff --limit 0` prints everything"
