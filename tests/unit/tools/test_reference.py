"""Everything that users write or read is documented: commands, exit codes, keys, problems, guarantees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmnet import resources
from kvmnet.core import catalogue
from tools import reference

README = (reference.ROOT / "README.md").read_text(encoding="utf-8")
PAGES = reference.pages()
#: The page with the keys of each schema.
SCHEMA_PAGES = {"cluster": "definition.md", "profile": "naming-policies.md", "state": "states.md"}
SCHEMA_PAGES |= {"bundle": "states.md", "plan": "states.md"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_generated_page_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path], "run: make docs"


def test_every_command_and_option_is_documented() -> None:
    for verb, command in reference.commands().items():
        assert f"| `kvmnet {verb}" in README, verb
        assert command.help, verb
        for parameter in command.params:
            assert parameter.help, f"{verb} {parameter.name}"


def test_every_exit_code_is_documented() -> None:
    meanings = reference.exit_codes()
    assert [code for code, _ in meanings] == ["0", "1", "2", "3", "4", "5", "6"]
    for code, meaning in meanings:
        assert f"| {code} | " in README and meaning


def keys(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key of a schema with its definition."""
    for word, part in schema.items():
        if word == "properties":
            yield from part.items()
        if isinstance(part, dict):
            yield from keys(part)


@pytest.mark.parametrize("name", resources.schema_names())
def test_every_key_is_documented(name: str) -> None:
    page = PAGES[reference.FOLDER / SCHEMA_PAGES[name]]
    for key, part in keys(resources.read_schema(name)):
        if isinstance(part, dict) and "description" in part:
            assert f"| `{key}`" in page and part["description"].replace("|", "\\|") in page, key


def test_every_problem_is_documented() -> None:
    page = PAGES[reference.FOLDER / "codes.md"]
    for entry in catalogue.all_codes():
        assert f"### {entry.code}\n**{entry.title}.** " in page


def test_every_guarantee_has_a_test_and_every_marker_a_guarantee() -> None:
    ids = [guarantee.id for guarantee in reference.guarantees()]
    assert len(ids) == len(set(ids))
    assert set(ids) - set(reference.proofs()) == set(), "guarantees without a test"
    assert set(reference.proofs()) - set(ids) == set(), "markers that name no guarantee"


def test_markers_are_read_without_importing(tmp_path: Path) -> None:
    file = tmp_path / "tests" / "lab" / "test_power.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import something_that_does_not_exist\n\n"
        '@pytest.mark.parametrize("step", [1])\n@pytest.mark.guarantee("G01", "G02")\ndef test_cut(step): ...\n\n'
        "class TestMore:\n"
        '    @pytest.mark.guarantee("G02")\n    def test_again(self): ...\n'
    )
    assert reference.proofs(tmp_path / "tests") == {
        "G01": {"tests/lab/test_power.py": ["test_cut"]},
        "G02": {"tests/lab/test_power.py": ["test_cut", "test_again"]},
    }
