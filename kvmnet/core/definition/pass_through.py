"""What the definition passes through to nmstate: settings of its interfaces, and further interfaces of a host.

A further interface (`nmstate:` of a host) becomes an interface of the kind "other". Its addresses, MTU and MAC address
are read as if they were written with the definition's own keys, so that the same checks judge them; what is left is in
`Interface.nmstate`, and the whole entry is below the key `nmstate` of its tree, for the places of problems.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvmnet.core.base.nmstate import FAMILIES
from kvmnet.core.definition.document import Entry, Leaf, Map, Node, Seq
from kvmnet.core.definition.model import Place
from kvmnet.core.definition.tree_values import boolean_at, number_at, text_at

#: The kind of the interfaces that the definition has no type for.
OTHER = "other"
#: Keys of a further interface that are read like the definition's own: their names there.
_OWN_KEYS = {"mtu": "mtu", "mac-address": "mac"}


def read_nmstate(tree: Map, kind: str) -> dict[str, Any]:
    """Return what an interface passes through to nmstate, as plain data."""
    node = tree.get("nmstate")
    settings = _to_plain(node) if isinstance(node, Map) else {}
    assert isinstance(settings, dict)
    if kind != OTHER:
        return settings
    return {key: value for key, value in settings.items() if key not in (*_OWN_KEYS, *FAMILIES)}


def read_others(tree: Map) -> Iterator[tuple[str, Place]]:
    """Yield the names and places of the further interfaces of a host, with their addresses under the definition's own
    keys."""
    node = tree.get("nmstate")
    for name, entry in node.entries.items() if isinstance(node, Map) else ():
        if isinstance(entry.node, Map) and text_at(entry.node, "type") is not None:
            yield name, Place(entry.mark, _with_own_keys(entry))


def _with_own_keys(entry: Entry) -> Map:
    settings = entry.node
    assert isinstance(settings, Map)
    entries = {own: settings.entries[key] for key, own in _OWN_KEYS.items() if key in settings.entries}
    entries["type"] = Entry(entry.mark, Leaf(OTHER, True, entry.mark))
    entries["nmstate"] = Entry(entry.mark, settings)
    addresses: list[Node] = []
    for family in FAMILIES:
        part = settings.get(family)
        if not isinstance(part, Map) or not boolean_at(part, "enabled"):
            continue
        own = list(_addresses(part))
        addresses += own
        source = "static" if own else "link-local" if family == "ipv6" else "none"
        entries[family] = Entry(entry.mark, Leaf(source, True, entry.mark))
    if addresses:
        entries["addresses"] = Entry(entry.mark, Seq(entry.mark, addresses))
    return Map(entry.mark, entries)


def _addresses(family: Map) -> Iterator[Leaf]:
    """Yield the addresses of a family in the definition's notation, at the places of their IP addresses."""
    rows = family.get("address")
    for row in rows.items if isinstance(rows, Seq) else ():
        ip, prefix = (text_at(row, "ip"), number_at(row, "prefix-length")) if isinstance(row, Map) else (None, None)
        if isinstance(row, Map) and ip is not None and prefix is not None:  # not rejected by the schema
            yield Leaf(f"{ip}/{prefix}", True, row.entries["ip"].node.mark)


def _to_plain(node: Node) -> Any:
    if isinstance(node, Map):
        return {key: _to_plain(entry.node) for key, entry in node.entries.items()}
    return node.value if isinstance(node, Leaf) else [_to_plain(item) for item in node.items]
