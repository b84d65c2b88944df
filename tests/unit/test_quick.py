"""The quick answer of kvmnet.core.definition.fast_schema is that of jsonschema, on every test document."""

from __future__ import annotations

import dataclasses
import hashlib
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
from kvmnet.core.rendering import bundle_files, render
from tests.fuzz import changed_state
from tests.generate import cluster
from tests.mutate import MUTATORS, written

GOLDEN = Path(__file__).parents[1] / "golden"


def texts() -> Iterator[str]:
    """Every definition of the golden pairs, and generated ones, right and wrong."""
    for path in sorted(GOLDEN.glob("*/*/cluster.*")):
        for file in [path] if path.is_file() else sorted(path.iterdir()):
            yield file.read_bytes().decode("utf-8", "replace")
    for number in range(len(MUTATORS)):
        rng = random.Random(number)
        data = cluster(rng)
        yield written(data)[0]
        MUTATORS[number % len(MUTATORS)][1](rng, data)
        yield written(data)[0]


def plain_of(schema: Schema, text: str) -> Any:
    """A text as the schema's typing makes it."""
    tree, _ = document.parse(Source("f", text))
    return None if tree is None else schema._typed(tree, schema._shape, [])[1]


def agree(schema: Schema, data: Any) -> bool:
    """Whether both say the same. Returns what they say."""
    assert schema._is_valid is not None
    says = schema._is_valid(data)
    assert says == (not list(schema._errors(data))), json.dumps(data)[:2000]
    return says


@pytest.mark.parametrize("name", resources.schema_names())
def test_each_of_our_schemas_has_a_quick_answer(name: str) -> None:
    assert fast_schema.compiled(resources.read_schema(name), FORMATS) is not None


def test_definitions() -> None:
    schema = pipeline.load_schema("cluster")
    said = [agree(schema, data) for data in (plain_of(schema, text) for text in texts()) if data is not None]
    assert said.count(True) > 50 and said.count(False) > 10


def test_anything_anywhere_in_a_definition() -> None:
    schema, rng = pipeline.load_schema("cluster"), random.Random(0)
    odd: list[Any] = [None, True, 0, -1, 4095, 70000, "", "x", "a\n", "x" * 300, "10.1.0.0/16", [], [1], {}, {"x": 1}]
    said = []
    for _ in range(200):
        data = cluster(rng)
        where: Any = data
        while True:
            key = rng.choice(list(where) if isinstance(where, dict) else range(len(where)))
            if not where[key] or not isinstance(where[key], (dict, list)) or rng.random() < 0.1:
                break
            where = where[key]
        where[key] = rng.choice(odd)
        said.append(agree(schema, data))
    assert said.count(True) > 5 and said.count(False) > 50


def test_states_right_and_changed() -> None:
    schema, rng = pipeline.load_schema("state"), random.Random(0)
    said = []
    for number in range(60):
        definition = pipeline.check([Source("f", written(cluster(random.Random(number)))[0])])
        for bundle in definition.bundles():
            assert agree(schema, bundle.state) and (bundle.guests is None or agree(schema, bundle.guests))
            changed, _ = changed_state(bundle, rng)
            said.append(changed is not None and agree(schema, changed.state))
    assert said.count(False) > 5


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
def test_what_is_unknown_has_no_quick_answer(unknown: dict[str, Any]) -> None:
    assert fast_schema.compiled(unknown, FORMATS) is None


def test_jsonschema_answers_where_there_is_no_quick_answer() -> None:
    slow = Schema({"type": "object", "properties": {"a": {"type": "object", "not": {}}}})
    tree, _ = document.parse(Source("f", "a: {}"))
    assert tree is not None and [p.code for p in slow.apply(tree)[1]] == ["KVN013"]


def test_a_schema_that_holds_itself() -> None:
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "additionalProperties": {"$ref": "#/$defs/a"}}}}
    fits = fast_schema.compiled(loop, FORMATS)
    assert fits is not None and fits({"a": {"b": {}}}) and not fits({"a": {"b": 1}})


def test_the_digest_is_over_everything_in_the_bundle() -> None:
    for number in range(20):
        definition = pipeline.check([Source("f", written(cluster(random.Random(number)))[0])])
        for bundle in definition.bundles():
            content = dataclasses.asdict(bundle)
            del content["digest"]
            own = [probe.to_json() for probe in bundle.probes]
            del content["probes"]
            content.update({"probes": own} if own else {})
            text = json.dumps(content, sort_keys=True, separators=(",", ":"))
            assert render.compute_digest(bundle) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
            assert bundle_files.read_bundle(bundle_files.files_of(bundle), pipeline.load_schema("state")) == bundle
