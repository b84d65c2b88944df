"""Refusals about the firewall."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

import pytest

from kvmnet.core.planning.plan import make_plan
from tests.unit.core.refusals.samples import BUNDLE, host_with
from tests.unit.core.samples import notes_of, refusals_of

ZONED = replace(BUNDLE, profile_settings={"eth0": {"connection.zone": "intrnl"}})


def test_a_zone_that_firewalld_does_not_have_is_refused() -> None:
    live = host_with(zone_names=("internal", "public"))
    (refusal,) = refusals_of(make_plan(ZONED, live), live)
    assert refusal.code == "KVN518"
    assert refusal.message == "firewalld has no zone intrnl, which the definition sets for eth0"
    assert refusal.hint == "did you mean internal?"


@pytest.mark.parametrize("names", [None, ("intrnl",)])
def test_a_zone_is_not_refused_if_firewalld_has_it_or_does_not_run(names: Optional[tuple[str, ...]]) -> None:
    live = host_with(zone_names=names)
    assert refusals_of(make_plan(ZONED, live), live) == []


def test_a_zone_without_firewalld_is_noted() -> None:
    live = replace(host_with(), zones=None)
    note = "firewalld does not run: the zone of eth0 (intrnl) has an effect only once it runs"
    assert note in notes_of(make_plan(ZONED, live), live)
    assert note not in notes_of(make_plan(ZONED, replace(live, zones={})), replace(live, zones={}))
