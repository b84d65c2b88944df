"""Errors of the host, and how a rollback collects them."""

from __future__ import annotations

import json

import pytest

from kvmnet.system.errors import HostError, collect_failure


def test_expected_errors_are_collected_with_their_subjects_and_the_rest_goes_on() -> None:
    failures: list[str] = []
    finished: list[str] = []
    errors = {
        "eth0": HostError("ip: no such device"),
        "/etc/x": OSError(28, "No space left on device"),
        "zones": json.JSONDecodeError("Expecting value", "x", 0),
        "profile": KeyError("uuid"),
    }
    for subject, error in errors.items():
        with collect_failure(failures, subject):
            raise error
        finished.append(subject)
    with collect_failure(failures, "br0"):
        finished.append("br0")
    assert finished == [*errors, "br0"]
    assert failures == [
        "eth0: ip: no such device",
        "/etc/x: [Errno 28] No space left on device",
        "zones: Expecting value: line 1 column 1 (char 0)",
        "profile: 'uuid'",
    ]


def test_an_error_without_a_text_is_named_by_its_type() -> None:
    failures: list[str] = []
    with collect_failure(failures, "eth0"):
        raise AttributeError
    assert failures == ["eth0: AttributeError()"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError, AssertionError])
def test_other_errors_are_raised(error: type[BaseException]) -> None:
    failures: list[str] = []
    with pytest.raises(error), collect_failure(failures, "eth0"):
        raise error
    assert failures == []
