"""The step that sees to the settings of ethtool that are passed through to nmstate."""

from __future__ import annotations

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.planning.plan import Plan
from kvmnet.system import operations
from kvmnet.transaction.naming_actions import ACTIVATION_SECONDS
from kvmnet.transaction.step import STEP_LIMIT, Step, step


def check_ethtool(plan: Plan) -> list[Step]:
    """The step that finds out whether the NICs have the settings of ethtool, and activates their profiles otherwise.

    NetworkManager (1.42 to 1.54) sets them only when it activates a profile. It cannot reapply one in which they
    differ, so nmstate activates that. But when only the NIC differs, it reapplies the unchanged profile, which leaves
    the NIC as it is. The trial's checkpoint undoes this step too."""
    wanted = {i["name"]: i["ethtool"] for i in interfaces_of(plan.state) if i.get("state") == "up" and i.get("ethtool")}
    if not wanted:
        return []
    title = f"check the ethtool settings of {', '.join(wanted)}"
    return [step(operations.CHECK_ETHTOOL, title, limit=STEP_LIMIT + 2 * ACTIVATION_SECONDS, interfaces=wanted)]
