"""Tests of kvmnet/from_host/live_changes.py: which changes of a plan the kernel would see."""

from __future__ import annotations

import pytest

from kvmnet.core.planning.changes import Adopted, Change, Detail, JoinsController, OptionReset, Reason, RouteDetail
from kvmnet.core.planning.difference import Difference
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.stored_profiles import StoredDifference
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.from_host.live_changes import find_live_changes

LIVE = [Difference("mtu", 1500, 9000), RouteDetail({}), JoinsController("br0"), OptionReset("miimon", 50)]
RECORDED = [Adopted("br0"), Reason.PROFILE_COMPLETED, StoredDifference("mtu", 1500, 9000), Reason.NOT_RECORDED]


@pytest.mark.parametrize("detail", LIVE)
def test_a_setting_that_differs_is_live(bundle: Bundle, detail: Detail) -> None:
    change = Change("change", "eth0", (Reason.PROFILE_COMPLETED, detail))
    assert find_live_changes(Plan(bundle, changes=(change,))) == [change]


@pytest.mark.parametrize("detail", RECORDED)
def test_what_an_adoption_records_is_not_live(bundle: Bundle, detail: Detail) -> None:
    assert find_live_changes(Plan(bundle, changes=(Change("change", "eth0", (detail,)),))) == []


@pytest.mark.parametrize("kind", ["add", "remove", "rename"])
def test_interfaces_that_come_or_go_are_live(bundle: Bundle, kind: str) -> None:
    assert len(find_live_changes(Plan(bundle, changes=(Change(kind, "br0"),)))) == 1  # type: ignore[arg-type]
