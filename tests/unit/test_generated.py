"""Generated definitions: right ones, and what happens to their states and to mistakes in them (tests/fuzz.py)."""

from __future__ import annotations

from kvmnet.core import codes
from tests import fuzz
from tests.mutate import MUTATORS, written

EXAMPLES = 300
#: What a file can do wrong, before there is a definition: tests/unit/test_files.py and test_document.py.
OF_FILES = {"KVN001", "KVN002", "KVN003", "KVN004", "KVN005"}


def test_generated_definitions() -> None:
    wrong, used, made = fuzz.run(EXAMPLES)
    assert wrong == []
    assert fuzz.rare(used, EXAMPLES) == []
    assert set(made) == {code for code, _ in MUTATORS}


def test_every_code_has_a_mutator() -> None:
    assert {code for code, _ in MUTATORS} == {entry.code for entry in codes.all_codes()} - OF_FILES


def test_the_places_of_written_data() -> None:
    text, places = written({"a": {"b": [1, {"c": "x", "d": []}], "e": {}}})
    assert text == "'a':\n  'b':\n    - 1\n    -\n      'c': 'x'\n      'd': []\n  'e': {}\n"
    assert {path: tuple(mark)[1:] for path, mark in places.items()} == {
        ("a",): (1, 1),
        ("a", "b"): (2, 3),
        ("a", "b", 0): (3, 7),
        ("a", "b", 1): (5, 7),
        ("a", "b", 1, "c"): (5, 12),
        ("a", "b", 1, "d"): (6, 7),
        ("a", "e"): (7, 3),
    }
