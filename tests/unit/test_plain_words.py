"""Every text that kvmnet shows, and every docstring and comment, is free of the words in tests/plain_words.txt.

The documents are checked in test_docs.py, with the same list.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from kvmnet import resources
from kvmnet.cli import main
from kvmnet.core import catalogue
from tests import plain_words
from tests.plain_words import ROOT

MODULES = sorted([*ROOT.glob("kvmnet/**/*.py"), *ROOT.glob("tools/*.py")])
DATA = sorted([*ROOT.glob("profiles/*.yaml"), *ROOT.glob("examples/**/*.yaml")])
#: Names in formats that do not change: operations and outcomes in journals and transaction files.
FIXED_NAMES = {"give back"}
#: Functions whose first argument is a regular expression.
REGEX_FUNCTIONS = {"compile", "match", "fullmatch", "search", "findall", "finditer", "split", "sub"}


class Text(NamedTuple):
    """A text and where it is: the file with the number of its first line, or the name of the text."""

    place: str
    line: int
    text: str


def findings(texts: Iterator[Text]) -> list[str]:
    """One line for each word of the list, with file and line."""
    found = []
    for place, line, text in texts:
        for finding in plain_words.find(text):
            number = f":{line + text.count(chr(10), 0, finding.offset)}" if line else ""
            found.append(f"{place}{number}: {finding.match!r}, write: {finding.instead}")
    return found


def texts_of_module(path: Path) -> Iterator[Text]:
    """The strings and comments of a Python file."""
    source = path.read_text(encoding="utf-8")
    place = str(path.relative_to(ROOT))
    yield from _strings(place, source)
    yield from _comments(place, source)


def _strings(place: str, source: str) -> Iterator[Text]:
    """Docstrings, and strings of several words; no keys, regular expressions and fixed names.

    The source of the string is checked, and not its value, so that lines can be counted.
    """
    tree = ast.parse(source)
    skipped = {id(part) for node in ast.walk(tree) for part in _no_prose(node)}
    for node in ast.walk(tree):
        if id(node) in skipped or not isinstance(node, (ast.Constant, ast.JoinedStr)):
            continue
        value = node.value if isinstance(node, ast.Constant) else _constant_parts(node)
        if isinstance(value, str) and re.search(r"\s", value.strip()) and value not in FIXED_NAMES:
            segment = ast.get_source_segment(source, node) or value
            yield Text(place, node.lineno, _prose_of(segment, isinstance(node, ast.JoinedStr)))


def _no_prose(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that are no prose, or are checked with the whole."""
    if isinstance(node, ast.JoinedStr):
        yield from (part for value in node.values for part in ast.walk(value) if isinstance(part, ast.Constant))
    elif isinstance(node, ast.Dict):
        yield from (key for key in node.keys if key is not None)
    elif isinstance(node, ast.Subscript):
        yield node.slice
    elif isinstance(node, ast.Call) and node.args and _is_regex_function(node.func):
        yield node.args[0]


def _is_regex_function(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in REGEX_FUNCTIONS
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
    )


def _constant_parts(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def _prose_of(segment: str, is_formatted: bool) -> str:
    """The source of a string without the expressions in it, and without the quotes between concatenated strings, so
    that a phrase in two of them is found. Its lines stay."""
    while is_formatted and (expression := re.search(r"\{[^{}]*\}", segment)):
        segment = segment[: expression.start()] + "_" * len(expression[0]) + segment[expression.end() :]
    if segment.lstrip("rRbBfFuU").startswith(('"""', "'''")):
        return segment
    return re.sub(r"""["']\s*\n\s*[rRfFuU]{0,2}["']""", "\n", segment)


def _comments(place: str, source: str) -> Iterator[Text]:
    """Comments; those of consecutive lines are one text."""
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if block and token.start[0] == last + 1:
                block.append(token.string.lstrip("#: "))
            else:
                if block:
                    yield Text(place, first, "\n".join(block))
                block, first = [token.string.lstrip("#: ")], token.start[0]
            last = token.start[0]
    if block:
        yield Text(place, first, "\n".join(block))


def texts_of_help() -> Iterator[Text]:
    """The help of the program, its groups, commands, arguments and options, and what follows it."""
    main.register_commands()

    def of(name: str, command: Any) -> Iterator[Text]:
        place = f"{name} --help"
        yield Text(place, 0, command.help or "")
        yield Text(place, 0, command.epilog or "")
        for parameter in command.params:
            yield Text(f"{place}, {parameter.name}", 0, getattr(parameter, "help", None) or "")
        for subname, subcommand in getattr(command, "commands", {}).items():
            yield from of(f"{name} {subname}", subcommand)

    yield from of("kvmnet", typer.main.get_command(main.app))


def texts_of_codes() -> Iterator[Text]:
    """Titles and pages of `kvmnet explain`."""
    for entry in catalogue.all_codes():
        yield Text(f"kvmnet explain {entry.code}, title", 0, entry.title)
        yield Text(f"kvmnet explain {entry.code}", 0, entry.page)


def texts_of_schemas() -> Iterator[Text]:
    """Titles and descriptions in the JSON Schemas; each is on a line of its own."""
    for name in resources.schema_names():
        place = f"schemas/{name}.schema.json"
        for number, line in enumerate((ROOT / place).read_text(encoding="utf-8").splitlines(), 1):
            for value in re.findall(r'"(?:title|description)": ("(?:[^"\\]|\\.)*")', line):
                yield Text(place, number, json.loads(value))


def texts_of_data() -> Iterator[Text]:
    """The comments of naming policies and examples."""
    for path in DATA:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield Text(str(path.relative_to(ROOT)), number, line.partition("#")[2])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_strings_and_comments_of_modules_are_plain(path: Path) -> None:
    found = findings(texts_of_module(path))
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize("texts", [texts_of_help, texts_of_codes, texts_of_schemas, texts_of_data])
def test_texts_for_users_are_plain(texts: Any) -> None:
    all_texts = list(texts())
    assert len(all_texts) > 20, "the texts were not found"
    found = findings(iter(all_texts))
    assert not found, "\n".join(["", *found])


def test_a_word_of_the_list_is_found_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In docstrings, messages, f-strings and comments, also over a line break; not in keys, code spans and regexes."""
    monkeypatch.setattr("tests.unit.test_plain_words.ROOT", tmp_path)
    file = tmp_path / "module.py"
    file.write_text(
        '"""Started\nanew."""\n'
        "import re\n"
        'TABLE = {"a person": 1, "give back": re.compile("a person|x y")}\n'
        'print(f"{TABLE} is done by a {1} person", TABLE["a person"])\n'
        'print(\n    f"needs a "\n    "person now"\n)\n'
        "# one comment that is about a\n# person `started anew`\n"
        'VALUE = "anew"\n'
    )
    places = [line.rpartition(", write:")[0] for line in findings(texts_of_module(file))]
    assert places == ["module.py:2: 'anew'", "module.py:7: 'a person'", "module.py:10: 'a person'"]
