"""Actions of a removal: original profiles are activated. How the host is compared is in test_removal_check.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.system import clock, links, programs
from kvmnet.transaction import (
    removal_actions,
)


def test_another_profile_that_was_activated_since_is_not_reapplied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(programs, "run", lambda *words, **_: ran.append(" ".join(words[3:])) or "")
    monkeypatch.setattr(links, "read_links", lambda: {"eth0": {}, "eth1": {}, "eth2": {}, "eth3": {}})
    monkeypatch.setattr(clock, "wait_until", lambda what, *_: what())
    active = {"eth0": "u-0", "eth1": "u-theirs", "eth2": "u-2", "eth3": "u-theirs"}
    manager = SimpleNamespace(activated=lambda name: True, active=lambda names: {name: active[name] for name in names})
    context: Any = SimpleNamespace(manager=manager)
    step = {"profiles": {f"eth{n}": f"u-{n}" for n in range(4)}, "again": ["eth0", "eth1"]}
    removal_actions.activate_profiles(context, step)
    up = "connection up uuid u-{0} ifname eth{0}"
    assert ran == ["device reapply eth0", up.format(1), up.format(3)]
