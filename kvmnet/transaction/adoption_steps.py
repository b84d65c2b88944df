"""The steps of an adoption: guests' ports go to the bridge that replaces theirs, and settings go with addresses."""

from __future__ import annotations

from typing import Any

from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.adoption import find_uplinks
from kvmnet.core.planning.carried_settings import carried_settings
from kvmnet.core.planning.plan import Plan
from kvmnet.system import operations
from kvmnet.transaction.step import STEP_LIMIT, Step, step, undo_spec


def find_hand_overs(plan: Plan, live: Live) -> list[dict[str, Any]]:
    """Return the bridges that are replaced, as plain data: `from`, `to`, and the `uplinks` by their new names."""
    return [
        {
            "from": old,
            "to": new,
            "uplinks": [plan.new_names.get(uplink.name, uplink.name) for uplink in find_uplinks(old, live)],
        }
        for old, new in plan.replaced.items()
    ]


def hand_over_ports(plan: Plan, live: Live) -> list[Step]:
    """The step that moves what guests' ports the replaced bridges still have, or had until they were removed. In a
    trial the step before has moved them already, as soon as the new bridge had an uplink. Each port needs some
    programs, one after the other."""
    if not plan.replaced:
        return []
    limit = STEP_LIMIT + 2 * sum(link.master in plan.replaced for link in live.links.values())
    title = "; ".join(f"hand over the guests' ports of {old} to {new}" for old, new in plan.replaced.items())
    undo = [undo_spec(operations.UNDO_PORTS)]
    return [step(operations.HAND_OVER, title, undo, limit=limit, bridges=dict(plan.replaced))]


def keep_settings(plan: Plan, live: Live) -> list[Step]:
    """The step that sets what nmstate has overwritten of the settings that came with the addresses of another
    interface. The trial's checkpoint undoes this step too."""
    sent = {i["name"] for i in plan.state.get("interfaces", [])}
    settings = {
        name: carried for name in plan.moves if name in sent and (carried := carried_settings(name, plan, live))
    }
    if not settings:
        return []
    title = "keep " + ", ".join(f"what {name} takes over from {plan.moves[name]}" for name in settings)
    return [step(operations.KEEP_SETTINGS, title, limit=STEP_LIMIT + len(settings), settings=settings)]
