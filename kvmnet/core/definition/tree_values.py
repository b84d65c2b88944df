"""Reads values from a tree that has been validated against the schema: None or nothing for what is missing."""

from __future__ import annotations

import ipaddress
from typing import Optional

from kvmnet.core.definition.document import Leaf, Map, Node, Seq
from kvmnet.core.definition.model import PlacedSubnet


def text_at(tree: Map, key: str) -> Optional[str]:
    """Return the string under a key, or None."""
    node = tree.get(key)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, str) else None


def number_at(tree: Map, key: str) -> Optional[int]:
    """Return the integer under a key, or None."""
    node = tree.get(key)
    if isinstance(node, Leaf) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    return None


def boolean_at(tree: Map, key: str) -> Optional[bool]:
    """Return the boolean under a key, or None."""
    node = tree.get(key)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, bool) else None


def leaves_at(tree: Optional[Node], key: str) -> list[Leaf]:
    """Return the scalar under a key, or the scalars of the list under it."""
    node = tree.get(key) if isinstance(tree, Map) else None
    if isinstance(node, Leaf):
        return [node]
    return [item for item in node.items if isinstance(item, Leaf)] if isinstance(node, Seq) else []


def read_subnet(leaf: Leaf) -> PlacedSubnet:
    """Return the subnet that a scalar contains; an address without a prefix length is a subnet of its own."""
    net = ipaddress.ip_network(str(leaf.value), strict=False)
    has_host_bits = ipaddress.ip_interface(str(leaf.value)).ip != net.network_address
    return PlacedSubnet(net, leaf.mark, has_host_bits)
