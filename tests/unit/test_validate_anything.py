"""Validation of any text ends with problems: no exception, every place is in the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kvmnet import pipeline
from kvmnet.core.definition.document import Source, decode
from kvmnet.core.reporting import problem_documents
from tests.reading import differences

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas/cluster.schema.json").read_text())
FEW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

#: Every key of the schema, and values that are valid or nearly valid.
KEYS = sorted(
    {key for part in [SCHEMA, *SCHEMA["$defs"].values()] for key in part.get("properties", {})}
    | {"servers", "search", "name", "mac", "eth0", "eth0.5", "a", "private", "x-note", "<<"}
)
VALUES = [
    *("rocks", "plain", "private", "tenant", "a", "eth0", "eth0.2", "00:14:4f:80:de:00", "01:00:00:00:00:00", "no"),
    *("10.1.0.0/16", "10.1.0.5/16", "10.1.255.254", "2001:db8::1/64", "::/0", "0.0.0.0/0", "1.2.3.4/0", "fe80::1%1"),
    *(1, 0, 2, 4094, 4095, 1500, 70000, -1, True, False, None, "", "~", "a\nb", "x" * 300, "\u202e", "ä"),
]
SCALARS = st.sampled_from(VALUES) | st.text(max_size=8) | st.integers()
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


NAMES = ["private", "tenant", "a", "vm"]
#: Valid values for parts of the schema.
VALID: dict[str, list[Any]] = {
    "name": NAMES,
    "interface-name": ["eth0", "eno1"],
    "mac": [f"00:14:4f:80:de:{n:02x}" for n in range(40)],
    "subnet": ["10.1.0.0/16", "10.2.0.0/16", "2001:db8::/64"],
    "ip": ["10.1.1.1", "10.2.1.1", "2001:db8::1"],
    "address": [f"10.{n % 2 + 1}.2.{n}" for n in range(1, 40)] + ["2001:db8::7"],
    "domain": ["local", "example.org"],
    "mtu": [1500, 9000],
    "tag": [2, 5],
    "nic-mac": [f"00:14:4f:80:de:{n:02x}" for n in range(40)],
    "number": [1, 254],
}
ENDS = ["eth0", "eth1", "bond0"]


def nearly_valid(schema: dict[str, Any], depth: int = 0, key: str = "") -> st.SearchStrategy[Any]:
    """Return a strategy for data that is mostly valid, with an invalid value here and there."""
    name = ""
    while "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        schema = SCHEMA["$defs"][name]
    kind = schema.get("type")
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if key in ("ports", "over") and depth > 4:
        return st.lists(st.sampled_from(ENDS), min_size=1, max_size=2) if key == "ports" else st.sampled_from(ENDS)
    if key == "hostname" and kind != "boolean":
        return st.sampled_from([True, False, "a.example.org"])
    if key == "profile":
        return st.sampled_from(["rocks", "plain"])
    if kind == "object" and "properties" in schema:
        parts = {
            word: nearly_valid(part, depth + 1, word)
            for word, part in schema["properties"].items()
            if "x-refusal" not in part
        }
        needed = {word: parts.pop(word) for word in schema.get("required", [])}
        return st.fixed_dictionaries(needed, optional=parts)
    if kind == "object":
        names = st.sampled_from(
            ["eth0", "eth1", "eth0.2", "bond0", "bond0.2", "ib0"] if name == "interfaces" else NAMES
        )
        return st.dictionaries(names, nearly_valid(schema["additionalProperties"], depth + 1), min_size=1, max_size=3)
    if kind == "array":
        return st.lists(nearly_valid(schema["items"], depth + 1), max_size=2)
    valid = st.booleans() if kind == "boolean" else st.sampled_from(VALID.get(name, [1]))
    return st.integers(0, 39).flatmap(lambda n: SCALARS if n == 39 else valid)


def check(text: str) -> None:
    """Validate a text, report its problems in every format, and render it if it is valid."""
    definition = pipeline.check([Source("f.yaml", text)])
    for reporter in problem_documents.REPORTERS.values():
        reporter(definition.problems, definition.sources)
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 2
    for found in definition.problems:
        assert found.mark.file == "f.yaml" and 1 <= found.mark.line <= lines and found.mark.column >= 1
    for host in definition.hosts:
        bundle = definition.bundle(host)  # this must not fail for an invalid definition either
        if definition.ok:
            assert differences(definition.views[host], bundle) == []


@FEW
@given(st.text(max_size=200))
@example("a: &a {<<: *a}")
@example("? ")
@example("[")
@example("\ufeffa: 1")
@example("a: \ud800")
def test_any_text_can_be_validated(text: str) -> None:
    check(text)


@FEW
@given(st.binary(max_size=100))
def test_any_bytes_can_be_validated(data: bytes) -> None:
    source = decode("f.yaml", data)
    if isinstance(source, Source):
        check(source.text)


@FEW
@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,? \n<", max_size=60))
def test_any_punctuation_can_be_validated(text: str) -> None:
    check(text)


@FEW
@given(TREES)
def test_any_tree_can_be_validated(tree: Any) -> None:
    check(json.dumps(tree))


@FEW
@given(st.dictionaries(st.sampled_from(list(SCHEMA["properties"])), TREES))
def test_any_tree_under_known_keys_can_be_validated(tree: Any) -> None:
    check(json.dumps({"kvmnet": 1, "cluster": "c", "profile": "rocks", **tree}))


@FEW
@given(nearly_valid(SCHEMA))
def test_nearly_valid_definitions_can_be_validated(tree: Any) -> None:
    check(json.dumps(tree))


@FEW
@given(st.data())
def test_an_example_with_a_random_edit_can_be_validated(data: st.DataObject) -> None:
    text = (ROOT / "examples/rocks/cluster.yaml").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    check(
        text[:start]
        + data.draw(st.text(max_size=5) | st.sampled_from(["&a ", "*a", "- ", "\t", "{", "'"]))
        + text[end:]
    )
