"""How errors that a user can fix are printed."""

from __future__ import annotations

import pytest

from kvmnet.core.base.errors import KvmnetError, Refused, Usage


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (KvmnetError("no such file"), ["no such file"]),
        (KvmnetError("no such file", "check the path"), ["no such file", "  hint: check the path"]),
        (
            KvmnetError("not YAML", "check the quotes", "KVN002"),
            ["KVN002: not YAML", "  hint: check the quotes", "  more: kvmnet explain KVN002"],
        ),
        (
            Refused("a rival", None, "KVN535", allow=True),
            ["KVN535: a rival", "  more: kvmnet explain KVN535; to override: --allow KVN535"],
        ),
    ],
)
def test_an_error_is_printed_with_its_code_and_hint(error: KvmnetError, lines: list[str]) -> None:
    assert error.lines() == lines
    assert str(error) == error.message


def test_a_refusal_is_printed_with_all_others_and_the_additional_lines() -> None:
    refused = Refused("one", code="KVN520", additional=(Refused("two", "hint", "KVN521"), Refused("three")))
    refused.also = ["  guests: web1"]
    assert refused.lines() == [
        "KVN520: one",
        "  more: kvmnet explain KVN520",
        "KVN521: two",
        "  hint: hint",
        "  more: kvmnet explain KVN521",
        "three",
        "  guests: web1",
    ]


def test_the_additional_lines_of_one_refusal_are_not_those_of_another() -> None:
    Refused("one").also.append("x")
    Refused("one").data["x"] = 1
    assert Refused("two").also == [] and Refused("two").data == {}


def test_each_kind_of_error_has_its_exit_code() -> None:
    assert [kind("x").exit_code for kind in (KvmnetError, Usage, Refused)] == [1, 2, 5]
