"""An assessment in words."""

from __future__ import annotations

import json
from typing import Any

from kvmnet.core.assessment import Assessment
from kvmnet.core.live.running_guests import GuestNic, Running, RunningGuest
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.reporting.assessment_text import assessment_lines
from kvmnet.core.reporting.report import format_plan, format_plan_markdown
from tests.unit.core.samples import (
    NIC_LINE,
    VNET0,
    VNET5,
    impacts_of,
    live_of,
)


def test_guests_are_listed_below_the_changes(make_bundle: Any) -> None:
    nics = (RunningGuest("a", (GuestNic("bridge", "vnet5"),)), RunningGuest("b", (GuestNic("bridge", "vnet0"),)))
    live = live_of(make_bundle(), VNET0, VNET5, running=Running(guests=nics, problem="no answer within 8 s"))
    plan = make_plan(make_bundle(NIC_LINE), live)
    lines = assessment_lines(Assessment(plan, live))
    assert lines == [
        "guest a, vnet5 on br-eth0.5: disconnected: br-eth0.5 is removed",
        "untouched guests: b",
        ("note: libvirt is not available (no answer within 8 s): running guests are read from /run/libvirt/qemu"),
    ]
    assert format_plan(plan, lines).endswith("".join(f"{line}\n" for line in lines))
    assert f"\n- {lines[0]}\n" in format_plan_markdown(plan, notes=lines)
    assert json.loads(json.dumps([i.to_json() for i in impacts_of(plan, live)]))[0] == {
        **{"guest": "a", "device": "vnet5", "over": "br-eth0.5", "mac": ""},
        **{"how": "disconnected", "why": "br-eth0.5 is removed"},
    }
