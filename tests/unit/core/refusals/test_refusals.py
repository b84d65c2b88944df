"""The registry of refusals: when they apply, how they are reported and overridden, their pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core import catalogue, refusals
from kvmnet.core.base.errors import Refused, Usage
from kvmnet.core.live.surroundings import Room, Surroundings
from kvmnet.core.planning.plan import make_plan
from tests.unit.core.refusals.samples import (
    BUNDLE,
    RECORDED,
    find_messages,
    host_with,
)
from tests.unit.core.samples import after, before, judge


def test_an_ordinary_host_is_not_refused() -> None:
    assert find_messages(before()) == []
    assert find_messages(RECORDED) == []
    assert find_messages(after(BUNDLE)) == []


def test_a_plan_that_only_writes_kvmnets_record_is_refused_for_few_reasons() -> None:
    facts = Surroundings(cluster=("corosync",), cloud_init="x", boot_network=("ip=dhcp",), room=(Room("/var", 0),))
    live = replace(after(BUNDLE), surroundings=facts, checkpoints=("/x",))
    assert find_messages(live) == []
    unrecorded = replace(live, applied=None)
    assert [c for c, _ in find_messages(unrecorded)] == ["KVN507", "KVN510"], (
        "kvmnet writes its record, but does not change the network"
    )


def test_all_refusals_are_reported_together_and_some_can_be_overridden() -> None:
    live = host_with(cluster=("corosync",), cloud_init="/run/cloud-init/enabled", unmanaged=("eth0",))
    plan = make_plan(BUNDLE, live)
    with pytest.raises(Refused) as error:
        judge(plan, live)
    lines = error.value.lines()
    assert [line[:6] for line in lines if line.startswith("KVN")] == ["KVN511", "KVN531", "KVN543"]
    assert "  more: kvmnet explain KVN511; to override: --allow KVN511" in lines
    assert "  more: kvmnet explain KVN531" in lines
    with pytest.raises(Refused) as error:
        judge(plan, live, refusals.parse_allowed_codes(["kvn511", "KVN543"]))
    assert (error.value.code, error.value.additional) == ("KVN531", ())


@pytest.mark.parametrize("code", ["KVN500", "KVN501", "KVN502", "KVN503", "KVN531", "KVN101", "KVN999", "x"])
def test_other_codes_cannot_be_overridden(code: str) -> None:
    with pytest.raises(Usage, match=f"{code} cannot be overridden"):
        refusals.parse_allowed_codes([code])


def test_every_page_states_whether_the_refusal_can_be_overridden() -> None:
    pages = {entry.code: entry.page for entry in catalogue.all_codes() if entry.code.startswith("KVN5")}
    assert len(pages) >= 25
    for code, page in pages.items():
        try:
            refusals.parse_allowed_codes([code])
        except Usage:
            options = {
                "KVN527": "use `--allow-guest-loss GUEST` with plan, apply, rollback and remove.",
                "KVN536": "use `--adopt` with plan and apply.",
            }
            assert page.endswith(options.get(code, "This refusal cannot be overridden.")), code
        else:
            commands = (
                "plan, apply, rollback and remove" if code in refusals.REMOVAL_CODES else "plan, apply and rollback"
            )
            commands = {"KVN517": "plan and apply", **dict.fromkeys(("KVN564", "KVN565"), "guest xml")}.get(
                code, commands
            )
            assert page.endswith(f"To override this refusal, use `--allow {code}` with {commands}."), code


def test_every_refusal_has_a_test() -> None:
    refusals.load()
    folder = Path(__file__).parents[1]
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.py") if path.name != Path(__file__).name]
    assert [code for code in refusals._REFUSALS if not any(f'"{code}"' in text for text in texts)] == []
