"""Tests of the options that several commands have."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from kvmnet.cli.options import read_allowed_codes, read_confirm_seconds
from kvmnet.core.base.errors import Usage
from tests.unit.cli.samples import run


@pytest.mark.parametrize("command", ["apply", "remove", "rollback"])
@pytest.mark.parametrize(
    "options",
    [["--confirm-within", "60", "--no-confirm"], ["--confirm-within", "9"], ["--confirm-within", "3601"]],
)
def test_confirm_options_that_are_not_valid_are_usage_errors(
    wishes: list[Any], command: str, options: list[str], capfdbinary: Any
) -> None:
    assert run(command, "--yes", *options) == 2
    assert wishes == [] and b"--confirm-within" in capfdbinary.readouterr()[1]


@pytest.mark.parametrize(
    ("within", "no_confirm", "seconds"), [(None, False, None), (None, True, 0), (10, False, 10), (3600, False, 3600)]
)
def test_the_seconds_to_wait_for_a_confirmation(
    within: Optional[int], no_confirm: bool, seconds: Optional[int]
) -> None:
    assert read_confirm_seconds(within, no_confirm) == seconds


def test_a_time_for_the_confirmation_excludes_no_confirmation() -> None:
    with pytest.raises(Usage, match="--confirm-within and --no-confirm cannot be used together"):
        read_confirm_seconds(60, True)


@pytest.mark.parametrize(
    ("texts", "codes"), [(None, set()), ([], set()), (["kvn535"], {"KVN535"}), (["KVN535", "KVN535"], {"KVN535"})]
)
def test_codes_to_override_are_in_capitals_and_listed_once(texts: Optional[list[str]], codes: set[str]) -> None:
    assert read_allowed_codes(texts) == codes


@pytest.mark.parametrize("code", ["KVN510", "KVN999", "x"])
def test_a_code_that_cannot_be_overridden_is_a_usage_error(code: str) -> None:
    with pytest.raises(Usage, match=f"{code} cannot be overridden") as error:
        read_allowed_codes([code])
    assert error.value.hint is not None and "KVN535" in error.value.hint


@pytest.mark.parametrize("timeout", ["19", "3601", "x"])
def test_a_timeout_out_of_range_is_a_usage_error(wishes: list[Any], timeout: str, capfdbinary: Any) -> None:
    assert run("apply", "--timeout", timeout) == 2
    assert b"--timeout" in capfdbinary.readouterr()[1] and wishes == []
