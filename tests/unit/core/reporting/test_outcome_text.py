"""The last line of a transaction: how it ended, and for how long the host was unreachable."""

from __future__ import annotations

from kvmnet.core.reporting.report import event_text, outcome_text


def test_a_kept_change_names_its_outage() -> None:
    assert outcome_text(0, 0.4, "10.1.1.1").endswith("(10.1.1.1 was out of reach for 0.4 s at most)")
    assert outcome_text(0, 0.4, "10.1.1.1", at_most=9.1).endswith("(10.1.1.1 was out of reach for 0.4 s at most)")


def test_a_rollback_names_the_upper_bound_of_the_outage_too() -> None:
    assert "rolled back" in outcome_text(3, None, None)
    assert outcome_text(3, None, None, at_most=9.1).endswith("(the host's addresses were away for 9.1 s at most)")
    both = (
        "(10.1.1.1 was out of reach for 0.4 s before the undo began; the host's addresses were away for 9.1 s at most)"
    )
    assert outcome_text(3, 0.4, "10.1.1.1", at_most=9.1).endswith(both)


def test_an_event_is_one_line_or_none() -> None:
    assert event_text({"event": "done", "step": 0, "seconds": 1.25}, ["rename"]) == "ok   rename (1.2 s)"
    assert event_text({"event": "begin"}, []) is None
