"""Reporters of problems: text, JSON and GitHub workflow commands."""

from __future__ import annotations

import json

from kvmnet.core.base.problem import (
    WARNING,
    Mark,
    Problem,
    Related,
    as_github,
    as_json,
    as_text,
    did_you_mean,
    fold,
)

SOURCES = {"a.yaml": "one: 1\n\ttwo: 2\nlong: " + "x" * 300 + " end\n", "b\x1b[31m.yaml": "x: \x1b[2J\n"}


def test_text_shows_place_code_source_line_and_caret() -> None:
    problem = Problem("KVN999", "invalid value", Mark("a.yaml", 1, 6), hint="fix it")
    assert (
        as_text([problem], SOURCES) == "a.yaml:1:6: KVN999 invalid value\n    | one: 1\n    |      ^\n  hint: fix it\n"
    )


def test_the_caret_is_below_the_place_after_a_tab() -> None:
    text = as_text([Problem("KVN999", "w", Mark("a.yaml", 2, 7))], SOURCES)
    assert text.splitlines()[1:] == ["    | \ttwo: 2", "    | \t     ^"]


def test_a_long_line_is_shortened_around_the_place() -> None:
    text = as_text([Problem("KVN999", "w", Mark("a.yaml", 3, 308))], SOURCES)
    line, caret = text.splitlines()[1:]
    assert len(line) < 130 and line[caret.index("^")] == "e"


def test_text_shows_warnings_and_related_places() -> None:
    other = Related(Mark("a.yaml", 1, 1), "first defined here")
    text = as_text([Problem("KVN999", "w", Mark("a.yaml", 9, 9), WARNING, (other,))], SOURCES)
    assert text == "a.yaml:9:9: KVN999 warning: w\n  a.yaml:1:1: first defined here\n      | one: 1\n      | ^\n"


def test_problems_are_sorted_and_duplicates_are_removed() -> None:
    later, first = Problem("KVN2", "b", Mark("a.yaml", 2, 1)), Problem("KVN1", "a", Mark("a.yaml", 1, 9))
    assert [line[:13] for line in as_text([later, first, later], {}).splitlines()] == ["a.yaml:1:9: K", "a.yaml:2:1: K"]


def test_control_characters_of_a_file_are_escaped() -> None:
    problem = Problem("KVN999", "value \x1b[2J\u202e", Mark("b\x1b[31m.yaml", 1, 4), hint="\x07")
    text = as_text([problem], SOURCES)
    assert not any(c in text for c in "\x1b\u202e\x07")


def test_no_line_is_a_command_of_github() -> None:
    """GitHub's runner takes a line that begins with "::", after blanks too, and "##[" anywhere in a line."""
    sources = {"a.yaml": "::stop-commands::x\nname: ##[stop-commands]x\n"}
    for line in (1, 2):
        text = as_text([Problem("KVN999", "value ##[add-mask]x", Mark("a.yaml", line, 1))], sources)
        assert "##[" not in text and not any(line.strip().startswith("::") for line in text.splitlines())
    found = as_github([Problem("KVN999", "a\u202e\x1b", Mark("a", 1, 1), hint="##[x]")], {})
    assert found == "::error file=a,line=1,col=1,title=KVN999::a\\u202e\\u001b%0A#\\u0023[x]\n"


def test_json_contains_all_fields() -> None:
    other = Related(Mark("b", 3, 4), "there")
    rows = json.loads(as_json([Problem("KVN9", "w", Mark("a", 1, 2), WARNING, (other,), "h")], {}))["problems"]
    assert rows == [
        {
            "code": "KVN9",
            "severity": "warning",
            "file": "a",
            "line": 1,
            "column": 2,
            "message": "w",
            "related": [{"file": "b", "line": 3, "column": 4, "message": "there"}],
            "hint": "h",
        }
    ]


def test_github_commands_are_escaped() -> None:
    problem = Problem("KVN9", "50% :: of\nit", Mark("a,b:c\n.yaml", 1, 2), hint="h")
    assert as_github([problem], {}) == (
        "::error file=a%2Cb%3Ac%0A.yaml,line=1,col=2,title=KVN9::50%25 :: of%0Ait%0Ah\n"
    )


def test_the_nearest_name_is_suggested_or_all_names_are_listed() -> None:
    assert did_you_mean("adresses", ["addresses", "mac"]) == "did you mean addresses?"  # codespell:ignore adresses
    assert did_you_mean("zzz", ["b", "a"]) == "expected one of: b, a"
    assert did_you_mean("zzz", ["a"]) == "expected: a"
    assert did_you_mean("zzz", []) is None
    assert did_you_mean("zzz", [str(n) for n in range(50)]) is None


def test_equal_warnings_of_several_hosts_are_one_that_names_the_others() -> None:
    def warning(host: str, line: int, text: str = "host {} has 10.1.0.{} twice") -> Problem:
        return Problem("KVN999", text.format(host, line), Mark("f", line, 1), severity=WARNING)

    many = [warning(f"h{number}", number) for number in range(1, 9)]
    other = warning("h1", 20, "host {} is odd: {}")
    error = Problem("KVN998", "host h1 is wrong", Mark("f", 30, 1))
    same_error = Problem("KVN998", "host h2 is wrong", Mark("f", 31, 1))
    folded = fold([*many, other, error, same_error])
    assert [problem.mark.line for problem in folded] == [1, 20, 30, 31]
    assert folded[0].message == (
        "host h1 has 10.1.0.1 twice; the same on 7 more hosts (h2, h3, h4, h5, h6, …); "
        "`kvmnet validate --all` lists each"
    )
    assert folded[1:] == [other, error, same_error]
    assert "the same on 1 more host (h2);" in fold(many[:2])[0].message
    twice = [many[0], warning("h1", 40)]
    assert fold(twice) == twice, "two warnings of one host"
