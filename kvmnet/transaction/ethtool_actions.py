"""The action of ethtool_steps: settings of ethtool that NetworkManager has not set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.planning.difference import Difference, interface_differences
from kvmnet.system import clock
from kvmnet.transaction.action_context import Context, StepFailed
from kvmnet.transaction.naming_actions import ACTIVATION_SECONDS
from kvmnet.transaction.step import Step


def check_ethtool(context: Context, step: Step) -> str:
    """Activate the profiles of the NICs whose settings of ethtool differ, and wait until they have them."""
    wanted = step["interfaces"]
    wrong = list(_find_differences(context, wanted))
    if not wrong:
        return "no change needed"
    profiles = context.manager.active(wrong)
    for name in wrong:
        if name not in profiles:
            raise StepFailed(f"{name} has no active connection profile")
        context.manager.activate(profiles[name], name)
    if not clock.wait_until(lambda: not _find_differences(context, wanted), ACTIVATION_SECONDS, 0.3):
        lines = [
            f"{name}: {one.path} is {one.live}, not {one.desired}"
            for name, found in _find_differences(context, wanted).items()
            for one in found
        ]
        raise StepFailed("; ".join(lines) + ": if the driver has set another value, state that one")
    if not clock.wait_until(lambda: all(map(context.manager.activated, wrong)), ACTIVATION_SECONDS, 0.05):
        raise StepFailed(f"NetworkManager did not activate {', '.join(wrong)} within {ACTIVATION_SECONDS} s")
    return f"set by activating {', '.join(wrong)}"


def _find_differences(context: Context, wanted: Mapping[str, Any]) -> dict[str, list[Difference]]:
    """Return the settings of ethtool that differ in the kernel, by interface; none for those that have all."""
    live = {i["name"]: i.get("ethtool", {}) for i in interfaces_of(context.backend.show(kernel_only=True))}
    differences = {
        name: interface_differences({"ethtool": settings}, {"ethtool": live.get(name, {})})
        for name, settings in wanted.items()
    }
    return {name: found for name, found in differences.items() if found}
