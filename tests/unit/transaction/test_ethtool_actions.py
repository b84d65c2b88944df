"""Settings of ethtool that NetworkManager has not set."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.transaction import ethtool_actions
from kvmnet.transaction.action_context import Context, StepFailed

WANTED = {"eth0": {"feature": {"rx-gro": False}, "ring": {"rx": 4096}}}


class Nic:
    """A NIC in the kernel and in NetworkManager: it has `before`, and `after` once its profile is activated."""

    def __init__(self, before: dict[str, Any], after: dict[str, Any], has_profile: bool = True) -> None:
        self.current, self.after, self.has_profile = before, after, has_profile
        self.calls: list[tuple[str, str]] = []

    def show(self, kernel_only: bool) -> dict[str, Any]:
        assert kernel_only
        return {"interfaces": [{"name": "eth0", "ethtool": self.current}, {"name": "eth1"}]}

    def active(self, names: Any) -> dict[str, str]:
        return dict.fromkeys(names, "u-1") if self.has_profile else {}

    def activate(self, uuid: str, interface: str) -> None:
        self.calls.append((uuid, interface))
        self.current = self.after

    def activated(self, interface: str) -> bool:
        return True


def check(nic: Nic, tmp_path: Path) -> str:
    context: Any = SimpleNamespace(folder=tmp_path, backend=nic, manager=nic)
    assert set(Context.__dataclass_fields__) >= set(vars(context))
    return ethtool_actions.check_ethtool(context, {"interfaces": WANTED})


def test_a_nic_that_has_its_settings_is_not_activated(tmp_path: Path) -> None:
    nic = Nic({**WANTED["eth0"], "pause": {"rx": True}}, {})
    assert check(nic, tmp_path) == "no change needed"
    assert nic.calls == []


def test_the_profile_of_a_nic_that_differs_is_activated(tmp_path: Path) -> None:
    nic = Nic({"feature": {"rx-gro": True}, "ring": {"rx": 4096}}, WANTED["eth0"])
    assert check(nic, tmp_path) == "set by activating eth0"
    assert nic.calls == [("u-1", "eth0")]


def test_a_value_that_the_driver_does_not_take_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ethtool_actions, "ACTIVATION_SECONDS", 0.05)
    nic = Nic({"feature": {"rx-gro": False}, "ring": {"rx": 256}}, {"feature": {"rx-gro": False}, "ring": {"rx": 4078}})
    with pytest.raises(StepFailed, match=r"eth0: ethtool\.ring\.rx is 4078, not 4096: if the driver"):
        check(nic, tmp_path)


def test_a_nic_without_an_active_profile_fails(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="eth0 has no active connection profile"):
        check(Nic({}, {}, has_profile=False), tmp_path)
