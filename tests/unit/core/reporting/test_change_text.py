"""The changes of a plan in words."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.planning.changes import (
    Change,
    Detail,
    FileRestored,
    InactiveProfile,
    JoinsController,
    LeftDefinition,
    NewName,
    OptionReset,
    Reason,
    RouteDetail,
    hostname_change,
)
from kvmnet.core.planning.difference import Difference
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.reporting.change_text import changes_to_json, detail_text, plan_to_json
from tests.unit.core.samples import MAC, after, before

ROUTE = {"destination": "10.9.0.0/16", "next-hop-address": "10.1.1.2", "next-hop-interface": "eth0"}


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        (Difference("ipv4.dhcp", False, True), "ipv4.dhcp: false -> true"),
        (
            Difference("ipv4.address", [], [{"ip": "10.1.0.5", "prefix-length": 16}]),
            "ipv4.address: none -> 10.1.0.5/16",
        ),
        (Difference("bridge.port", None, [{"name": "peth0"}]), "bridge.port: none -> peth0"),
        (Difference("", "absent", "linux-bridge"), "absent -> linux-bridge"),
        (NewName("peth0", MAC), f"to peth0, the NIC with MAC {MAC}"),
        (JoinsController("br0"), "becomes a port of br0"),
        (OptionReset("primary", "eth0"), "primary: eth0 -> its default"),
        (RouteDetail(ROUTE), "10.9.0.0/16 via 10.1.1.2 dev eth0"),
        (LeftDefinition("vlan"), "the vlan is no longer in the definition"),
        (
            InactiveProfile("br5", True),
            "the connection profile of br5, which is inactive and no longer in the definition",
        ),
        (InactiveProfile("br5", False), "the connection profile of br5, which is inactive and was created by kvmnet"),
        (FileRestored("2026-11-30"), "restored to its content of 2026-11-30"),
        (FileRestored("2026-11-30", existed=False), "did not exist on 2026-11-30"),
    ],
)
def test_each_detail_has_a_text(detail: Detail, text: str) -> None:
    assert detail_text(detail) == text


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_a_text(reason: Reason) -> None:
    assert detail_text(reason)


def test_changes_as_json_keep_their_keys() -> None:
    assert changes_to_json([hostname_change(None, "hv1"), Change("remove", "/etc/x")]) == [
        {"what": "change", "name": "hostname", "details": ["none -> hv1"]},
        {"what": "remove", "name": "/etc/x", "details": []},
    ]


def test_a_plan_as_json_keeps_its_keys(bundle: Bundle) -> None:
    data: dict[str, Any] = plan_to_json(make_plan(bundle, before()))
    assert list(data) == ["host", "digest", "empty", "changes", "state"]
    assert (data["host"], data["empty"], data["changes"][0]["what"]) == ("vm-container-0-0", False, "rename")
    assert plan_to_json(make_plan(bundle, after(bundle)))["empty"] is True
