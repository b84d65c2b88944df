"""Tests of kvmnet/core/reporting/review_text.py: text and Markdown of a review, within a limit."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from kvmnet.core.planning.changes import Change
from kvmnet.core.planning.difference import Difference
from kvmnet.core.reporting.review_text import COMMENT_LIMIT, MARKER, format_review, format_review_markdown
from kvmnet.core.review.host_review import HostReview
from kvmnet.core.review.review import Review
from tests.unit.core.review.samples import CLUSTER, review_of


def many(number: int) -> Review:
    """A review of hosts of which each has a change of its own."""
    (host,) = review_of(CLUSTER.replace("10.1.0.11]", "10.1.0.99]")).hosts
    hosts = [
        replace(host, host=f"host-{n}", changes=(Change("change", "eth0", (Difference("mtu", 1500, n),)),))
        for n in range(number)
    ]
    return Review(tuple(hosts), number)


def test_text_begins_with_the_totals() -> None:
    lines = format_review(review_of(CLUSTER.replace("10.1.0.1}", "10.1.0.2}"))).splitlines()
    assert lines[:3] == ["2 of 2 hosts change", "the interface with the default route is affected: a, b", ""]
    assert lines[3] == "2 hosts: a, b: 2 changes [default route]"
    assert lines[-1] == "  untouched guests: web"


def test_equal_versions_have_one_line() -> None:
    assert format_review(review_of(CLUSTER)) == "no difference in 2 hosts\n"
    assert format_review_markdown(review_of(CLUSTER)) == f"{MARKER}\n### no difference in 2 hosts\n\n"


def test_what_is_severe_is_in_the_totals() -> None:
    text = format_review(review_of(CLUSTER, CLUSTER.replace("profile: rocks", "profile: plain")))
    assert "NICs are renamed: a, b" in text and "without network for at most" in text
    assert "guests of the definition, if all are running: 1 disconnected" in text
    lost = format_review(review_of(CLUSTER.replace("10.1.0.11]", "10.1.0.99]")))
    assert "management address on no interface afterwards: b" in lost
    assert "b: 1 change [no interface has the management address afterwards" in lost


def test_markdown_has_the_marker_and_a_part_to_open_for_each_change() -> None:
    text = format_review_markdown(review_of(CLUSTER.replace("10.1.0.1}", "10.1.0.2}")))
    assert text.startswith(MARKER + "\n### 2 of 2 hosts change\n")
    assert text.count("<details><summary>") == text.count("</details>") > 0
    assert text.count("```") == 2 * text.count("<details>")


def test_text_of_the_definition_is_no_markdown() -> None:
    odd = CLUSTER.replace('mac: "00:14:4f:00:00:0a"', 'description: "```` </details> @all", mac: "00:14:4f:00:00:0a"')
    text = format_review_markdown(review_of(odd))
    assert "`````text" in text and text.count("`````") == 2
    renamed = format_review_markdown(
        review_of(CLUSTER.replace("a: {group", "a_b: {group").replace("host: a", "host: a_b"))
    )
    assert "a -&gt; a\\_b" in renamed.partition("```")[0]


@pytest.mark.parametrize("limit", [2000, 5000, COMMENT_LIMIT])
@pytest.mark.parametrize("form", [format_review, format_review_markdown])
def test_a_cut_text_keeps_the_limit_and_names_what_is_missing(form: object, limit: int) -> None:
    text = form(many(900), limit)  # type: ignore[operator]
    assert len(text) <= limit and text.count("```") % 2 == 0
    assert text.splitlines()[-1].endswith("`kvmnet diff --limit 0` prints everything")
    assert f"cut at {limit:,} characters: " in text and "left out: host-" in text
    assert text.count("<details>") == text.count("</details>")


def test_without_a_limit_nothing_is_cut() -> None:
    text = format_review(many(300))
    assert all(f"host-{n}: 1 change" in text for n in range(300)) and "cut at" not in text
    assert format_review(many(300), 10**7) == text


def test_every_change_has_a_line_before_one_has_details() -> None:
    text = format_review_markdown(many(100), 20_000)
    assert all(f"host-{n}" in text for n in range(100)) and "left out" not in text
    assert "hosts without details: host-" in text


def test_ten_thousand_changes_are_formatted_in_linear_time() -> None:
    def seconds(number: int) -> float:
        review = many(number)
        start = time.process_time()
        assert len(format_review_markdown(review)) <= COMMENT_LIMIT
        return time.process_time() - start

    assert seconds(10_000) < 8 * max(seconds(2500), 0.02)


def test_ten_thousand_hosts_with_one_change_are_one_part() -> None:
    (host,) = review_of(CLUSTER.replace("10.1.0.11]", "10.1.0.99]")).hosts
    hosts: list[HostReview] = [replace(host, host=f"host-{n}") for n in range(10_000)]
    text = format_review_markdown(Review(tuple(hosts), 10_000))
    assert text.count("<details>") == 1 and len(text) < 10_000
    assert "hosts: host-0, " in text and "and 9,800 more" in text
