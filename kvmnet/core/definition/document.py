"""Reads YAML text into a tree that keeps the place of every key and value.

Scalars stay text here: the schema decides their types (core/definition/schema). The tree is built from the events of
the parser with an explicit stack and with limits. So a file that is nested a million levels deep, an alias that
contains itself, or aliases that expand to gigabytes result in one problem at its place, after bounded work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional, Union

from kvmnet.core.base.problem import Mark, Problem, Related, quoted

#: Maximum nesting depth. A definition is about 7 levels deep.
MAX_DEPTH = 40
#: Maximum number of values after aliases are expanded: a constant, plus a factor for each value in the file.
MAX_UNFOLDED, MAX_FACTOR = 100_000, 20
#: Maximum number of keys and values, of one file and of all files together. Ten thousand hosts with ten VLANs each,
#: without groups, need half of it.
MAX_VALUES = 1_500_000
#: Up to this size (characters), a file that is not YAML is parsed again with PyYAML's Python parser, so that the
#: message does not depend on the parser that is installed. For larger files this would be slow (60 kB take 2 s).
_MAX_REPARSED_SIZE = 30_000

#: Characters that are not printable in YAML 1.1 (section 5.1). Surrogates cannot come from a file, only from a caller.
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")

Value = Union[str, int, bool, None]


class Source(NamedTuple):
    """The name of a file, as printed in problems, and its text."""

    name: str
    text: str


class Leaf:
    """A scalar. `plain`: written without quotes, so that it may be a number or boolean if the schema allows it."""

    __slots__ = ("mark", "plain", "value")

    def __init__(self, value: Value, plain: bool, mark: Mark) -> None:
        self.value, self.plain, self.mark = value, plain, mark


class Map:
    """A mapping in the order of the file. Each key has its own place.

    `refused`: the keys that are in the file but were removed because the schema rejects them. They are not missing.
    """

    __slots__ = ("entries", "mark", "refused", "size")

    def __init__(self, mark: Mark, entries: Optional[dict[str, Entry]] = None) -> None:
        self.mark = mark
        self.entries: dict[str, Entry] = {} if entries is None else entries
        self.refused: tuple[str, ...] = ()
        self.size = 1

    def has(self, key: str) -> bool:
        """Whether the file has this key here, valid or not."""
        return key in self.entries or key in self.refused

    def get(self, key: str) -> Optional[Node]:
        """Return the value of a key, or None."""
        entry = self.entries.get(key)
        return None if entry is None else entry.node


class Seq:
    """A list. `has_refused`: whether items are in the file that were removed because the schema rejects them."""

    __slots__ = ("has_refused", "items", "mark", "size")

    def __init__(self, mark: Mark, items: Optional[list[Node]] = None) -> None:
        self.mark = mark
        self.items: list[Node] = [] if items is None else items
        self.has_refused = False
        self.size = 1


Node = Union[Leaf, Map, Seq]


class Entry(NamedTuple):
    """The place of a key, and its value."""

    mark: Mark
    node: Node


class _Stop(Exception):
    """The file cannot be read further; `problem` is the reason."""

    def __init__(
        self, code: str, message: str, mark: Mark, hint: Optional[str] = None, related: tuple[Related, ...] = ()
    ) -> None:
        super().__init__(message)
        self.problem = Problem(code, message, mark, hint=hint, related=related)


class _NotYaml(_Stop):
    """The parser reports a syntax error."""


def decode(name: str, data: bytes) -> Union[Source, Problem]:
    """Return the bytes of a file as a Source, or a problem if they are not UTF-8 text."""
    try:
        return Source(name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        mark = _mark_at(name, before, len(before))
        return Problem("KVN002", f"not UTF-8 text: invalid byte 0x{data[error.start]:02x}", mark)


def _mark_at(name: str, text: str, index: int) -> Mark:
    """Return the place of the character at an index of a file's text."""
    last = text.rfind("\n", 0, index)
    return Mark(name, text.count("\n", 0, index) + 1, index - last)


def parse(source: Source, pure: bool = False) -> tuple[Optional[Map], list[Problem]]:
    """Read one file. Returns its tree (None if it is empty or unreadable) and its problems.

    `pure` forces PyYAML's Python parser. It gives the same tree as the C parser but is several times slower.
    """
    invalid = _NOT_TEXT.search(source.text)
    if invalid:
        mark = _mark_at(source.name, source.text, invalid.start())
        return None, [Problem("KVN002", f"not a text file: invalid character U+{ord(invalid[0]):04X}", mark)]
    builder = _Builder(source.name)
    try:
        builder.read(_events(source, pure))
        return builder.top(), builder.problems
    except _NotYaml as stop:
        if not pure and len(source.text) <= _MAX_REPARSED_SIZE:
            tree, problems = parse(source, True)  # the same message with either parser
            if tree is None and problems:
                return None, problems
        return None, [*builder.problems, stop.problem]
    except _Stop as stop:
        return None, [*builder.problems, stop.problem]


def _events(source: Source, pure: bool) -> Iterator[Any]:
    """Yield the events of the YAML parser. Raises _NotYaml on a syntax error."""
    import yaml

    fast = None if pure else getattr(yaml, "CSafeLoader", None)
    loader: Any = (fast or yaml.SafeLoader)(source.text)
    try:
        while True:
            event = loader.get_event()
            if event is None:
                return
            yield event
    except yaml.YAMLError as error:
        raise _not_yaml(source.name, error) from None
    finally:
        loader.dispose()


def _not_yaml(name: str, error: Any) -> _NotYaml:
    """Return the exception for a syntax error of the YAML parser."""
    place = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    mark = Mark(name, place.line + 1, place.column + 1) if place else Mark(name, 1, 1)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    hint = None
    if "\\t" in reason or "'\t'" in reason:
        hint = "indent with spaces, not with tabs"
    elif "found ':'" in reason:
        hint = 'write an IPv6 address that begins with a colon in quotes: "::/0"'
    begin = getattr(error, "context_mark", None)
    related: tuple[Related, ...] = ()
    if begin is not None and (begin.line, begin.column) != (mark.line - 1, mark.column - 1):
        context = getattr(error, "context", None) or "in the element that starts here"
        related = (Related(Mark(name, begin.line + 1, begin.column + 1), str(context)),)
    return _NotYaml("KVN002", f"not valid YAML: {reason}", mark, hint, related)


class _Frame:
    """A mapping or list that is not complete yet."""

    __slots__ = ("anchor", "key", "merges", "node", "size")

    def __init__(self, node: Union[Map, Seq], anchor: Optional[str]) -> None:
        self.node, self.anchor = node, anchor
        self.key: Optional[tuple[str, Mark, bool]] = None  # text, place, whether it is the merge key
        self.merges: list[tuple[Mark, Node]] = []
        self.size = 1


class _Builder:
    """Builds a tree from parser events, with limits on its depth and size."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, Optional[Node]] = {}  # None: not complete yet
        self.root: Optional[Node] = None
        self.written = 0

    def read(self, events: Iterator[Any]) -> None:
        """Build the tree. Raises _Stop where the file cannot be read further."""
        import yaml

        scalar, alias = yaml.ScalarEvent, yaml.AliasEvent
        map_start, map_end = yaml.MappingStartEvent, yaml.MappingEndEvent
        seq_start, seq_end = yaml.SequenceStartEvent, yaml.SequenceEndEvent
        documents = 0
        for event in events:
            kind = type(event)
            if kind is scalar:
                plain = event.implicit[0] and not event.style
                self._check_tag(event, plain)
                self._add(Leaf(event.value, plain, self._mark(event)), event.anchor)
            elif kind is map_start:
                self._open(Map(self._mark(event)), event)
            elif kind is seq_start:
                self._open(Seq(self._mark(event)), event)
            elif kind is map_end or kind is seq_end:
                self._close()
            elif kind is alias:
                self._add(self._alias(event), None)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    message = "a second YAML document starts here, but a file can contain only one"
                    raise _Stop("KVN002", message, self._mark(event))

    def top(self) -> Optional[Map]:
        """Return the tree, or None for a file without content. Raises _Stop if it is not a mapping."""
        if self.root is None or (isinstance(self.root, Leaf) and self.root.plain and self.root.value == ""):
            return None
        if not isinstance(self.root, Map):
            raise _Stop("KVN012", "the top level of the file must be a mapping", self.root.mark)
        return self.root

    def _mark(self, event: Any) -> Mark:
        place = event.start_mark
        return Mark(self.name, place.line + 1, place.column + 1)

    def _check_tag(self, event: Any, plain: bool) -> None:
        """Raise _Stop for a tag other than that of a string."""
        if not plain and event.tag not in _STRING_TAGS:
            raise _Stop(
                "KVN002",
                f"the YAML tag {quoted(event.tag)} is not supported",
                self._mark(event),
                "remove the tag: the schema determines the type",
            )

    def _open(self, node: Union[Map, Seq], event: Any) -> None:
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._check_tag(event, False)
        if len(self.stack) >= MAX_DEPTH:
            raise _Stop("KVN004", f"nested deeper than {MAX_DEPTH} levels", node.mark)
        if self.stack and isinstance(self.stack[-1].node, Map) and self.stack[-1].key is None:
            raise _Stop("KVN002", "a key must be a string, not a list or a mapping", node.mark)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.stack.append(_Frame(node, event.anchor))

    def _close(self) -> None:
        frame = self.stack.pop()
        if isinstance(frame.node, Map):
            for mark, node in frame.merges:
                self._merge(frame.node, mark, node)
        frame.node.size = frame.size
        self._add(frame.node, frame.anchor)

    def _alias(self, event: Any) -> Node:
        mark = self._mark(event)
        if event.anchor not in self.anchors:
            raise _Stop("KVN002", f"alias *{event.anchor}: no anchor &{event.anchor} before it", mark)
        node = self.anchors[event.anchor]
        if node is None:
            raise _Stop("KVN004", f"alias *{event.anchor} is inside the value that it refers to", mark)
        return node

    def _add(self, node: Node, anchor: Optional[str]) -> None:
        if anchor:
            self.anchors[anchor] = node
        self.written += 1
        size = 1 if isinstance(node, Leaf) else node.size
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        frame.size += size
        if frame.size > MAX_VALUES or self.written > MAX_VALUES:
            raise _Stop("KVN004", f"more than {MAX_VALUES:,} keys and values", frame.node.mark)
        if frame.size > MAX_UNFOLDED + MAX_FACTOR * self.written:
            raise _Stop("KVN004", "aliases expand to too many values", frame.node.mark)
        if isinstance(frame.node, Seq):
            frame.node.items.append(node)
        elif frame.key is None:
            self._add_key(frame, node)
        else:
            self._add_value(frame, frame.node, node)

    def _add_key(self, frame: _Frame, node: Node) -> None:
        if not isinstance(node, Leaf):
            raise _Stop("KVN002", "a key must be a string, not a list or a mapping", node.mark)
        frame.key = (str(node.value), node.mark, node.plain and node.value == "<<")

    def _add_value(self, frame: _Frame, into: Map, node: Node) -> None:
        assert frame.key is not None
        (key, mark, merge), frame.key = frame.key, None
        if isinstance(node, Leaf) and node.plain and node.value == "":
            node = Leaf("", True, mark)  # an empty value has no place of its own: use that of the key
        if merge:
            frame.merges.append((mark, node))
        elif key in into.entries:
            first = Related(into.entries[key].mark, "first defined here")
            self.problems.append(Problem("KVN003", f"duplicate key {quoted(key)}", mark, related=(first,)))
        else:
            into.entries[key] = Entry(mark, node)

    def _merge(self, into: Map, mark: Mark, node: Node) -> None:
        """Apply a merge key (`<<`): keys of the mapping itself take precedence, then those of the earlier source."""
        for source in node.items if isinstance(node, Seq) else [node]:
            if not isinstance(source, Map):
                raise _Stop("KVN002", "<< needs a mapping or a list of mappings", mark)
            for key, entry in source.entries.items():
                into.entries.setdefault(key, entry)


def merge(maps: Sequence[Map]) -> tuple[Map, list[Problem]]:
    """Merge the trees of several files. Mappings are combined; any other value in two files is a problem."""
    problems: list[Problem] = []
    result = maps[0]
    for other in maps[1:]:
        result = _join(result, other, "", problems)
    return result, problems


def _join(left: Map, right: Map, path: str, problems: list[Problem]) -> Map:
    entries = dict(left.entries)
    for key, entry in right.entries.items():
        key_path = f"{path}.{key}" if path else key
        present = entries.get(key)
        if present is None:
            entries[key] = entry
        elif isinstance(present.node, Map) and isinstance(entry.node, Map):
            entries[key] = Entry(present.mark, _join(present.node, entry.node, key_path, problems))
        else:
            first = Related(present.mark, "first defined here")
            problems.append(Problem("KVN005", f"{key_path} is defined in two files", entry.mark, related=(first,)))
    return Map(left.mark, entries)


def overlay(base: Optional[Map], top: Optional[Map]) -> Optional[Map]:
    """Return `base` with `top` merged into it, as a host overrides its group. For other values, that of `top` wins."""
    if base is None or top is None:
        return top if base is None else base
    entries = dict(base.entries)
    for key, entry in top.entries.items():
        below = entries.get(key)
        if below is not None and isinstance(below.node, Map) and isinstance(entry.node, Map):
            merged = overlay(below.node, entry.node)
            assert merged is not None
            entries[key] = Entry(entry.mark, merged)
        else:
            entries[key] = entry
    result = Map(top.mark, entries)
    result.refused = base.refused + top.refused
    return result
