"""Tests of kvmnet/core/reporting/review_json.py."""

from __future__ import annotations

import json

from kvmnet.core.reporting.review_json import review_to_json
from tests.unit.core.review.samples import CLUSTER, review_of


def test_a_review_as_plain_data() -> None:
    old = CLUSTER.replace("profile: rocks", "profile: plain")
    data = review_to_json(review_of(CLUSTER, old))
    assert json.loads(json.dumps(data)) == data
    assert data["totals"] == {
        "hosts": 2,
        "changed": 2,
        "new": 0,
        "removed": 0,
        "guests_disconnected": 1,
        "guests_interrupted": 0,
    }
    first, second = data["hosts"]
    assert first["host"] == "a" and {g["guest"] for g in first["guests"]} == {"web"}
    assert first["flags"]["renamed"] == ["eth0"] and first["flags"]["default_route"] == ["br-eth0"]
    assert {change["what"] for change in first["changes"]} >= {"rename", "add", "remove"}
    assert first["this_host"]["management"][0]["address"] == "10.1.0.10/16"
    assert second["guests"][0]["guest"] is None and second["guests"][0]["over"] == "br-eth0"
    assert [group["hosts"] for group in data["groups"]] == [["a"], ["b"]]


def test_flags_of_a_lost_host_and_the_guests_of_the_definition() -> None:
    data = review_to_json(review_of(CLUSTER.replace("10.1.0.11]", "10.1.0.99]").replace("host: a", "host: b")))
    flags = data["hosts"][0]["flags"]
    assert flags["management_address_lost"] and flags["seconds_away_at_most"] is None
    assert data["guests"] == [{"guest": "web", "event": "changed", "details": ["on host a -> on host b"]}]
