"""Refusals of what the host's version of nmstate cannot do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.planning.plan import make_plan
from tests.unit.core.samples import PLAIN, bare, bundle_of, refusals_of

CODE = "KVN519"


@pytest.mark.parametrize(("version", "refused"), [("2.2.9", True), ("2.2.10", False), ("2.2.62", False), ("", False)])
@pytest.mark.parametrize("source", ["ipv4: dhcp", "ipv4: static"])
def test_static_addresses_beside_dhcp_need_a_newer_nmstate(
    tmp_path: Path, version: str, refused: bool, source: str
) -> None:
    bundle = bundle_of(tmp_path, PLAIN.replace("bridge: false", f"bridge: false, {source}"))
    live = replace(bare(), nmstate=version)
    refusals = refusals_of(make_plan(bundle, live), live, [CODE])
    assert [r.code for r in refusals] == ([CODE] if refused and "dhcp" in source else [])
    assert all("would ignore the address" in r.message for r in refusals)
