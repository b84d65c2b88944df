"""The catalogue of all codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kvmnet.core import catalogue

ROOT = Path(__file__).parents[3]


def test_problems_of_definitions_come_before_refusals_and_each_in_order() -> None:
    listed = [entry.code for entry in catalogue.all_codes()]
    assert listed == sorted(listed) and len(set(listed)) == len(listed)
    assert [code for code in listed if code < "KVN5"] == [entry.code for entry in catalogue.definition_codes()]
    assert {"KVN001", "KVN190", "KVN510", "KVN560"} <= set(listed)


def test_the_catalogue_is_complete_whatever_was_imported_before() -> None:
    """Checks and refusals register their codes when their modules are imported."""
    script = "from kvmnet.core import catalogue; print(len(catalogue.definition_codes()), len(catalogue.all_codes()))"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    counts = [len(catalogue.definition_codes()), len(catalogue.all_codes())]
    assert [int(word) for word in process.stdout.split()] == counts
