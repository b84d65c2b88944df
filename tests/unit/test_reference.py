"""Everything that a person can write or meet has a doc: commands, exit codes, keys, problems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmnet import resources
from kvmnet.core import catalogue
from tests import reference

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_is_current() -> None:
    is_there = reference.PAGE.read_text(encoding="utf-8")
    assert is_there == reference.page(), "run: python -m tests.reference"


def test_every_command_and_option_has_a_doc() -> None:
    for verb, command in reference.commands().items():
        assert f"| `kvmnet {verb}" in README, verb
        assert command.help, verb
        for parameter in command.params:
            assert parameter.help, f"{verb} {parameter.name}"


def test_every_exit_code_has_a_doc() -> None:
    told = reference.exit_codes()
    assert [code for code, _ in told] == ["0", "1", "2", "3", "4", "5", "6"]
    for code, words in told:
        assert f"| {code} | " in README and words


def keys(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of a schema with what the schema says about it."""
    for word, part in schema.items():
        if word == "properties":
            yield from part.items()
        if isinstance(part, dict):
            yield from keys(part)


@pytest.mark.parametrize("name", resources.schema_names())
def test_every_key_has_a_doc(name: str) -> None:
    page = reference.page()
    for key, part in keys(resources.read_schema(name)):
        if isinstance(part, dict) and "description" in part:
            assert f"| `{key}`" in page and part["description"].replace("|", "\\|") in page, key


def test_every_problem_has_a_doc() -> None:
    page = reference.page()
    for entry in catalogue.all_codes():
        assert f"### {entry.code}\n**{entry.title}.** " in page


def test_every_link_in_the_page_leads_somewhere() -> None:

    page = reference.page()
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in page.splitlines() if line.startswith("##")}
    assert {link for link in re.findall(r"\]\(#([^)]*)\)", page) if link not in headings} == set()
