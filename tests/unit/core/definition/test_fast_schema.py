"""fast_schema gives the same answer as jsonschema, for every test document."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmnet import pipeline, resources
from kvmnet.core.definition import document, fast_schema
from kvmnet.core.definition.document import Source
from kvmnet.core.definition.schema import FORMATS, Schema
from tests.fuzz import changed_state
from tests.generate import cluster
from tests.mutate import MUTATORS, written

GOLDEN = Path(__file__).parents[3] / "golden"


def texts() -> Iterator[str]:
    """Yield every definition of the golden pairs, and generated ones, valid and invalid."""
    for path in sorted(GOLDEN.glob("*/*/cluster.*")):
        for file in [path] if path.is_file() else sorted(path.iterdir()):
            yield file.read_bytes().decode("utf-8", "replace")
    for number in range(len(MUTATORS)):
        rng = random.Random(number)
        data = cluster(rng)
        yield written(data)[0]
        MUTATORS[number % len(MUTATORS)][1](rng, data)
        yield written(data)[0]


def typed_data(schema: Schema, text: str) -> Any:
    """Return a text as plain data, typed by the schema."""
    tree, _ = document.parse(Source("f", text))
    return None if tree is None else schema._typed(tree, schema._shape, [])[1]


def is_valid(schema: Schema, data: Any) -> bool:
    """Return whether data is valid, and check that fast_schema and jsonschema give the same answer."""
    assert schema._is_valid is not None
    answer = schema._is_valid(data)
    assert answer == (not list(schema._errors(data))), json.dumps(data)[:2000]
    return answer


@pytest.mark.parametrize("name", resources.schema_names())
def test_every_schema_can_be_compiled(name: str) -> None:
    assert fast_schema.compiled(resources.read_schema(name), FORMATS) is not None


def test_both_agree_on_definitions() -> None:
    schema = pipeline.load_schema("cluster")
    answers = [is_valid(schema, data) for data in (typed_data(schema, text) for text in texts()) if data is not None]
    assert answers.count(True) > 50 and answers.count(False) > 10


def test_both_agree_on_definitions_with_a_replaced_value() -> None:
    schema, rng = pipeline.load_schema("cluster"), random.Random(0)
    odd: list[Any] = [None, True, 0, -1, 4095, 70000, "", "x", "a\n", "x" * 300, "10.1.0.0/16", [], [1], {}, {"x": 1}]
    answers = []
    for _ in range(200):
        data = cluster(rng)
        where: Any = data
        while True:
            key = rng.choice(list(where) if isinstance(where, dict) else range(len(where)))
            if not where[key] or not isinstance(where[key], (dict, list)) or rng.random() < 0.1:
                break
            where = where[key]
        where[key] = rng.choice(odd)
        answers.append(is_valid(schema, data))
    assert answers.count(True) > 5 and answers.count(False) > 50


def test_both_agree_on_states_and_changed_states() -> None:
    schema, rng = pipeline.load_schema("state"), random.Random(0)
    answers = []
    for number in range(60):
        definition = pipeline.check([Source("f", written(cluster(random.Random(number)))[0])])
        for bundle in definition.bundles():
            assert is_valid(schema, bundle.state) and (bundle.guests is None or is_valid(schema, bundle.guests))
            changed, _ = changed_state(bundle, rng)
            answers.append(changed is not None and is_valid(schema, changed.state))
    assert answers.count(False) > 5


@pytest.mark.parametrize(
    "unknown",
    [
        {"type": "array", "uniqueItems": True},
        {"items": {"not": {"type": "string"}}},
        {"properties": {"a": False}},
        {"type": ["string", "number"]},
        {"format": "date"},
        {"$ref": "https://example.org/other.json"},
        {"$ref": "#"},
        {"enum": [[1]]},
        {"const": {"a": True}},
        {"patternProperties": {"^x-": {"type": "string"}}},
        {"if": {"type": "string"}, "else": {"type": "null"}},
    ],
)
def test_a_schema_with_an_unknown_keyword_is_not_compiled(unknown: dict[str, Any]) -> None:
    assert fast_schema.compiled(unknown, FORMATS) is None


def test_jsonschema_is_used_if_the_schema_cannot_be_compiled() -> None:
    slow = Schema({"type": "object", "properties": {"a": {"type": "object", "not": {}}}})
    tree, _ = document.parse(Source("f", "a: {}"))
    assert tree is not None and [p.code for p in slow.apply(tree)[1]] == ["KVN013"]


def test_a_recursive_schema_is_compiled() -> None:
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "additionalProperties": {"$ref": "#/$defs/a"}}}}
    fits = fast_schema.compiled(loop, FORMATS)
    assert fits is not None and fits({"a": {"b": {}}}) and not fits({"a": {"b": 1}})


def test_both_agree_on_multiples() -> None:
    schema = Schema({"type": ["integer", "string"], "multipleOf": 8})
    assert [is_valid(schema, value) for value in (0, 8, -16, 9, "9", None)] == [True, True, True, False, True, False]
