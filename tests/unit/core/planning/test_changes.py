"""The changes of a plan as data."""

from __future__ import annotations

from typing import Optional

import pytest

from kvmnet.core.planning.changes import Change, FileRestored, LeftDefinition, hostname_change
from kvmnet.core.planning.difference import Difference


@pytest.mark.parametrize(("live", "desired"), [("old", "new"), (None, "new"), ("old", None)])
def test_a_new_hostname_is_one_difference_without_a_path(live: Optional[str], desired: Optional[str]) -> None:
    change = hostname_change(live, desired)
    assert (change.kind, change.name) == ("change", "hostname")
    (difference,) = change.details
    assert isinstance(difference, Difference) and difference.text == f"{live or 'none'} -> {desired or 'none'}"


def test_changes_with_equal_details_are_equal() -> None:
    """A plan that was saved is compared with the plan of today."""
    assert Change("remove", "br5", (LeftDefinition("linux-bridge"),)) == Change(
        "remove", "br5", (LeftDefinition("linux-bridge"),)
    )
    other = Change("remove", "br5", (LeftDefinition("vlan"),))
    assert Change("remove", "br5", (LeftDefinition("linux-bridge"),)) != other
    assert FileRestored("2024-01-01") != FileRestored("2024-01-01", existed=False)
