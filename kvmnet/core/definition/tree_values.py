"""Typed values under the keys of a tree that has been validated against the schema."""

from __future__ import annotations

from typing import Optional

from kvmnet.core.definition.document import Leaf, Map, Node, Seq


def text(tree: Map, key: str) -> Optional[str]:
    """Return the string under a key, or None."""
    node = tree.get(key)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, str) else None


def number(tree: Map, key: str) -> Optional[int]:
    """Return the integer under a key, or None."""
    node = tree.get(key)
    if isinstance(node, Leaf) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    return None


def boolean(tree: Map, key: str) -> Optional[bool]:
    """Return the boolean under a key, or None."""
    node = tree.get(key)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, bool) else None


def leaves(tree: Optional[Node], key: str) -> list[Leaf]:
    """Return the scalar under a key, or the scalars of the list under it."""
    node = tree.get(key) if isinstance(tree, Map) else None
    if isinstance(node, Leaf):
        return [node]
    return [item for item in node.items if isinstance(item, Leaf)] if isinstance(node, Seq) else []
