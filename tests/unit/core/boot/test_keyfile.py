"""GLib's key file format."""

from __future__ import annotations

import pytest

from kvmnet.core.boot.keyfile import (
    KeyfileError,
    find_key_lines,
    parse_boolean,
    parse_keyfile,
    parse_number,
    split_list,
    unescape,
)


def test_groups_and_keys_are_read_in_their_order() -> None:
    text = "# note\n\n[b]\n  key = value with blanks \nother=\n[a]\nkey=1\r\n[b]\nother=2\nkey=again"
    assert parse_keyfile(text) == {"b": {"key": "again", "other": "2"}, "a": {"key": "1"}}
    assert list(parse_keyfile(text)) == ["b", "a"]
    assert parse_keyfile("") == {}


@pytest.mark.parametrize("text", ["key=1\n[a]", "[a]\nno key", "[a\nkey=1", "[a]\n=1", "[a]\n;key"])
def test_another_text_is_no_key_file(text: str) -> None:
    with pytest.raises(KeyfileError):
        parse_keyfile(text)


def test_escape_sequences_are_replaced() -> None:
    assert unescape(r"\sa\tb\nc\rd\\e\x") == " a\tb\nc\rd\\e\\x"
    assert unescape("plain") == "plain"


def test_lists_are_separated_by_semicolons() -> None:
    assert split_list("eth*;!eth1;") == ["eth*", "!eth1"]
    assert split_list(r"a\;b;c\s") == ["a;b", "c "]
    assert split_list("") == []


@pytest.mark.parametrize(
    "text, value", [("true", True), ("1 ", True), ("false", False), ("0", False), ("no", True), ("yes", True)]
)
def test_a_boolean_that_glib_does_not_know_is_the_default(text: str, value: bool) -> None:
    assert parse_boolean(text, True) is value


def test_a_number_that_is_none_is_the_default() -> None:
    assert [parse_number(text, 7) for text in ("-5", " 3 ", "", "x")] == [-5, 3, 7, 7]


def test_the_lines_of_groups_and_keys() -> None:
    text = "# note\n[b]\nkey=value\n\n[a]\nkey=1\n[b]\nkey=again\n"
    assert find_key_lines(text) == {("b", ""): 7, ("b", "key"): 8, ("a", ""): 5, ("a", "key"): 6}
