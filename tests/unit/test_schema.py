"""Typing and validation by schema, and the schemas themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kvmnet import pipeline, resources
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
def test_text_stays_text(text: str) -> None:
    assert apply(f"text: {text}") == ({"text": text}, [])


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("42", 42), ("-7", -7)])
def test_decimal_integers(text: str, value: int) -> None:
    assert apply(f"number: {text}") == ({"number": value}, [])
    assert apply(f"either: {text}") == ({"either": value}, [])


@pytest.mark.parametrize("text", ["'42'", "0x10", "1_000", "010", "+1", "1.0", "1e3", "", "~", "9" * 5000, "\uff11"])
def test_nothing_else_is_a_number(text: str) -> None:
    assert apply(f"number: {text}") == ({}, ["KVN012"])


@pytest.mark.parametrize("text", ["yes", "no", "on", "True", "TRUE", "'true'", "1", "null"])
def test_nothing_else_is_a_switch(text: str) -> None:
    assert apply(f"switch: {text}") == ({}, ["KVN012"])


def test_true_false_and_null() -> None:
    assert apply("switch: true") == ({"switch": True}, [])
    assert apply("switch: false") == ({"switch": False}, [])
    assert apply("maybe: ~") == ({"maybe": None}, [])
    assert apply("maybe: '~'") == ({"maybe": "~"}, [])


def test_what_is_wrong_is_left_out_and_the_rest_stays() -> None:
    assert apply("list: [1, x, 2, y, 3]\ntext: t\nx-note: [free]\n") == (
        {"list": [1, 2, 3], "text": "t"},
        ["KVN012", "KVN012"],
    )


def test_control_characters_are_refused_in_values_and_keys() -> None:
    assert apply('text: "a\\nb"') == ({}, ["KVN013"])
    assert apply('"te\\nxt": a') == ({}, ["KVN013"])


def test_one_alias_is_typed_by_each_place() -> None:
    assert apply("number: &n 5\ntext: *n\n") == ({"number": 5, "text": "5"}, [])


def places(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema."""
    if isinstance(schema, dict):
        yield path, schema
        for key in ("items", "additionalProperties", "propertyNames"):
            yield from places(schema.get(key), f"{path}/{key}")
        for group in ("properties", "$defs"):
            for name, part in schema.get(group, {}).items():
                yield from places(part, f"{path}/{group}/{name}")


@pytest.mark.parametrize("name", resources.schema_names())
def test_schemas_are_valid_closed_and_described(name: str) -> None:
    import jsonschema

    schema = resources.read_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    for path, part in places(schema):
        if part.get("type") == "object":
            assert "additionalProperties" in part, path
        for key, inner in part.get("properties", {}).items():
            assert inner.get("description", "").endswith("."), f"{path}/{key}"


def test_the_schemas_are_three() -> None:
    assert resources.schema_names() == ["cluster", "profile", "state"]


def test_profiles() -> None:
    profiles = pipeline.load_naming_policies()
    assert sorted(profiles) == ["plain", "rocks"]
    rocks, plain_ = profiles["rocks"], profiles["plain"]
    assert rocks.bridge_name("bond0", "bond0") == plain_.bridge_name("bond0", "bond0") == "br-bond0"
    assert (rocks.nic_name("eth0"), rocks.bridge_name("eth0", "peth0"), rocks.vlan_name("peth0", 2)) == (
        "peth0",
        "eth0",
        "peth0.2",
    )
    assert rocks.macvtap_name("36:77:6E:C0:00:02") == "mvt-c00002"
    assert (plain_.nic_name("eth0"), plain_.bridge_name("eth0", "eth0"), plain_.renames) == ("eth0", "br-eth0", False)


def test_leaf_is_small() -> None:
    assert not hasattr(Leaf("a", True, ("f", 1, 1)), "__dict__")  # type: ignore[arg-type]


def test_a_definitions_profiles_have_the_form_of_kvmnets_own() -> None:
    """Without what is required: `extends` has it."""

    def bare(part: dict[str, Any]) -> dict[str, Any]:
        return {key: bare(v) if isinstance(v, dict) else v for key, v in part.items() if key != "required"}

    brought = bare(pipeline.load_schema("profile").data["properties"])
    own = bare(pipeline.load_schema("cluster").data["$defs"]["profile"]["properties"])
    del brought["profile"], brought["name"], own["extends"]
    assert own == brought
