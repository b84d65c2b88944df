"""Parsing YAML text: places, limits, merge keys. The C parser and the Python parser give the same result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kvmnet import pipeline
from kvmnet.core.base.problem import Mark, Problem
from kvmnet.core.definition import document
from kvmnet.core.definition.document import Leaf, Map, Node, Seq, Source, decode, merge, parse

ROOT = Path(__file__).parents[4]
DOCUMENTS = sorted(
    [*ROOT.glob("tests/golden/*/*/**/*.y*ml"), *ROOT.glob("examples/**/*.yaml"), *ROOT.glob("profiles/*")]
)


def read(text: str, pure: bool = False) -> tuple[Any, list[Problem]]:
    return parse(Source("f.yaml", text), pure)


def codes(text: str) -> list[str]:
    return [problem.code for problem in read(text)[1]]


def to_data(node: Node | None) -> Any:
    """Return a tree as plain data, with values, places and whether a scalar is plain."""
    if node is None:
        return None
    if isinstance(node, Leaf):
        return (node.value, node.plain, node.mark)
    if isinstance(node, Seq):
        return (node.mark, [to_data(item) for item in node.items])
    return (node.mark, [(key, entry.mark, to_data(entry.node)) for key, entry in node.entries.items()])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: "/".join(path.parts[-3:]))
def test_the_c_and_the_python_parser_give_the_same_tree(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    fast, slow = read(text), read(text, pure=True)
    assert to_data(fast[0]) == to_data(slow[0])
    assert fast[1] == slow[1]


def test_keys_and_values_have_their_places() -> None:
    tree, problems = read("a: 1\nb:\n  - x\n  - {c: 'y'}\n")
    assert problems == []
    assert tree.entries["a"].mark == Mark("f.yaml", 1, 1)
    assert tree.get("a").mark == Mark("f.yaml", 1, 4)
    assert tree.get("b").items[1].entries["c"].mark == Mark("f.yaml", 4, 6)
    assert tree.get("b").items[1].get("c").plain is False


def test_an_empty_value_has_the_place_of_its_key() -> None:
    tree, _ = read("a:\n\n\nb: 1\n")
    assert tree.get("a").mark == Mark("f.yaml", 1, 1)


def test_own_keys_win_over_a_merge_key_and_earlier_sources_over_later_ones() -> None:
    tree, problems = read("a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b], y: 3}\n")
    assert problems == []
    values = {key: entry.node.value for key, entry in tree.get("c").entries.items()}
    assert values == {"y": "3", "x": "1", "z": "2"}


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert list(read("a: {'<<': b}")[0].get("a").entries) == ["<<"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: 1\na: 2\n", "KVN003"),
        ("a: &a [*a]\n", "KVN004"),
        ("a: *nobody\n", "KVN002"),
        ("? [a]\n: b\n", "KVN002"),
        ("? {a: b}\n: c\n", "KVN002"),
        ("a: &a [x]\n*a : b\n", "KVN002"),
        ("a: {<<: x}\n", "KVN002"),
        ("a: {<<: [x]}\n", "KVN002"),
        ("a: !!int '1'\n", "KVN002"),
        ("a: !!set {x}\n", "KVN002"),
        ("a: b: c\n", "KVN002"),
        ("a: 'open\n", "KVN002"),
        ("%YAML 9.9\n---\na: 1\n", "KVN002"),
        ("just text\n", "KVN012"),
        ("a: \ud800\n", "KVN002"),
        ("a: \x1b[31m\n", "KVN002"),
    ],
)
def test_an_invalid_document_has_one_problem(text: str, code: str) -> None:
    assert codes(text) == [code]


def test_a_string_tag_has_the_effect_of_quotes() -> None:
    tree, problems = read("a: !!str 5\n")
    assert problems == [] and tree.get("a").plain is False


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "\ufeff"])
def test_a_file_without_content_has_no_tree_and_no_problem(text: str) -> None:
    source = decode("f.yaml", text.encode())
    assert isinstance(source, Source)
    assert parse(source) == (None, [])


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "a: " + "{a: " * 100_000,
        "- " * 100_000,
        "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [{'*a, ' if not i else f'*b{i - 1}, ' * 2}]\n" for i in range(60)),
        "a: &a {k: v}\nb: [" + "{<<: [" + "*a, " * 100_000 + "]}]\n",
    ],
    ids=["brackets", "braces", "dashes", "bomb", "merges"],
)
def test_hostile_files_are_rejected_within_seconds(text: str) -> None:
    begin = time.monotonic()
    problems = read(text)[1]
    assert time.monotonic() - begin < 10
    assert len(problems) <= 1


def test_the_expansion_of_aliases_is_limited() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert codes("\n".join(lines)) == ["KVN004"]


def test_the_number_of_values_is_limited_per_file_and_in_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_VALUES", 1000)
    text = "hosts:\n" + "".join(f"  h{n}: {{}}\n" for n in range(490))
    assert parse(Source("f", text))[1] == []
    for too_large in ("hosts:\n" + "- x\n" * 1001, text + "".join(f"  i{n}: {{}}\n" for n in range(20))):
        [problem] = parse(Source("f", too_large))[1]
        assert (problem.code, problem.message) == ("KVN004", "more than 1,000 keys and values")
    two = pipeline.check([Source("a", text), Source("b", text.replace("h", "i"))])
    assert two.cluster is None
    [problem] = two.problems
    assert (problem.code, problem.mark.file) == ("KVN004", "b")


def test_a_template_of_2000_hosts_is_accepted() -> None:
    text = "x-t: &t {a: {b: [1, 2, 3]}}\nhosts:\n" + "".join(f"  h{i}: *t\n" for i in range(2000))
    assert codes(text) == []


def test_invalid_utf8_is_reported_with_its_place() -> None:
    problem = decode("f.yaml", b"a: 1\nb: \xff\n")
    assert isinstance(problem, Problem)
    assert (problem.code, problem.mark.line, problem.mark.column) == ("KVN002", 2, 4)


def test_merging_files_reports_both_places_of_a_conflict() -> None:
    one, _ = parse(Source("1.yaml", "a: {x: 1}\nb: [1]\n"))
    two, _ = parse(Source("2.yaml", "a: {y: 2}\nb: [2]\nc: 3\n"))
    assert isinstance(one, Map) and isinstance(two, Map)
    tree, problems = merge([one, two])
    assert [problem.code for problem in problems] == ["KVN005"]
    assert (problems[0].mark.file, problems[0].related[0].mark.file) == ("2.yaml", "1.yaml")
    assert list(tree.entries) == ["a", "b", "c"] and list(tree.get("a").entries) == ["x", "y"]  # type: ignore[union-attr]
