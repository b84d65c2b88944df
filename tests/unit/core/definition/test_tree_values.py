"""Typed values under the keys of a tree."""

from __future__ import annotations

from kvmnet.core.definition.document import Source, parse
from kvmnet.core.definition.tree_values import boolean_at, leaves_at, number_at, text_at


def test_a_value_of_another_type_is_as_if_it_were_missing() -> None:
    tree, _ = parse(Source("f.yaml", "a: x\nb: [1, {}, y]\n"))
    assert tree is not None
    assert (text_at(tree, "a"), text_at(tree, "b"), text_at(tree, "c")) == ("x", None, None)
    assert (number_at(tree, "a"), boolean_at(tree, "a")) == (None, None)
    assert [leaf.value for leaf in leaves_at(tree, "b")] == ["1", "y"]
    assert [leaf.value for leaf in leaves_at(tree, "a")] == ["x"]
    assert leaves_at(None, "a") == []
