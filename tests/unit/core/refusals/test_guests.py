"""Refusals about running guests (see also tests/unit/core/effects/test_impact.py)."""

from __future__ import annotations

from dataclasses import replace

from kvmnet.core.live.live_host import Link
from kvmnet.pipeline import load
from tests.unit.core.refusals.samples import (
    BUNDLE,
    find_messages,
)
from tests.unit.core.samples import after


def test_a_vlan_that_running_guests_use_cannot_become_permanent() -> None:
    bundle = load("tests/golden/good/attach/cluster.yaml").bundle("a")
    live = after(BUNDLE)
    device = {"name": "peth0.3", "type": "vlan", "state": "ignore"}
    unused = replace(
        live,
        state={**live.state, "interfaces": [*live.state["interfaces"], device]},
        links={**live.links, "peth0.3": Link("peth0.3", None, "vlan", base="peth0")},
    )
    assert "KVN526" not in [code for code, _ in find_messages(unused, bundle)]
    guest = Link("macvtap0", None, "macvtap", base="peth0.3")
    used = replace(unused, links={**unused.links, "macvtap0": guest})
    message = "peth0.3 would become a permanent VLAN, but running guests use it: macvtap0"
    messages = find_messages(used, bundle)
    assert ("KVN526", message) in messages and "KVN524" not in [code for code, _ in messages]
    with_own_macvtap = replace(unused, links={**unused.links, "mvt-c00002": replace(guest, name="mvt-c00002")})
    assert "KVN526" not in [code for code, _ in find_messages(with_own_macvtap, bundle)]
