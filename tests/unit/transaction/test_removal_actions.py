"""Actions of a removal: original profiles are activated, the host is compared with the original."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.rescue import restore
from kvmnet.system import clock, links, networkmanager, programs
from kvmnet.transaction import (
    removal_actions,
)
from kvmnet.transaction.action_context import StepFailed


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


def test_a_profile_of_kvmnet_that_is_left_fails_the_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyfile = tmp_path / "br5.nmconnection"
    keyfile.write_text("[connection]\nuuid=u-br5\n")
    (tmp_path / "original").mkdir()
    nothing: dict[str, Any] = {"files": [], "uuids": [], "links": {}}
    (tmp_path / "original" / "snapshot.json").write_text(json.dumps(nothing))
    monkeypatch.setattr(networkmanager, "PROFILE_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(links, "read_links", dict)
    monkeypatch.setattr(restore, "SETTLE_SECONDS", 0)
    context: Any = SimpleNamespace(folder=tmp_path)
    with pytest.raises(StepFailed, match=f"file {keyfile}: kvmnet created it, and it still exists"):
        removal_actions.compare_with_original(context, {"gone": ["u-br5"]})
    keyfile.unlink()
    assert removal_actions.compare_with_original(context, {"gone": ["u-br5"]}) == "0 NICs, 0 files as before"
