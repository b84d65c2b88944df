"""The VLANs of a bridge's port: the keys `trunk`, `native` and `access` of an interface.

Their values are VLAN IDs, ranges of them (`100-199`), and names of networks, which stand for the VLAN IDs of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Optional, Union

#: The smallest and the largest VLAN ID (IEEE 802.1Q).
MIN_TAG, MAX_TAG = 1, 4094
_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})\Z")

Range = tuple[int, int]
"""The first and the last VLAN ID of a range."""


@dataclass(frozen=True)
class PortVlans:
    """The VLANs of a port: the ranges of those that have tags outside the bridge, sorted and without overlaps, and the
    VLAN ID of untagged frames (None: not stated)."""

    tagged: tuple[Range, ...] = ()
    untagged: Optional[int] = None

    def carries(self, tag: int) -> bool:
        """Whether frames of a VLAN pass the port, with a tag or as the stated untagged VLAN."""
        return tag == self.untagged or any(first <= tag <= last for first, last in self.tagged)


def read_range(value: Union[str, int]) -> Optional[Range]:
    """Return the range that a value stands for, valid or not; None for the name of a network."""
    if isinstance(value, int):
        return value, value
    match = _RANGE.match(value)
    return (int(match[1]), int(match[2])) if match else None


def is_valid(of: Range) -> bool:
    """Whether a range contains VLAN IDs, and only these."""
    return MIN_TAG <= of[0] <= of[1] <= MAX_TAG


def make_port_vlans(
    trunk: Iterable[Union[str, int]],
    untagged: Optional[Union[str, int]],
    network_tags: Mapping[str, Optional[int]],
) -> PortVlans:
    """Return the VLANs of a port, without those that the checks report. `network_tags` are the VLAN IDs of networks."""

    def ranges(values: Iterable[Union[str, int]]) -> Iterator[Range]:
        for value in values:
            tag = network_tags.get(value) if isinstance(value, str) else None
            found = read_range(value) or ((tag, tag) if tag is not None else None)
            if found is not None and is_valid(found):
                yield found

    of_untagged = next(ranges([untagged] if untagged is not None else []), None)
    return PortVlans(merge_ranges(ranges(trunk)), of_untagged[0] if of_untagged is not None else None)


def merge_ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the ranges sorted, with those that touch or overlap as one."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return tuple(merged)
