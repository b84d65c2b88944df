"""Whether plain data fits one of our schemas: yes or no, many times quicker than jsonschema, which explains the no.

Plain data is what JSON has, without fractions. A schema is turned into functions once. Only the keywords that our
schemas use are known; a schema with any other has no quick answer. A no may be wrong (jsonschema is asked then), a yes
never: tests/unit/test_quick.py holds this to what jsonschema says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Callable, Optional

Test = Callable[[Any], bool]
Formats = Mapping[str, Callable[[object], bool]]

_SAID = ("$schema", "$id", "$defs", "title", "description", "x-code", "default", "examples")
_KNOWN = {
    *_SAID,
    *("$ref", "type", "enum", "const", "pattern", "format", "minimum", "maximum", "minLength", "maxLength"),
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


class _Unknown(Exception):
    """The schema says something that is not known here."""


def compiled(schema: Mapping[str, Any], formats: Formats) -> Optional[Test]:
    """A function that says whether data fits; None when the schema says something that is not known here."""
    try:
        return _Compiler(schema, formats).test(schema)
    except (_Unknown, KeyError):  # KeyError: a type, a format, a reference to elsewhere
        return None


def _any(value: Any) -> bool:
    return True


class _Compiler:
    def __init__(self, root: Mapping[str, Any], formats: Formats) -> None:
        self.root, self.formats = root, formats
        self.made: dict[str, Test] = {}

    def test(self, schema: Any) -> Test:
        """The test of a part of the schema."""
        if schema is True:
            return _any
        if not isinstance(schema, dict) or not _KNOWN.issuperset(schema):
            raise _Unknown
        tests = [*self.scalars(schema), *self.containers(schema)]
        if "$ref" in schema:
            tests.append(self.reference(schema["$ref"]))
        if "if" in schema:
            tests.append(_when(self.test(schema["if"]), self.test(schema.get("then", True))))
        if len(tests) == 1:
            return tests[0]
        return lambda value: all(test(value) for test in tests)

    def reference(self, name: str) -> Test:
        if name not in self.made:

            def again(value: Any) -> bool:
                """For a schema that holds itself."""
                return self.made[name](value)

            self.made[name] = again
            part: Any = self.root
            for step in name.lstrip("#/").split("/"):
                part = part[step]
            self.made[name] = self.test(part)
        return self.made[name]

    def scalars(self, schema: dict[str, Any]) -> list[Test]:
        tests: list[Test] = []
        if "type" in schema:
            tests.append(_of_types(schema["type"]))
        if "const" in schema:
            tests.append(_one_of([schema["const"]]))
        if "enum" in schema:
            tests.append(_one_of(schema["enum"]))
        if "minimum" in schema or "maximum" in schema:
            tests.append(_between(schema.get("minimum"), schema.get("maximum")))
        if "minLength" in schema or "maxLength" in schema:
            tests.append(_long(schema.get("minLength", 0), schema.get("maxLength")))
        if "pattern" in schema:
            tests.append(_like(schema["pattern"]))
        if "format" in schema:
            tests.append(_formed(self.formats[schema["format"]]))
        return tests

    def containers(self, schema: dict[str, Any]) -> list[Test]:
        tests: list[Test] = []
        if "items" in schema:
            tests.append(_each(self.test(schema["items"])))
        if "minItems" in schema:
            tests.append(_filled(schema["minItems"]))
        if "minProperties" in schema or "maxProperties" in schema:
            tests.append(_many(schema.get("minProperties", 0), schema.get("maxProperties")))
        if "required" in schema:
            tests.append(_having(frozenset(schema["required"])))
        if "propertyNames" in schema:
            tests.append(_named(self.test(schema["propertyNames"])))
        if {"properties", "additionalProperties", "patternProperties"} & schema.keys():
            tests.append(self.members(schema))
        return tests

    def members(self, schema: dict[str, Any]) -> Test:
        """Keys that are named, keys that are free by a pattern, all others."""
        known = {key: self.test(part) for key, part in schema.get("properties", {}).items()}
        free = [re.compile(pattern) for pattern in schema.get("patternProperties", {})]
        if any(part is not True for part in schema.get("patternProperties", {}).values()):
            raise _Unknown
        others = schema.get("additionalProperties", True)
        other = None if others is False else self.test(others)

        def test(value: Any) -> bool:
            if type(value) is not dict:
                return True
            for key, item in value.items():
                found = known.get(key)
                if found is None:
                    if any(pattern.search(key) for pattern in free):
                        continue
                    found = other
                if found is None or not found(item):
                    return False
            return True

        return test


def _when(this: Test, that: Test) -> Test:
    return lambda value: not this(value) or that(value)


def _of_types(types: Any) -> Test:
    if isinstance(types, str):
        return _TYPES[types]
    tests = [_TYPES[name] for name in types]
    return lambda value: any(test(value) for test in tests)


def _one_of(values: list[Any]) -> Test:
    if any(isinstance(one, (dict, list)) for one in values):
        raise _Unknown  # to Python, [1] is [true]
    return lambda value: any(type(value) is type(one) and value == one for one in values)


def _between(least: Optional[int], most: Optional[int]) -> Test:
    def test(value: Any) -> bool:
        if type(value) is not int:
            return True
        return (least is None or value >= least) and (most is None or value <= most)

    return test


def _long(least: int, most: Optional[int]) -> Test:
    return lambda value: type(value) is not str or (len(value) >= least and (most is None or len(value) <= most))


def _like(pattern: str) -> Test:
    search = re.compile(pattern).search
    return lambda value: type(value) is not str or search(value) is not None


def _formed(form: Callable[[object], bool]) -> Test:
    def test(value: Any) -> bool:
        try:
            return form(value)
        except ValueError:
            return False

    return test


def _each(item: Test) -> Test:
    return lambda value: type(value) is not list or all(item(part) for part in value)


def _filled(least: int) -> Test:
    return lambda value: type(value) is not list or len(value) >= least


def _many(least: int, most: Optional[int]) -> Test:
    return lambda value: type(value) is not dict or (len(value) >= least and (most is None or len(value) <= most))


def _having(keys: frozenset[str]) -> Test:
    return lambda value: type(value) is not dict or keys <= value.keys()


def _named(name: Test) -> Test:
    return lambda value: type(value) is not dict or all(name(key) for key in value)
