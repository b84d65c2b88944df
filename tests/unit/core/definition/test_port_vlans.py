"""The VLANs of a bridge's port, from `trunk`, `native` and `access`."""

from __future__ import annotations

from typing import Optional, Union

import pytest

from kvmnet.core.definition.port_vlans import PortVlans, make_port_vlans, merge_ranges, read_range

TAGS = {"storage": 20, "lan": None}


@pytest.mark.parametrize(
    ("trunk", "untagged", "expected"),
    [
        ([], None, PortVlans()),
        ([5], None, PortVlans(((5, 5),))),
        (["storage", "10-19", 30], "storage", PortVlans(((10, 20), (30, 30)), 20)),
        (["10-30", "20-40", 41], 7, PortVlans(((10, 41),), 7)),
        (["30-20", "0-4", "4000-5000", "lan", "nothing"], "lan", PortVlans()),  # the checks report them
    ],
)
def test_ids_ranges_and_networks_become_sorted_ranges(
    trunk: list[Union[str, int]], untagged: Optional[Union[str, int]], expected: PortVlans
) -> None:
    assert make_port_vlans(trunk, untagged, TAGS) == expected


def test_a_port_carries_its_tagged_vlans_and_its_untagged_one() -> None:
    vlans = PortVlans(((10, 20),), 7)
    assert [tag for tag in (6, 7, 9, 10, 20, 21) if vlans.carries(tag)] == [7, 10, 20]


def test_a_range_is_two_numbers() -> None:
    assert [read_range(value) for value in ("5-9", 5, "5", "lan-5", "5-")] == [(5, 9), (5, 5), None, None, None]


def test_ranges_that_touch_or_overlap_become_one() -> None:
    assert merge_ranges([(30, 31), (1, 5), (2, 3), (6, 9)]) == ((1, 9), (30, 31))
