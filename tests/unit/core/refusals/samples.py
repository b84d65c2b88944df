"""Hosts and helpers for the tests of refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load
from tests.unit.core.samples import before, judge, refusals_of

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
RECORDED = Live.from_json(json.loads((Path(__file__).parents[3] / "recorded/seed-trixie.json").read_text()))
ETH0 = before().links["eth0"]
OTHER_NIC = Link("eth1", "00:00:00:00:00:09", None)


def find_messages(live: Live, bundle: Bundle = BUNDLE) -> list[tuple[str, str]]:
    """Return the code and message of each refusal of a bundle on a host."""
    return [(r.code, r.message) for r in refusals_of(make_plan(bundle, live), live)]


def find_codes(live: Live, bundle: Bundle = BUNDLE) -> list[str]:
    """Return the code of each refusal of a bundle on a host."""
    return [code for code, _ in find_messages(live, bundle)]


def host_with(**facts: Any) -> Live:
    """Return a host before kvmnet with these surroundings."""
    return replace(before(), surroundings=Surroundings(**facts))


def links_with(*others: Link, nic: Link = ETH0) -> dict[str, Link]:
    """Return the links of a host with one NIC and other links."""
    return {link.name: link for link in (Link("lo", None, None), nic, *others)}


def assert_refused(code: str, live: Live, message: str) -> None:
    """Check that the bundle is refused on a host with this code only, and with a hint."""
    assert Live.from_json(json.loads(json.dumps(live.to_json()))) == live, "a recording contains what is needed"
    messages = find_messages(live)
    assert [c for c, _ in messages] == [code], messages
    assert message in messages[0][1]
    with pytest.raises(Refused) as error:
        judge(make_plan(BUNDLE, live), live)
    assert error.value.exit_code == 5
    lines = error.value.lines()
    assert lines[0].startswith(f"{code}: ") and lines[1].startswith("  hint: ")
    assert f"kvmnet explain {code}" in lines[2]
