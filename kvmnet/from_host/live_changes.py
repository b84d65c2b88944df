"""Finds what a plan would change on the live host, apart from what an adoption records and completes."""

from __future__ import annotations

from kvmnet.core.planning.changes import Change, JoinsController, OptionReset, RouteDetail
from kvmnet.core.planning.difference import Difference
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.profile_changes import Place, SettingDifference
from kvmnet.core.planning.stored_profiles import StoredDifference

_LIVE_KINDS = ("add", "remove", "rename")


def find_live_changes(plan: Plan) -> list[Change]:
    """Return the changes of a plan that the kernel would see: settings of interfaces, routes and name servers. Profiles
    and kvmnet's own files are none."""
    return [change for change in plan.changes if change.kind in _LIVE_KINDS or any(map(_is_live, change.details))]


def _is_live(detail: object) -> bool:
    if isinstance(detail, StoredDifference):
        return False
    if isinstance(detail, SettingDifference):
        return detail.place is Place.KERNEL
    return isinstance(detail, (Difference, RouteDetail, JoinsController, OptionReset))
