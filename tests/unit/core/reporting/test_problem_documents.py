"""Tests of kvmnet/core/reporting/problem_documents.py: SARIF and GitLab's code quality report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.reporting.problem_documents import REPORTERS

TEXT = """
kvmnet: 1
cluster: c
profile: plain
networks:
  lan: {subnets: [10.1.0.0/16]}
hosts:
  a: {interfaces: {eth0: {network: lam, addresses: [10.1.0.1/16], mac: 00:14:4f:80:de:00}}}
  b: {interfaces: {eth0: {network: lan, addresses: [10.1.0.1], mac: 00:14:4f:80:de:00}}}
  c:
    silence: [{code: KVN123, reason: a test machine}]
    interfaces: {eth0: {network: lan, mac: 52:54:00:00:00:01, addresses: [10.1.0.3]}}
"""


def report(name: str, text: str = TEXT, file: str = "a b/cluster.yaml") -> Any:
    definition = pipeline.check([Source(file, text)])
    return json.loads(REPORTERS[name](definition.problems, definition.sources, definition.silenced))


def test_a_sarif_log_has_a_result_for_each_problem_with_its_rule_and_place() -> None:
    log = report("sarif")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    definition = pipeline.check([Source("f", TEXT)])
    errors = [r for r in run["results"] if "suppressions" not in r]
    assert len(errors) == len(definition.problems) > 2
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] and result["level"] in ("error", "warning")
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "a%20b/cluster.yaml" and place["region"]["startLine"] >= 1
        assert result["message"]["text"].endswith((".", "?"))
    assert all(rule["fullDescription"]["text"] and rule["help"]["text"] for rule in rules)
    assert log["version"] == "2.1.0" and run["columnKind"] == "unicodeCodePoints"


def test_a_suppressed_warning_is_a_result_with_its_reason() -> None:
    results = report("sarif")["runs"][0]["results"]
    (suppressed,) = [r for r in results if "suppressions" in r]
    assert suppressed["ruleId"] == "KVN123"
    assert suppressed["suppressions"][0]["justification"] == "a test machine"
    assert suppressed["suppressions"][0]["location"]["physicalLocation"]["region"]["startLine"] == 11


def test_other_places_of_a_problem_are_related_locations() -> None:
    results = report("sarif")["runs"][0]["results"]
    related = [r["relatedLocations"] for r in results if "relatedLocations" in r]
    assert related and all(row["message"]["text"] and row["physicalLocation"] for rows in related for row in rows)


def test_a_gitlab_report_has_the_keys_that_gitlab_reads() -> None:
    rows = report("gitlab")
    assert rows and all(
        set(row) == {"description", "check_name", "fingerprint", "severity", "location"} for row in rows
    )
    assert {row["severity"] for row in rows} <= {"critical", "minor"}
    assert rows[0]["location"]["path"] == "a b/cluster.yaml" and rows[0]["location"]["lines"]["begin"] >= 1


@pytest.mark.parametrize("name", ["sarif", "gitlab"])
def test_fingerprints_are_unique_and_stay_when_lines_above_move(name: str) -> None:
    def fingerprints(text: str) -> list[str]:
        document = report(name, text)
        if name == "gitlab":
            return [row["fingerprint"] for row in document]
        return [r["partialFingerprints"]["kvmnet/v1"] for r in document["runs"][0]["results"]]

    before = fingerprints(TEXT)
    assert len(set(before)) == len(before)
    assert fingerprints("# a comment\n" * 7 + TEXT) == before
    assert fingerprints(TEXT.replace("lam", "lame")) != before


@pytest.mark.parametrize("name", ["sarif", "gitlab"])
def test_a_definition_without_problems_gives_an_empty_report(name: str) -> None:
    text = "kvmnet: 1\ncluster: c\nprofile: plain\nhosts: {}\n"
    document = report(name, text)
    assert document == [] if name == "gitlab" else document["runs"][0]["results"] == []


def test_paths_do_not_begin_with_a_dot() -> None:
    """GitLab ignores a path that begins with "./"."""
    assert report("gitlab", file="./site/cluster.yaml")[0]["location"]["path"] == "site/cluster.yaml"
    (place,) = report("sarif", file="./site/cluster.yaml")["runs"][0]["results"][0]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "site/cluster.yaml"
