"""A tree from YAML against a JSON Schema: values get their types, problems their places, in plain words.

The schema types the scalars: a text becomes a number, a switch or null only where the schema takes one
there, and only when it is written without quotes. So a MAC, `no`, `1:30`, `0x10` or a date mean what they
look like. What is wrong is told, then left out of the tree, so that the checks can go on with the rest.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any, Optional, Union

from kvmnet.core.base.probe import host_port, url_parts
from kvmnet.core.base.problem import Mark, Problem, quoted
from kvmnet.core.definition import fast_schema, suggestions
from kvmnet.core.definition.document import Entry, Leaf, Map, Node, Seq, Value

Data = Any
"""Plain dicts, lists and scalars, as jsonschema takes them."""

Path = tuple[Union[str, int], ...]
"""The keys and indexes that lead from the top of a tree to a value."""

_INTEGER = re.compile(r"(0|-?[1-9][0-9]{0,17})\Z")
_FREE = "^x-"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "nothing",
}


class _Shape:
    """What a schema says about one place, its references followed."""

    def __init__(self, schema: Any, root: dict[str, Any]) -> None:
        self.root = root
        self.types: set[str] = set()
        self.properties: dict[str, Any] = {}
        self.items: Any = True
        self.others: Any = True
        self.free_keys = False
        self._children: dict[str, _Shape] = {}
        if isinstance(schema, dict):
            self._take(schema)

    def _take(self, schema: dict[str, Any]) -> None:
        if "$ref" in schema:
            self._take(resolve(schema["$ref"], self.root))
        types = schema.get("type", [])
        self.types.update([types] if isinstance(types, str) else types)
        self.properties.update(schema.get("properties", {}))
        self.items = schema.get("items", self.items)
        self.others = schema.get("additionalProperties", self.others)
        self.free_keys = self.free_keys or _FREE in schema.get("patternProperties", {})
        for word in ("anyOf", "oneOf", "allOf"):
            for part in schema.get(word, []):
                self._take(part)

    def child(self, key: Optional[str]) -> _Shape:
        """The shape under a key, or of a list's items for None. Made once."""
        name = "" if key is None else key if key in self.properties else "*"
        shape = self._children.get(name)
        if shape is None:
            part = self.items if key is None else self.properties.get(key, self.others)
            shape = self._children[name] = _Shape(part, self.root)
        return shape


def resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    """The part of a schema that a local reference such as "#/$defs/mac" names."""
    part: Any = root
    for step in reference.lstrip("#/").split("/"):
        part = part[step]
    assert isinstance(part, dict)
    return part


class Schema:
    """One of our schemas, ready to type and to validate trees."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self._shape = _Shape(data, data)
        self._fits = fast_schema.compiled(data, FORMATS)
        self._validator: Any = None
        self._refused: list[Leaf] = []

    def apply(self, tree: Map) -> tuple[Map, list[Problem]]:
        """Type and validate.

        Returns a tree of its own whose leaves are typed and from which everything that the schema refuses
        is left out, and the problems found.
        """
        problems: list[Problem] = []
        self._refused = []
        typed, data = self._typed(tree, self._shape, problems)
        assert isinstance(typed, Map)
        bad = set(_paths_of(typed, {id(leaf) for leaf in self._refused}))
        # What fits needs no explanation, and then jsonschema is not even imported.
        errors = [] if self._fits is not None and self._fits(data) else list(self._errors(data))
        # A value of the wrong kind has not its form either: the first is told.
        wrong_kind = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
        for error in errors:
            if error.validator == "type" or tuple(error.absolute_path) not in wrong_kind:
                problems.extend(self._told(error, typed, bad))
        for path in sorted(bad, key=lambda p: (len(p), [str(step).rjust(9) for step in p]), reverse=True):
            _remove(typed, path)
        return typed, problems

    def _errors(self, data: Data) -> Iterator[Any]:
        if self._validator is None:
            import jsonschema

            formats = jsonschema.FormatChecker(formats=())
            for name, form in FORMATS.items():
                formats.checks(name, ValueError)(form)
            self._validator = jsonschema.Draft202012Validator(self.data, format_checker=formats)
        return iter(self._validator.iter_errors(data))

    def _typed(self, node: Node, shape: _Shape, problems: list[Problem]) -> tuple[Node, Data]:
        """A copy of the tree with typed leaves, and the same as plain data."""
        if isinstance(node, Leaf):
            value = _value(node, shape.types)
            if isinstance(value, str) and _CONTROL.search(value):
                words = f"{quoted(value)} holds a line break or control character"
                problems.append(Problem("KVN013", words, node.mark))
                value = _CONTROL.sub("_", value)
                self._refused.append(Leaf(value, node.plain, node.mark))
                return self._refused[-1], value
            return Leaf(value, node.plain, node.mark), value
        if isinstance(node, Seq):
            inner = shape.child(None)
            pairs = [self._typed(item, inner, problems) for item in node.items]
            return Seq(node.mark, [pair[0] for pair in pairs]), [pair[1] for pair in pairs]
        typed, data = Map(node.mark), {}
        for key, entry in node.entries.items():
            if shape.free_keys and key.startswith("x-"):
                continue
            if _CONTROL.search(key):
                words = f"the key {quoted(key)} holds a line break or control character"
                problems.append(Problem("KVN013", words, entry.mark))
                continue
            child, data[key] = self._typed(entry.node, shape.child(key), problems)
            typed.entries[key] = Entry(entry.mark, child)
        return typed, data

    def _told(self, error: Any, tree: Map, bad: set[Path]) -> Iterator[Problem]:
        """A jsonschema error as problems of ours; what has to go is added to `bad`."""
        path = tuple(error.absolute_path)
        mark, name = _place(tree, path)
        if error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            for key in error.instance:
                if key not in known:
                    bad.add((*path, key))
                    place = _key_place(tree, (*path, key))
                    of = f" in {name}" if name else ""
                    words = f"unknown key {quoted(key)}{of}"
                    yield Problem("KVN010", words, place, hint=suggestions.for_key(key, known))
        elif error.validator == "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            key = next((k for k in missing if error.message.startswith(repr(k))), missing[0])
            yield Problem("KVN011", f"{name or 'the definition'} lacks the key '{key}'", mark)
        elif "propertyNames" in error.absolute_schema_path:
            bad.add((*path, error.instance))
            place = _key_place(tree, (*path, error.instance))
            yield Problem("KVN013", f"{quoted(error.instance)} must be {_wanted(error.schema)}", place)
        else:
            bad.add(path)
            code = error.schema.get("x-code", "KVN012" if error.validator == "type" else "KVN013")
            words = f"{name} must be {_wanted(error.schema)}, not {_got(error.instance)}"
            yield Problem(code, words, mark, hint=suggestions.for_value(error.schema, error.instance))


def _value(leaf: Leaf, types: set[str]) -> Value:
    text = leaf.value
    if not leaf.plain or not isinstance(text, str):
        return text
    if "integer" in types and _INTEGER.match(text):
        return int(text)
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    if text in ("", "null", "~") and ("null" in types or "string" not in types):
        return None
    return text


def _wanted(schema: dict[str, Any]) -> str:
    if "title" in schema:
        return str(schema["title"])
    types = schema.get("type", [])
    return " or ".join(_WORDS[t] for t in ([types] if isinstance(types, str) else types)) or "something else"


def _got(value: Data) -> str:
    if value is None or value == "":
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return quoted(str(value).lower() if isinstance(value, bool) else value)


def _place(tree: Map, path: Path) -> tuple[Mark, str]:
    """The place of what a path leads to and how a person calls it. The place of a container is its key."""
    mark, node, name = tree.mark, None, ""
    here: Node = tree
    for step in path:
        if isinstance(here, Map) and str(step) in here.entries:
            mark, node = here.entries[str(step)]
            name = str(step)
        elif isinstance(here, Seq) and isinstance(step, int):
            node = here.items[step]
            mark, name = node.mark, f"{name} item {step + 1}"
        else:
            break
        here = node
    return (node.mark if isinstance(node, Leaf) else mark), name


def _paths_of(node: Node, wanted: set[int], path: Path = ()) -> Iterator[Path]:
    """Where the leaves of these identities are."""
    if not wanted:
        return
    if isinstance(node, Leaf):
        if id(node) in wanted:
            yield path
        return
    parts: Iterable[tuple[Union[str, int], Node]] = (
        enumerate(node.items) if isinstance(node, Seq) else ((key, entry.node) for key, entry in node.entries.items())
    )
    for step, part in parts:
        yield from _paths_of(part, wanted, (*path, step))


def _key_place(tree: Map, path: Path) -> Mark:
    """The place of a key, not of its value."""
    here: Optional[Node] = tree
    for step in path[:-1]:
        if isinstance(here, Map):
            here = here.get(str(step))
        elif isinstance(here, Seq):
            here = here.items[int(step)]
    entry = here.entries.get(str(path[-1])) if isinstance(here, Map) else None
    return entry.mark if entry else _place(tree, path)[0]


def _remove(tree: Map, path: Path) -> None:
    """Take out what a path leads to. Longer paths and later items first, or places shift."""
    here: Optional[Node] = tree
    for step in path[:-1]:
        if isinstance(here, Map):
            here = here.get(str(step))
        elif isinstance(here, Seq) and isinstance(step, int) and step < len(here.items):
            here = here.items[step]
    if isinstance(here, Map):
        here.refused = (*here.refused, str(path[-1]))
        here.entries.pop(str(path[-1]), None)
    elif isinstance(here, Seq) and isinstance(path[-1], int) and path[-1] < len(here.items):
        del here.items[path[-1]]


def _is_address(value: object) -> bool:
    if isinstance(value, str):
        if not value.isascii() or "%" in value:
            return False
        ipaddress.ip_address(value)
    return True


def _is_interface(value: object) -> bool:
    if isinstance(value, str):
        if not value.isascii() or "%" in value or not re.search(r"\A[^/]+(/[0-9]{1,3})?\Z", value):
            return False
        ipaddress.ip_interface(value)
    return True


def _is_subnet(value: object) -> bool:
    if isinstance(value, str):
        if not value.isascii() or "%" in value or not re.search(r"\A[^/]+/[0-9]{1,3}\Z", value):
            return False
        ipaddress.ip_network(value, strict=False)
    return True


def _is_host_port(value: object) -> bool:
    return not isinstance(value, str) or bool(host_port(value))


def _is_url(value: object) -> bool:
    return not isinstance(value, str) or bool(url_parts(value))


#: The formats that our schemas name; each raises ValueError or says no.
FORMATS = {
    "ip-address": _is_address,
    "ip-address-with-or-without-prefix": _is_interface,
    "ip-subnet": _is_subnet,
    "host-and-port": _is_host_port,
    "http-url": _is_url,
}
