"""Typed values under the keys of a tree."""

from __future__ import annotations

from kvmnet.core.definition.document import Source, parse
from kvmnet.core.definition.tree_values import boolean_at, leaves_at, number_at, read_subnet, text_at


def test_a_value_of_another_type_is_as_if_it_were_missing() -> None:
    tree, _ = parse(Source("f.yaml", "a: x\nb: [1, {}, y]\n"))
    assert tree is not None
    assert (text_at(tree, "a"), text_at(tree, "b"), text_at(tree, "c")) == ("x", None, None)
    assert (number_at(tree, "a"), boolean_at(tree, "a")) == (None, None)
    assert [leaf.value for leaf in leaves_at(tree, "b")] == ["1", "y"]
    assert [leaf.value for leaf in leaves_at(tree, "a")] == ["x"]
    assert leaves_at(None, "a") == []


def test_an_address_without_a_prefix_length_is_a_subnet_of_its_own() -> None:
    tree, _ = parse(Source("f.yaml", 'a: [192.0.2.7, 192.0.2.7/24, "2001:db8::/32"]\n'))
    found = [read_subnet(leaf) for leaf in leaves_at(tree, "a")]
    assert [str(subnet.net) for subnet in found] == ["192.0.2.7/32", "192.0.2.0/24", "2001:db8::/32"]
    assert [subnet.stray_bits for subnet in found] == [False, True, False]
