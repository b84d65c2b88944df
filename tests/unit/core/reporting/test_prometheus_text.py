"""The metrics, read with the parser of Prometheus' own library and checked as `promtool check metrics` does."""

from __future__ import annotations

import re
from typing import Any, Optional

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from kvmnet.core.reporting.prometheus_text import format_metrics
from kvmnet.pull.record import PullRecord

LAST = {"at": 1700000000.5, "outcome": "rolled back", "verified": True}
SETTLED: dict[str, Any] = {
    "open": None,
    "applied": {"host": "kvm1", "digest": "sha256:ab"},
    "drift": [{"what": "change"}, {"what": "remove"}],
    "configuration": {"problem": ""},
    "last": LAST,
    "pull": {
        "repository": "u",
        "branch": "main",
        **PullRecord("f1", "f1", "f0", "refused", "x", "KVN571", 5.0).to_json(),
    },
}
#: Units that are no base units, and what ends the name of a metric of another type (promtool's linter).
OTHER_UNITS = re.compile(r"_(milliseconds|minutes|hours|kilobytes|bits|percent)(_|\Z)")


def families(report: dict[str, Any]) -> dict[str, Metric]:
    read = list(text_string_to_metric_families(format_metrics("1.2.3", report)))
    assert len({family.name for family in read}) == len(read), "a metric is listed twice"
    for family in read:
        assert family.samples and family.documentation and family.type == "gauge", family
        assert re.fullmatch(r"kvmnet_[a-z][a-z_]*", family.name), family.name
        assert not OTHER_UNITS.search(family.name) and not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert "gauge" not in family.name
        assert len({tuple(sorted(s.labels.items())) for s in family.samples}) == len(family.samples)
    return {family.name: family for family in read}


def value(report: dict[str, Any], name: str, **labels: str) -> Optional[float]:
    family = families(report).get(f"kvmnet_{name}")
    return next((s.value for s in family.samples if s.labels == labels), None) if family else None


def test_a_host_with_drift_that_is_behind_its_repository() -> None:
    assert value(SETTLED, "build_info", version="1.2.3") == 1
    assert value(SETTLED, "applied_info", host="kvm1", digest="sha256:ab") == 1
    assert value(SETTLED, "drift_changes") == 2
    assert value(SETTLED, "transaction_open") == 0
    assert value(SETTLED, "last_change_timestamp_seconds") == 1700000000.5
    assert value(SETTLED, "last_change_result", result="rolled back") == 1
    assert value(SETTLED, "last_change_result", result="kept") == 0
    assert value(SETTLED, "last_change_verified") == 1
    assert value(SETTLED, "pull_commit_info", fetched="f1", applied="f0") == 1
    assert value(SETTLED, "pull_behind") == 1
    assert value(SETTLED, "pull_last_run_result", result="refused") == 1
    assert value(SETTLED, "pull_last_run_result", result="applied") == 0
    assert value(SETTLED, "pull_last_run_timestamp_seconds") == 5
    assert value(SETTLED, "configuration_valid") == 1


def test_what_is_unknown_has_no_metric() -> None:
    """A drift of 0 during a transaction would be wrong."""
    is_open = {"open": {"at": 12.0}, "last": None, "pull": None, "configuration": {"problem": "x"}}
    assert families(is_open).keys() == {
        *("kvmnet_build_info", "kvmnet_transaction_open", "kvmnet_transaction_open_start_timestamp_seconds"),
        "kvmnet_configuration_valid",
    }
    assert value(is_open, "transaction_open") == 1 and value(is_open, "configuration_valid") == 0
    nothing = {"open": None, "applied": None, "last": None, "pull": None}
    assert value(nothing, "drift_changes") is None and value(nothing, "applied_info", host="", digest="") is None


@pytest.mark.parametrize(("outcome", "verified", "expected"), [("kept", None, 1), ("rolled back", False, 0)])
def test_a_rollback_that_was_not_verified_is_seen(outcome: str, verified: Optional[bool], expected: float) -> None:
    report = {**SETTLED, "last": {"at": 1.0, "outcome": outcome, "verified": verified}}
    assert value(report, "last_change_verified") == expected


def test_an_outcome_of_another_version_is_a_series_of_its_own() -> None:
    report = {**SETTLED, "last": {**LAST, "outcome": "unknown"}}
    assert value(report, "last_change_result", result="unknown") == 1


def test_labels_are_escaped() -> None:
    name = 'a"b\\c\nd'
    report = {**SETTLED, "applied": {"host": name, "digest": "x"}}
    assert value(report, "applied_info", host=name, digest="x") == 1
    odd = {**SETTLED, "applied": {"host": "\udcff", "digest": "x"}}
    format_metrics("1", odd).encode("utf-8")
