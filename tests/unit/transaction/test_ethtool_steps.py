"""The step that sees to settings of ethtool."""

from __future__ import annotations

from pathlib import Path

from kvmnet.core.planning.plan import make_plan
from kvmnet.transaction.ethtool_steps import check_ethtool
from tests.unit.core.samples import PLAIN, bare, bundle_of


def test_only_interfaces_with_settings_of_ethtool_are_checked(tmp_path: Path) -> None:
    tuned = PLAIN.replace("bridge: false", "bridge: false, nmstate: {ethtool: {feature: {rx-gro: false}}}")
    (step,) = check_ethtool(make_plan(bundle_of(tmp_path, tuned), bare()))
    assert step["interfaces"] == {"eth0": {"feature": {"rx-gro": False}}}
    assert (step["title"], step["undo"]) == ("check the ethtool settings of eth0", [])
    assert check_ethtool(make_plan(bundle_of(tmp_path, PLAIN), bare())) == []
