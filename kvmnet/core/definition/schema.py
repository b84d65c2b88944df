"""Validation of a YAML tree against a JSON Schema: values get their types, and problems their places and messages.

The schema decides the type of a scalar: text becomes a number, boolean or null only where the schema allows one, and
only if it is written without quotes. So a MAC address, `no`, `1:30`, `0x10` or a date stay text. Rejected values are
reported and removed from the tree, so that the checks can run on the rest.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any, Optional, Union

from kvmnet.core.base.probe import host_port, url_parts
from kvmnet.core.base.problem import Mark, Problem, printable, quoted
from kvmnet.core.definition import fast_schema, suggestions
from kvmnet.core.definition.document import Entry, Leaf, Map, Node, Seq, Value

Data = Any
"""Plain dicts, lists and scalars, as jsonschema expects them."""

Path = tuple[Union[str, int], ...]
"""The keys and indexes that lead from the root of a tree to a value."""

_INTEGER = re.compile(r"(0|-?[1-9][0-9]{0,17})\Z")
_FREE = "^x-"
#: After so many invalid values nothing more is checked: each costs time, and nobody reads them all.
MAX_ERRORS = 1000
#: Control characters, line breaks, characters that change the direction of writing, and halves of characters.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "boolean": "true or false",
    "null": "empty",
}


class _Shape:
    """The types, keys and items that a schema allows at one place, with its references resolved."""

    def __init__(self, schema: Any, root: dict[str, Any]) -> None:
        self.root = root
        self.types: set[str] = set()
        self.properties: dict[str, Any] = {}
        self.items: Any = True
        self.others: Any = True
        self.free_keys = False
        self._children: dict[str, _Shape] = {}
        if isinstance(schema, dict):
            self._add(schema)

    def _add(self, schema: dict[str, Any]) -> None:
        if "$ref" in schema:
            self._add(resolve(schema["$ref"], self.root))
        types = schema.get("type", [])
        self.types.update([types] if isinstance(types, str) else types)
        self.properties.update(schema.get("properties", {}))
        self.items = schema.get("items", self.items)
        self.others = schema.get("additionalProperties", self.others)
        self.free_keys = self.free_keys or _FREE in schema.get("patternProperties", {})
        for keyword in ("anyOf", "oneOf", "allOf"):
            for part in schema.get(keyword, []):
                self._add(part)

    def child(self, key: Optional[str]) -> _Shape:
        """Return the shape of the value of a key, or of a list's items if `key` is None. Shapes are cached."""
        name = "" if key is None else key if key in self.properties else "*"
        shape = self._children.get(name)
        if shape is None:
            part = self.items if key is None else self.properties.get(key, self.others)
            shape = self._children[name] = _Shape(part, self.root)
        return shape


def resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a schema that a local reference such as "#/$defs/mac" refers to."""
    part: Any = root
    for step in reference.lstrip("#/").split("/"):
        part = part[step]
    assert isinstance(part, dict)
    return part


class Schema:
    """One of kvmnet's schemas, prepared for typing and validating trees."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self._shape = _Shape(data, data)
        self._is_valid = fast_schema.compiled(data, FORMATS)
        self._validator: Any = None
        self._refused: list[Leaf] = []

    def apply(self, tree: Map) -> tuple[Map, list[Problem]]:
        """Return a copy of the tree, with typed leaves and without the rejected values, and the problems."""
        problems: list[Problem] = []
        self._refused = []
        typed, data = self._typed(tree, self._shape, problems)
        assert isinstance(typed, Map)
        rejected = set(_paths_of(typed, {id(leaf) for leaf in self._refused}))
        # Valid data needs no messages, so jsonschema is not even imported.
        errors = [] if self._is_valid is not None and self._is_valid(data) else self._first_errors(data)
        if len(errors) > MAX_ERRORS or len(problems) > MAX_ERRORS:
            return Map(tree.mark), [*self._first_problems(errors, typed, problems), _too_many(tree.mark)]
        # A value of the wrong type fails other keywords too: report its type only.
        wrong_type = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
        for error in errors:
            if error.validator == "type" or tuple(error.absolute_path) not in wrong_type:
                problems.extend(self._problems_of(error, typed, rejected))
        for path in sorted(rejected, key=lambda p: (len(p), [str(step).rjust(9) for step in p]), reverse=True):
            _remove(typed, path)
        return typed, problems

    def _first_errors(self, data: Data) -> list[Any]:
        return list(itertools.islice(self._errors(data), MAX_ERRORS + 1))

    def _first_problems(self, errors: list[Any], typed: Map, problems: list[Problem]) -> list[Problem]:
        """Return the problems of a file that has too many of them."""
        shown = itertools.chain(problems, *(self._problems_of(error, typed, set()) for error in errors))
        return list(itertools.islice(shown, MAX_ERRORS))

    def find_fault(self, data: Data) -> Optional[str]:
        """Return what is wrong with plain data, such as JSON has, in one sentence with its place; None if it is valid.
        Text with control characters or characters that change the direction of writing is never valid."""
        if place := _find_unprintable(data):
            return f"{place} contains a line break, a control character or one that changes the direction of writing"
        if self._is_valid is not None and self._is_valid(data):
            return None
        for error in self._errors(data):
            place = " ".join(str(step + 1) if isinstance(step, int) else printable(step) for step in error.path)
            return f"{place}: {_explain(error)}" if place else _explain(error)
        return None

    def _errors(self, data: Data) -> Iterator[Any]:
        """Return the errors that jsonschema reports."""
        if self._validator is None:
            import jsonschema

            formats = jsonschema.FormatChecker(formats=())
            for name, form in FORMATS.items():
                formats.checks(name, ValueError)(form)
            self._validator = jsonschema.Draft202012Validator(self.data, format_checker=formats)
        return iter(self._validator.iter_errors(data))

    def _typed(self, node: Node, shape: _Shape, problems: list[Problem]) -> tuple[Node, Data]:
        """Return a copy of the tree with typed leaves, and the same as plain data."""
        if isinstance(node, Leaf):
            value = _value(node, shape.types)
            if isinstance(value, str) and _CONTROL.search(value):
                message = f"{quoted(value)} contains a line break or control character"
                problems.append(Problem("KVN013", message, node.mark))
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
                message = f"key {quoted(key)} contains a line break or control character"
                problems.append(Problem("KVN013", message, entry.mark))
                continue
            child, data[key] = self._typed(entry.node, shape.child(key), problems)
            typed.entries[key] = Entry(entry.mark, child)
        return typed, data

    def _problems_of(self, error: Any, tree: Map, rejected: set[Path]) -> Iterator[Problem]:
        """Yield the problems for a jsonschema error. The paths to remove from the tree are added to `rejected`."""
        path = tuple(error.absolute_path)
        mark, name = _place(tree, path)
        if error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            for key in error.instance:
                if key not in known:
                    rejected.add((*path, key))
                    place = _key_place(tree, (*path, key))
                    parent = f" in {name}" if name else ""
                    message = f"unknown key {quoted(key)}{parent}"
                    yield Problem("KVN010", message, place, hint=suggestions.for_key(key, known))
        elif error.validator == "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            key = next((k for k in missing if error.message.startswith(repr(k))), missing[0])
            yield Problem("KVN011", f"missing key '{key}' in {name or 'the definition'}", mark)
        elif "propertyNames" in error.absolute_schema_path:
            rejected.add((*path, error.instance))
            place = _key_place(tree, (*path, error.instance))
            yield Problem("KVN013", f"{quoted(error.instance)} must be {_expected(error.schema)}", place)
        elif "x-refusal" in error.schema:
            rejected.add(path)
            message = f"{name} cannot be set by nmstate: {error.schema['x-refusal']}"
            yield Problem(error.schema["x-code"], message, mark)
        else:
            rejected.add(path)
            code = error.schema.get("x-code", "KVN012" if error.validator == "type" else "KVN013")
            message = f"{name} must be {_expected(error.schema)}, not {_actual(error.instance)}"
            yield Problem(code, message, mark, hint=suggestions.for_value(error.schema, error.instance))


def _too_many(mark: Mark) -> Problem:
    message = f"more than {MAX_ERRORS:,} values are not valid: the rest of the definition is not checked"
    return Problem("KVN004", message, mark, hint="fix the problems that are listed, then validate again")


def _explain(error: Any) -> str:
    """Return what jsonschema reports about plain data, without more of the data than the name of a key."""
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        return f"unknown key {quoted(next(key for key in error.instance if key not in known))}"
    if error.validator == "required":
        return f"missing key {quoted(next(k for k in error.validator_value if k not in error.instance))}"
    if "propertyNames" in error.absolute_schema_path:
        return f"the key {quoted(error.instance)} must be {_expected(error.schema)}"
    return f"must be {_expected(error.schema)}"


def _find_unprintable(data: Data, place: str = "") -> str:
    """Return the place of the first text that cannot be printed as it is; empty if there is none."""
    if isinstance(data, str):
        return (place or "the text") if _CONTROL.search(data) else ""
    if isinstance(data, dict):
        for key, value in data.items():
            if _CONTROL.search(key):
                return f"{place} a key".strip()
            if found := _find_unprintable(value, f"{place} {key}".strip()):
                return found
    if isinstance(data, list):
        for number, item in enumerate(data, 1):
            if found := _find_unprintable(item, f"{place} {number}".strip()):
                return found
    return ""


def _value(leaf: Leaf, types: set[str]) -> Value:
    """Return the typed value of a leaf, where the schema allows these types."""
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


def _expected(schema: dict[str, Any]) -> str:
    """Return what a schema requires, for a message: its title, else its types."""
    if "title" in schema:
        return str(schema["title"])
    types = schema.get("type", [])
    return " or ".join(_TYPE_NAMES[t] for t in ([types] if isinstance(types, str) else types)) or "something else"


def _actual(value: Data) -> str:
    """Return a value, or the kind of a container, for a message."""
    if value is None or value == "":
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return quoted(str(value).lower() if isinstance(value, bool) else value)


def _place(tree: Map, path: Path) -> tuple[Mark, str]:
    """Return the place of the value at a path, and its name for messages. The place of a container is its key."""
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
    """Yield the paths of the leaves whose `id()` is in `wanted`."""
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
    """Return the place of a key itself, not of its value."""
    here: Optional[Node] = tree
    for step in path[:-1]:
        if isinstance(here, Map):
            here = here.get(str(step))
        elif isinstance(here, Seq):
            here = here.items[int(step)]
    entry = here.entries.get(str(path[-1])) if isinstance(here, Map) else None
    return entry.mark if entry else _place(tree, path)[0]


def _remove(tree: Map, path: Path) -> None:
    """Remove the value at a path. Remove longer paths and later list items first: removing an item shifts the rest."""
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
        here.has_refused = True
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


#: The formats that kvmnet's schemas use. Each function returns False or raises ValueError for an invalid string.
FORMATS = {
    "ip-address": _is_address,
    "ip-address-with-or-without-prefix": _is_interface,
    "ip-subnet": _is_subnet,
    "ip-address-or-subnet": _is_interface,
    "host-and-port": _is_host_port,
    "http-url": _is_url,
}
