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


#: What a definition passes through, and the first version of nmstate that has it.
PASSED = [
    ("eth0.6: {network: six, nmstate: {vlan: {registration-protocol: gvrp}}}", "2.2.20", "2.2.21"),
    ("eth0.6: {network: six, nmstate: {vlan: {protocol: 802.1ad}}}", "", "2.2.9"),
    (
        "eth1: {nmstate: {ethernet: {sr-iov: {total-vfs: 1, vfs: [{id: 0, vlan-id: 5, vlan-proto: 802.1ad}]}}}}",
        "2.2.21",
        "2.2.22",
    ),
    ("eth1: {nmstate: {ethernet: {sr-iov: {total-vfs: 1, vfs: [{id: 0, vlan-id: 5}]}}}}", "", "2.2.9"),
]


@pytest.mark.parametrize(("interface", "last", "first"), PASSED)
def test_a_setting_of_a_newer_nmstate_is_refused(tmp_path: Path, interface: str, last: str, first: str) -> None:
    text = PLAIN.replace("networks:", "networks:\n  six: {vlan: 6}", 1)
    line = next(line for line in text.splitlines() if line.strip().startswith("eth0:"))
    indent = line[: len(line) - len(line.lstrip())]
    bundle = bundle_of(tmp_path, text.replace(line, f"{line}\n{indent}{interface}"))
    for version, expected in ((last, ["KVN556"]), (first, []), ("2.2.62", [])):
        live = replace(bare(), nmstate=version)
        refusals = refusals_of(make_plan(bundle, live), live, ["KVN556"])
        assert [r.code for r in refusals] == (expected if version else [])
        assert all(first in r.hint for r in refusals)
