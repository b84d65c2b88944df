"""A fast validator: whether plain data is valid against one of kvmnet's schemas, many times faster than jsonschema.

It returns only True or False; jsonschema is needed for the errors. Plain data is JSON data without fractions. A
schema is compiled to functions once. Only the keywords that kvmnet's schemas use are supported; other schemas cannot
be compiled. False may be wrong, so the caller then asks jsonschema. True is never wrong:
tests/unit/core/definition/test_fast_schema.py compares the results with those of jsonschema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Callable, Optional

Test = Callable[[Any], bool]
Formats = Mapping[str, Callable[[object], bool]]

_ANNOTATIONS = ("$schema", "$id", "$defs", "title", "description", "x-code", "x-refusal", "default", "examples")
_SUPPORTED = {
    *_ANNOTATIONS,
    *("$ref", "type", "enum", "const", "pattern", "format", "minimum", "maximum", "multipleOf"),
    *("minLength", "maxLength"),
    *(
        "items",
        "minItems",
        "minProperties",
        "maxProperties",
        "required",
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
    ),
    *("if", "then"),
}
_TYPES: dict[str, Test] = {
    "object": lambda v: type(v) is dict,
    "array": lambda v: type(v) is list,
    "string": lambda v: type(v) is str,
    "integer": lambda v: type(v) is int,
    "boolean": lambda v: type(v) is bool,
    "null": lambda v: v is None,
}


class _Unsupported(Exception):
    """The schema uses something that this validator does not support."""


def compiled(schema: Mapping[str, Any], formats: Formats) -> Optional[Test]:
    """Return a function that checks whether data is valid, or None if the schema uses something unsupported."""
    try:
        return _Compiler(schema, formats).test(schema)
    except (_Unsupported, KeyError):  # KeyError: unknown type or format, or a reference outside the schema
        return None


def _accept_any(value: Any) -> bool:
    return True


class _Compiler:
    """Compiles the parts of one schema to test functions."""

    def __init__(self, root: Mapping[str, Any], formats: Formats) -> None:
        self.root, self.formats = root, formats
        self.compiled: dict[str, Test] = {}

    def test(self, schema: Any) -> Test:
        """Return the test of a part of the schema."""
        if schema is True:
            return _accept_any
        if not isinstance(schema, dict) or not _SUPPORTED.issuperset(schema):
            raise _Unsupported
        tests = [*self.scalars(schema), *self.containers(schema)]
        if "$ref" in schema:
            tests.append(self.reference(schema["$ref"]))
        if "if" in schema:
            tests.append(_implies(self.test(schema["if"]), self.test(schema.get("then", True))))
        if len(tests) == 1:
            return tests[0]
        return lambda value: all(test(value) for test in tests)

    def reference(self, name: str) -> Test:
        """Return the test of a local reference such as "#/$defs/mac"."""
        if name not in self.compiled:

            def recurse(value: Any) -> bool:
                """Call the test of this reference, for a schema that refers to itself."""
                return self.compiled[name](value)

            self.compiled[name] = recurse
            part: Any = self.root
            for step in name.lstrip("#/").split("/"):
                part = part[step]
            self.compiled[name] = self.test(part)
        return self.compiled[name]

    def scalars(self, schema: dict[str, Any]) -> list[Test]:
        """Return the tests of the keywords for scalars."""
        tests: list[Test] = []
        if "type" in schema:
            tests.append(_has_type(schema["type"]))
        if "const" in schema:
            tests.append(_is_one_of([schema["const"]]))
        if "enum" in schema:
            tests.append(_is_one_of(schema["enum"]))
        if "minimum" in schema or "maximum" in schema:
            tests.append(_is_between(schema.get("minimum"), schema.get("maximum")))
        if "multipleOf" in schema:
            tests.append(_is_multiple(schema["multipleOf"]))
        if "minLength" in schema or "maxLength" in schema:
            tests.append(_has_length(schema.get("minLength", 0), schema.get("maxLength")))
        if "pattern" in schema:
            tests.append(_matches(schema["pattern"]))
        if "format" in schema:
            tests.append(_has_format(self.formats[schema["format"]]))
        return tests

    def containers(self, schema: dict[str, Any]) -> list[Test]:
        """Return the tests of the keywords for lists and mappings."""
        tests: list[Test] = []
        if "items" in schema:
            tests.append(_all_items(self.test(schema["items"])))
        if "minItems" in schema:
            tests.append(_has_min_items(schema["minItems"]))
        if "minProperties" in schema or "maxProperties" in schema:
            tests.append(_has_key_count(schema.get("minProperties", 0), schema.get("maxProperties")))
        if "required" in schema:
            tests.append(_has_keys(frozenset(schema["required"])))
        if "propertyNames" in schema:
            tests.append(_all_keys(self.test(schema["propertyNames"])))
        if {"properties", "additionalProperties", "patternProperties"} & schema.keys():
            tests.append(self.members(schema))
        return tests

    def members(self, schema: dict[str, Any]) -> Test:
        """Return the test of a mapping's values: of named keys, of keys that match a pattern, and of all others."""
        known = {key: self.test(part) for key, part in schema.get("properties", {}).items()}
        free = [re.compile(pattern) for pattern in schema.get("patternProperties", {})]
        if any(part is not True for part in schema.get("patternProperties", {}).values()):
            raise _Unsupported
        others = schema.get("additionalProperties", True)
        other = None if others is False else self.test(others)

        def test(value: Any) -> bool:
            if type(value) is not dict:
                return True
            for key, item in value.items():
                item_test = known.get(key)
                if item_test is None:
                    if any(pattern.search(key) for pattern in free):
                        continue
                    item_test = other
                if item_test is None or not item_test(item):
                    return False
            return True

        return test


def _implies(condition: Test, consequence: Test) -> Test:
    return lambda value: not condition(value) or consequence(value)


def _has_type(types: Any) -> Test:
    if isinstance(types, str):
        return _TYPES[types]
    tests = [_TYPES[name] for name in types]
    return lambda value: any(test(value) for test in tests)


def _is_one_of(values: list[Any]) -> Test:
    if any(isinstance(allowed, (dict, list)) for allowed in values):
        raise _Unsupported  # in Python, [1] == [True]
    return lambda value: any(type(value) is type(allowed) and value == allowed for allowed in values)


def _is_between(minimum: Optional[int], maximum: Optional[int]) -> Test:
    def test(value: Any) -> bool:
        if type(value) is not int:
            return True
        return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)

    return test


def _is_multiple(of: int) -> Test:
    return lambda value: type(value) is not int or value % of == 0


def _has_length(least: int, most: Optional[int]) -> Test:
    return lambda value: type(value) is not str or (len(value) >= least and (most is None or len(value) <= most))


def _matches(pattern: str) -> Test:
    search = re.compile(pattern).search
    return lambda value: type(value) is not str or search(value) is not None


def _has_format(is_valid: Callable[[object], bool]) -> Test:
    def test(value: Any) -> bool:
        try:
            return is_valid(value)
        except ValueError:
            return False

    return test


def _all_items(item: Test) -> Test:
    return lambda value: type(value) is not list or all(item(part) for part in value)


def _has_min_items(least: int) -> Test:
    return lambda value: type(value) is not list or len(value) >= least


def _has_key_count(least: int, most: Optional[int]) -> Test:
    return lambda value: type(value) is not dict or (len(value) >= least and (most is None or len(value) <= most))


def _has_keys(keys: frozenset[str]) -> Test:
    return lambda value: type(value) is not dict or keys <= value.keys()


def _all_keys(name: Test) -> Test:
    return lambda value: type(value) is not dict or all(name(key) for key in value)
