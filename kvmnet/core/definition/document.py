"""YAML text to a tree that knows the place of every key and value.

Scalars stay text here: what a text means is the schema's to say (kvmnet.core.schema). The tree is built
from the parser's events with a stack of our own, so a file nested a million deep, an alias that holds
itself or one that would unfold to gigabytes ends in one problem, at its place, after bounded work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional, Union

from kvmnet.core.base.problem import Mark, Problem, Related, quoted

#: Depth of a definition is about 7; nothing that a person writes comes near this.
MAX_DEPTH = 40
#: Values after aliases are unfolded: this many, and this many for each value that is written out.
MAX_UNFOLDED, MAX_FACTOR = 100_000, 20
#: Keys and values of one file and of all together. Ten thousand hosts, each with ten VLANs written out, are half of it.
MAX_VALUES = 1_500_000
#: The pure parser explains refusals in the same words everywhere; on files above this it would be slow.
_EXPLAINED_SIZE = 1_000_000

#: YAML 1.1, section 5.1: the printable characters. Surrogates cannot come from a file, only from a caller.
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")

Value = Union[str, int, bool, None]


class Source(NamedTuple):
    """A file's name, as problems print it, and its text."""

    name: str
    text: str


class Leaf:
    """A scalar. `plain`: written without quotes, so the schema may read it as a number or a switch."""

    __slots__ = ("mark", "plain", "value")

    def __init__(self, value: Value, plain: bool, mark: Mark) -> None:
        self.value, self.plain, self.mark = value, plain, mark


class Map:
    """A mapping in the order of the file; each key has a place of its own.

    `refused` are the keys that were written here and that the schema has taken out: they are not missing.
    """

    __slots__ = ("entries", "mark", "refused", "size")

    def __init__(self, mark: Mark, entries: Optional[dict[str, Entry]] = None) -> None:
        self.mark = mark
        self.entries: dict[str, Entry] = {} if entries is None else entries
        self.refused: tuple[str, ...] = ()
        self.size = 1

    def has(self, key: str) -> bool:
        """Whether a key was written here, right or wrong."""
        return key in self.entries or key in self.refused

    def get(self, key: str) -> Optional[Node]:
        """The value of a key, or None."""
        entry = self.entries.get(key)
        return None if entry is None else entry.node


class Seq:
    """A list."""

    __slots__ = ("items", "mark", "size")

    def __init__(self, mark: Mark, items: Optional[list[Node]] = None) -> None:
        self.mark = mark
        self.items: list[Node] = [] if items is None else items
        self.size = 1


Node = Union[Leaf, Map, Seq]


class Entry(NamedTuple):
    """A key's place and its value."""

    mark: Mark
    node: Node


class _Stop(Exception):
    """Reading cannot go on; the problem says why."""

    def __init__(
        self, code: str, message: str, mark: Mark, hint: Optional[str] = None, related: tuple[Related, ...] = ()
    ) -> None:
        super().__init__(message)
        self.problem = Problem(code, message, mark, hint=hint, related=related)


class _NotYaml(_Stop):
    """The parser gives up."""


def decode(name: str, data: bytes) -> Union[Source, Problem]:
    """Bytes of a file to a Source, or the problem that they are not UTF-8 text."""
    try:
        return Source(name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        mark = _mark_at(name, before, len(before))
        return Problem("KVN002", f"not UTF-8 text: byte 0x{data[error.start]:02x} here", mark)


def _mark_at(name: str, text: str, index: int) -> Mark:
    last = text.rfind("\n", 0, index)
    return Mark(name, text.count("\n", 0, index) + 1, index - last)


def parse(source: Source, pure: bool = False) -> tuple[Optional[Map], list[Problem]]:
    """Read one file. Returns its tree (None when it is empty or unreadable) and the problems found.

    `pure` forces PyYAML's Python parser; it gives the same tree as the C one, several times slower.
    """
    bad = _NOT_TEXT.search(source.text)
    if bad:
        mark = _mark_at(source.name, source.text, bad.start())
        return None, [Problem("KVN002", f"not a text file: character U+{ord(bad[0]):04X} here", mark)]
    builder = _Builder(source.name)
    try:
        builder.read(_events(source, pure))
        return builder.top(), builder.problems
    except _NotYaml as stop:
        if not pure and len(source.text) <= _EXPLAINED_SIZE:
            tree, problems = parse(source, True)  # the same words, whichever parser is installed
            if tree is None and problems:
                return None, problems
        return None, [*builder.problems, stop.problem]
    except _Stop as stop:
        return None, [*builder.problems, stop.problem]


def _events(source: Source, pure: bool) -> Iterator[Any]:
    """The parser's events. Raises _NotYaml where it gives up."""
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
    place = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    mark = Mark(name, place.line + 1, place.column + 1) if place else Mark(name, 1, 1)
    words = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    hint = None
    if "\\t" in words or "'\t'" in words:
        hint = "YAML indents by blanks, not by tabs"
    begin = getattr(error, "context_mark", None)
    related: tuple[Related, ...] = ()
    if begin is not None and (begin.line, begin.column) != (mark.line - 1, mark.column - 1):
        what = getattr(error, "context", None) or "what is read here"
        related = (Related(Mark(name, begin.line + 1, begin.column + 1), str(what)),)
    return _NotYaml("KVN002", f"not YAML: {words}", mark, hint, related)


class _Frame:
    """A container that is being filled."""

    __slots__ = ("anchor", "key", "merges", "node", "size")

    def __init__(self, node: Union[Map, Seq], anchor: Optional[str]) -> None:
        self.node, self.anchor = node, anchor
        self.key: Optional[tuple[str, Mark, bool]] = None  # text, place, whether it is the merge key
        self.merges: list[tuple[Mark, Node]] = []
        self.size = 1


class _Builder:
    """Events to a tree, with limits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, Optional[Node]] = {}  # None: still open
        self.root: Optional[Node] = None
        self.written = 0

    def read(self, events: Iterator[Any]) -> None:
        import yaml

        scalar, alias = yaml.ScalarEvent, yaml.AliasEvent
        map_start, map_end = yaml.MappingStartEvent, yaml.MappingEndEvent
        seq_start, seq_end = yaml.SequenceStartEvent, yaml.SequenceEndEvent
        documents = 0
        for event in events:
            kind = type(event)
            if kind is scalar:
                plain = event.implicit[0] and not event.style
                self._tag(event, plain)
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
                    words = "a second YAML document begins here; a file holds one"
                    raise _Stop("KVN002", words, self._mark(event))

    def top(self) -> Optional[Map]:
        """The tree, or None for a file without content."""
        if self.root is None or (isinstance(self.root, Leaf) and self.root.plain and self.root.value == ""):
            return None
        if not isinstance(self.root, Map):
            raise _Stop("KVN012", "the file must be a mapping of keys to values", self.root.mark)
        return self.root

    def _mark(self, event: Any) -> Mark:
        place = event.start_mark
        return Mark(self.name, place.line + 1, place.column + 1)

    def _tag(self, event: Any, plain: bool) -> None:
        if not plain and event.tag not in _STRING_TAGS:
            raise _Stop(
                "KVN002",
                f"the tag {quoted(event.tag)} is not taken here",
                self._mark(event),
                "leave it out: the schema says what a value is",
            )

    def _open(self, node: Union[Map, Seq], event: Any) -> None:
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._tag(event, False)
        if len(self.stack) >= MAX_DEPTH:
            raise _Stop("KVN004", f"nested deeper than {MAX_DEPTH} levels", node.mark)
        if self.stack and isinstance(self.stack[-1].node, Map) and self.stack[-1].key is None:
            raise _Stop("KVN002", "a key must be a plain word, not a list or a mapping", node.mark)
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
            raise _Stop("KVN002", f"the alias *{event.anchor} has no anchor before it", mark)
        node = self.anchors[event.anchor]
        if node is None:
            raise _Stop("KVN004", f"the alias *{event.anchor} stands inside what it names", mark)
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
            raise _Stop("KVN004", "aliases unfold to more values than a definition can need", frame.node.mark)
        if isinstance(frame.node, Seq):
            frame.node.items.append(node)
        elif frame.key is None:
            self._key(frame, node)
        else:
            self._value(frame, frame.node, node)

    def _key(self, frame: _Frame, node: Node) -> None:
        if not isinstance(node, Leaf):
            raise _Stop("KVN002", "a key must be a plain word, not a list or a mapping", node.mark)
        frame.key = (str(node.value), node.mark, node.plain and node.value == "<<")

    def _value(self, frame: _Frame, into: Map, node: Node) -> None:
        assert frame.key is not None
        (key, mark, merge), frame.key = frame.key, None
        if isinstance(node, Leaf) and node.plain and node.value == "":
            node = Leaf("", True, mark)  # nothing is written there: the key is the only place to show
        if merge:
            frame.merges.append((mark, node))
        elif key in into.entries:
            first = Related(into.entries[key].mark, "the first one is here")
            words = f"the key {quoted(key)} is here twice"
            self.problems.append(Problem("KVN003", words, mark, related=(first,)))
        else:
            into.entries[key] = Entry(mark, node)

    def _merge(self, into: Map, mark: Mark, node: Node) -> None:
        """Carry out `<<`: what is written beside it wins, then the earlier of several."""
        for source in node.items if isinstance(node, Seq) else [node]:
            if not isinstance(source, Map):
                raise _Stop("KVN002", "<< takes a mapping or a list of mappings", mark)
            for key, entry in source.entries.items():
                into.entries.setdefault(key, entry)


def merge(maps: Sequence[Map]) -> tuple[Map, list[Problem]]:
    """Several files to one tree: mappings merge, anything else given twice is a problem at both places."""
    problems: list[Problem] = []
    result = maps[0]
    for other in maps[1:]:
        result = _join(result, other, "", problems)
    return result, problems


def _join(left: Map, right: Map, path: str, problems: list[Problem]) -> Map:
    entries = dict(left.entries)
    for key, entry in right.entries.items():
        here = f"{path}.{key}" if path else key
        have = entries.get(key)
        if have is None:
            entries[key] = entry
        elif isinstance(have.node, Map) and isinstance(entry.node, Map):
            entries[key] = Entry(have.mark, _join(have.node, entry.node, here, problems))
        else:
            first = Related(have.mark, "it is given here already")
            problems.append(Problem("KVN005", f"{here} is given in two files", entry.mark, related=(first,)))
    return Map(left.mark, entries)


def overlay(base: Optional[Map], top: Optional[Map]) -> Optional[Map]:
    """`top` over `base`, as a host lies over its group: mappings merge, anything else of `top` wins."""
    if base is None or top is None:
        return top if base is None else base
    entries = dict(base.entries)
    for key, entry in top.entries.items():
        have = entries.get(key)
        if have is not None and isinstance(have.node, Map) and isinstance(entry.node, Map):
            both = overlay(have.node, entry.node)
            assert both is not None
            entries[key] = Entry(entry.mark, both)
        else:
            entries[key] = entry
    result = Map(top.mark, entries)
    result.refused = base.refused + top.refused
    return result
