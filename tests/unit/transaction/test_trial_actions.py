"""Actions of the trial: the checkpoint, DHCP identifiers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.transaction import (
    trial_actions,
)
from kvmnet.transaction.action_context import Context, StepFailed


class Checkpoints:
    """A NetworkManager with checkpoints: creation time by path."""

    def __init__(self, **made: int) -> None:
        self.made = {f"/Checkpoint/{name}": at for name, at in made.items()}

    def checkpoints(self) -> list[str]:
        return list(self.made)

    def created(self, path: str) -> int:
        return self.made[path]

    def destroy_checkpoint(self, path: str) -> None:
        del self.made[path]


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (Checkpoints(a=300, b=100), True),
        (Checkpoints(b=100), False),  # its timeout has passed
        (Checkpoints(a=350), False),  # NetworkManager was restarted, and another tool's checkpoint has the path
    ],
)
def test_only_the_checkpoint_of_the_trial_is_destroyed(tmp_path: Path, later: Checkpoints, kept: bool) -> None:
    def applied(state: Any, timeout: int, log: Path, *, verify: bool, limit: float) -> None:
        assert (timeout, limit) == (120, 140), "the worker gives up before the watchdog"
        log.write_text("Created checkpoint /Checkpoint/a\n")

    def context(manager: Checkpoints) -> Any:
        return Context(tmp_path, SimpleNamespace(apply=applied), manager)  # type: ignore[arg-type]

    step = {"state": {}, "timeout": 120, "log": "nmstate.log", "limit": 150}
    assert trial_actions.apply_state(context(Checkpoints(a=300)), step) == "/Checkpoint/a"
    before = dict(later.made)
    if kept:
        assert trial_actions.commit_trial(context(later), step) == "/Checkpoint/a"
        assert list(later.made) == ["/Checkpoint/b"]
    else:
        with pytest.raises(StepFailed, match="the trial's checkpoint is gone"):
            trial_actions.commit_trial(context(later), step)
        assert later.made == before


def test_only_iaids_that_nmstate_has_set_are_replaced() -> None:
    calls: list[Any] = []
    by = {"u-1": "mac", "u-2": "7"}
    manager = SimpleNamespace(
        active=lambda names: {"br0": "u-1", "br1": "u-2"},
        value=lambda uuid, setting, key: by[uuid] if (setting, key) == ("ipv6", "dhcp-iaid") else None,
        change_in_memory=lambda *change: calls.append(change),
        reapply=calls.append,
    )
    context: Any = SimpleNamespace(manager=manager)
    assert trial_actions.keep_dhcp_iaids(context, {"interfaces": {"br0": "5", "br1": "6"}}) == "br0 5"
    assert calls == [("u-1", {"ipv6": {"dhcp-iaid": ("s", "5")}}), "br0"]
    with pytest.raises(StepFailed, match="br2 has no active connection profile"):
        trial_actions.keep_dhcp_iaids(context, {"interfaces": {"br2": "5"}})
