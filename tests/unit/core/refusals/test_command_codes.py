"""The pages of refusals that single commands raise."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kvmnet.core import catalogue

ROOT = Path(__file__).parents[4]
CODES = ("KVN560", "KVN561", "KVN562", "KVN563")


def raised_codes() -> set[str]:
    """Return the strings in the sources, except in the module that registers the pages."""
    strings: set[str] = set()
    for path in ROOT.glob("kvmnet/**/*.py"):
        if path.name != "command_codes.py":
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            strings |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return strings


@pytest.mark.parametrize("code", CODES)
def test_a_refusal_of_a_command_has_a_page_and_cannot_be_overridden(code: str) -> None:
    pages = {entry.code: entry.page for entry in catalogue.all_codes()}
    assert pages[code].endswith("kvmnet exits with code 5 and changes nothing. This refusal cannot be overridden.")
    assert code in raised_codes()
