"""Typing and validation of trees, and the JSON Schemas themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kvmnet import resources
from kvmnet.core.definition.document import Leaf, Source, parse
from kvmnet.core.definition.schema import Schema
from kvmnet.core.rendering.bundle_files import to_plain_data

PROBE = Schema(
    {
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^x-": True},
        "properties": {
            "number": {"type": "integer"},
            "switch": {"type": "boolean"},
            "text": {"type": "string"},
            "maybe": {"type": ["string", "null"]},
            "either": {"type": ["integer", "string"]},
            "list": {"type": "array", "items": {"type": "integer"}},
        },
    }
)


def apply(text: str) -> tuple[Any, list[str]]:
    tree, problems = parse(Source("f", text))
    assert tree is not None and problems == []
    typed, problems = PROBE.apply(tree)
    return to_plain_data(typed), [problem.code for problem in problems]


@pytest.mark.parametrize(
    "text", ["no", "1:30", "0x10", "1_000", "2001-01-01", "00:14:4f:80:de:00", "1e3", ".5", "5", "true", "~"]
)
def test_a_scalar_stays_text_where_the_schema_wants_a_string(text: str) -> None:
    assert apply(f"text: {text}") == ({"text": text}, [])


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("42", 42), ("-7", -7)])
def test_decimal_integers_become_numbers(text: str, value: int) -> None:
    assert apply(f"number: {text}") == ({"number": value}, [])
    assert apply(f"either: {text}") == ({"either": value}, [])


@pytest.mark.parametrize("text", ["'42'", "0x10", "1_000", "010", "+1", "1.0", "1e3", "", "~", "9" * 5000, "\uff11"])
def test_other_scalars_are_not_numbers(text: str) -> None:
    assert apply(f"number: {text}") == ({}, ["KVN012"])


@pytest.mark.parametrize("text", ["yes", "no", "on", "True", "TRUE", "'true'", "1", "null"])
def test_other_scalars_are_not_booleans(text: str) -> None:
    assert apply(f"switch: {text}") == ({}, ["KVN012"])


def test_true_false_and_null_are_typed() -> None:
    assert apply("switch: true") == ({"switch": True}, [])
    assert apply("switch: false") == ({"switch": False}, [])
    assert apply("maybe: ~") == ({"maybe": None}, [])
    assert apply("maybe: '~'") == ({"maybe": "~"}, [])


def test_rejected_values_are_removed_and_the_rest_stays() -> None:
    assert apply("list: [1, x, 2, y, 3]\ntext: t\nx-note: [free]\n") == (
        {"list": [1, 2, 3], "text": "t"},
        ["KVN012", "KVN012"],
    )


def test_control_characters_are_rejected_in_values_and_keys() -> None:
    assert apply('text: "a\\nb"') == ({}, ["KVN013"])
    assert apply('"tex\\nt": a') == ({}, ["KVN013"])


def test_an_alias_is_typed_separately_at_each_place() -> None:
    assert apply("number: &n 5\ntext: *n\n") == ({"number": 5, "text": "5"}, [])


def subschemas(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema inside a schema, with its path."""
    if isinstance(schema, dict):
        yield path, schema
        for key in ("items", "additionalProperties", "propertyNames"):
            yield from subschemas(schema.get(key), f"{path}/{key}")
        for group in ("properties", "$defs"):
            for name, part in schema.get(group, {}).items():
                yield from subschemas(part, f"{path}/{group}/{name}")


@pytest.mark.parametrize("name", resources.schema_names())
def test_schemas_are_valid_and_closed_and_every_key_has_a_description(name: str) -> None:
    import jsonschema

    schema = resources.read_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    for path, part in subschemas(schema):
        if part.get("type") == "object":
            assert "additionalProperties" in part, path
        for key, inner in part.get("properties", {}).items():
            assert inner.get("description", "").endswith("."), f"{path}/{key}"


def test_a_leaf_has_no_dict() -> None:
    assert not hasattr(Leaf("a", True, ("f", 1, 1)), "__dict__")  # type: ignore[arg-type]
