"""The VLANs of bridge ports in a state: nmstate's `vlan` of a port, as sets of VLAN IDs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Optional

#: The VLAN in which a VLAN-aware bridge has its untagged frames: the kernel's and NetworkManager's default.
DEFAULT_VLAN = 1


class Membership(NamedTuple):
    """The VLANs of a port: those whose frames have a tag outside the bridge, and that of untagged frames, or None."""

    tagged: frozenset[int]
    untagged: Optional[int]

    def all(self) -> frozenset[int]:
        """Return all VLANs of the port."""
        return self.tagged | ({self.untagged} if self.untagged is not None else set())


def read_trunk_tags(tags: Iterable[Mapping[str, Any]]) -> frozenset[int]:
    """Return the VLAN IDs of a `trunk-tags` list, whose entries have an `id` or an `id-range`."""
    found: set[int] = set()
    for tag in tags:
        if "id-range" in tag:
            found.update(range(int(tag["id-range"]["min"]), int(tag["id-range"]["max"]) + 1))
        elif "id" in tag:
            found.add(int(tag["id"]))
    return frozenset(found)


def read_membership(vlan: Mapping[str, Any], default: int = DEFAULT_VLAN) -> Membership:
    """Return the VLANs of a port from its `vlan` mapping. `default` is the bridge's default VLAN, 0 for none: a port
    that states no VLAN for untagged frames has it."""
    tag = vlan.get("tag")
    untagged = int(tag) if tag else default or None
    return Membership(read_trunk_tags(vlan.get("trunk-tags") or []), untagged)


def default_vlan(options: Mapping[str, Any]) -> int:
    """Return the default VLAN of a bridge from its options in a state."""
    value = options.get("vlan-default-pvid")
    return DEFAULT_VLAN if value is None else int(value)


def format_tags(tags: Iterable[int]) -> str:
    """Return VLAN IDs with ranges: `20, 100-199`."""
    parts: list[list[int]] = []
    for tag in sorted(tags):
        if parts and tag == parts[-1][1] + 1:
            parts[-1][1] = tag
        else:
            parts.append([tag, tag])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
