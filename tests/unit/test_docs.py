"""The documents: links lead somewhere, commands exist, words are plain."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Optional

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from tests import plain_words
from tools import reference

ROOT = reference.ROOT
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "tests/**/*.md", "benchmarks/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """The fenced blocks of a page: info string and lines."""
    info: Optional[str] = None
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("```"):
            if info is None:
                info, lines = line.strip()[3:], []
            else:
                yield info, lines
                info = None
        else:
            lines.append(line)


def prose(text: str) -> str:
    """A page without fenced blocks and code spans, lines kept."""
    text = re.sub(r"^( *)```.*?^ *```", lambda block: "\n" * block[0].count("\n"), text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "``", text)


@cache
def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    made: set[str] = set()
    without_blocks = re.sub(r"^```.*?^```", "", text_of(path), flags=re.M | re.S)
    for heading in re.findall(r"^#+ (.*)$", without_blocks, re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        while (f"{slug}-{number}" if number else slug) in made:
            number += 1
        made.add(f"{slug}-{number}" if number else slug)
    return made


def broken_links(path: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(text_of(path))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            yield link


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_and_anchor_resolves(path: Path) -> None:
    assert list(broken_links(path)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Two words\n[a](#two-words) [b](#three) [c](none.md) [d](https://x.org/#y) `[e](gone.md)`\n")
    assert list(broken_links(page)) == ["#three", "none.md"]


def test_every_page_of_docs_is_linked_in_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", text_of(ROOT / "README.md")))
    assert {name(path) for path in PAGES if name(path).startswith("docs/")} - linked == set()


def written_by_hand(path: Path) -> str:
    """A page without what is generated: that is checked where it comes from."""
    text = text_of(path)
    return "" if reference.GENERATED in text else text.partition(reference.MARKER)[0]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_documents_are_in_plain_words(path: Path) -> None:
    lines = prose(written_by_hand(path)).splitlines()
    findings = [
        f"{name(path)}:{number}: {finding.match!r}, write: {finding.instead}"
        for number, line in enumerate(lines, 1)
        for finding in plain_words.find(line)
    ]
    assert findings == []


def definitions() -> Iterator[tuple[str, str]]:
    """Each whole definition on a page: the page, and its text."""
    for path in PAGES:
        for info, lines in blocks(text_of(path)):
            if info == "yaml" and lines[:1] == ["kvmnet: 1"]:
                yield name(path), "\n".join(lines) + "\n"


def test_every_whole_definition_on_a_page_is_valid() -> None:
    pages = set()
    for page, text in definitions():
        definition = pipeline.check([Source(page, text)])
        assert [(page, problem.code, problem.message) for problem in definition.problems] == []
        assert all(bundle.state["interfaces"] for bundle in definition.bundles())
        pages.add(page)
    assert {"docs/howto/pass-through.md", "docs/howto/policy-routing.md"} <= pages


def shell_commands() -> Iterator[tuple[str, list[str]]]:
    """Each call of kvmnet in a shell block: where, and its words."""
    for path in PAGES:
        for info, lines in blocks(text_of(path)):
            if info.split(" ")[0] == "sh":
                for line in lines:
                    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|>")
                    lexer.whitespace_split = True
                    for is_call, arguments in groupby(lexer, key=lambda word: not re.fullmatch("[;&|>]+", word)):
                        call = list(arguments)
                        if is_call and "kvmnet" in call[:4]:
                            yield f"{name(path)}: {line.strip()}", call[call.index("kvmnet") + 1 :]


def test_every_command_in_a_shell_block_exists() -> None:
    commands = reference.commands()
    calls = list(shell_commands())
    assert len(calls) > 30
    for place, arguments in calls:
        if arguments[:1] == ["--version"]:
            continue
        verb = " ".join(arguments[:2]) if " ".join(arguments[:2]) in commands else arguments[0]
        assert verb in commands, place
        known = {option for one in commands[verb].params for option in (*one.opts, *one.secondary_opts)}
        assert {argument for argument in arguments if re.match("--?[a-z]", argument)} - known == set(), place


def test_every_file_in_the_table_of_changes_exists() -> None:
    _, _, table = text_of(ROOT / "docs/architecture.md").partition("## Where does a change go?")
    files = re.findall(r"`((?:kvmnet|tests|schemas|profiles|docs|tools)/[^`]*)`", table.partition("\n## ")[0])
    assert len(files) > 40
    assert [file for file in files if "COMMAND" not in file and not (ROOT / file).exists()] == []
