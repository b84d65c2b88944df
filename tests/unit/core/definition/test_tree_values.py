"""Typed values under the keys of a tree."""

from __future__ import annotations

from kvmnet.core.definition.document import Source, parse
from kvmnet.core.definition.tree_values import boolean, leaves, number, text


def test_a_value_of_another_type_is_as_if_it_were_missing() -> None:
    tree, _ = parse(Source("f.yaml", "a: x\nb: [1, {}, y]\n"))
    assert tree is not None
    assert (text(tree, "a"), text(tree, "b"), text(tree, "c")) == ("x", None, None)
    assert (number(tree, "a"), boolean(tree, "a")) == (None, None)
    assert [leaf.value for leaf in leaves(tree, "b")] == ["1", "y"]
    assert [leaf.value for leaf in leaves(tree, "a")] == ["x"]
    assert leaves(None, "a") == []
